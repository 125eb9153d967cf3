import type { IncomingMessage, Server, ServerResponse } from 'node:http';

type IsDeferred = (request: IncomingMessage) => boolean;

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, Continues>();

/**
 * The clients that wait for `100 Continue` before they send their body. Node
 * sends it at once; here it is deferred for some, until what they want is known
 * to be possible.
 */
export class Continues {
  readonly #rules = new Set<IsDeferred>();
  readonly #deferred = new WeakSet<IncomingMessage>();

  private constructor(server: Server) {
    const listen = (request: IncomingMessage, response: ServerResponse) => {
      // An application that has a listener of its own decides by itself.
      if (server.listeners('checkContinue').some((listener) => listener !== listen)) return;
      if ([...this.#rules].some((isDeferred) => isDeferred(request))) this.#deferred.add(request);
      else response.writeContinue();
      server.emit('request', request, response);
    };
    server.on('checkContinue', listen);
  }

  /** The one for `server`, made by the first call. */
  static of(server: Server): Continues {
    let continues = ofServer.get(server);
    if (continues === undefined) {
      continues = new Continues(server);
      ofServer.set(server, continues);
    }
    return continues;
  }

  /** Defers `100 Continue` for the requests for which `isDeferred` returns true, until it is sent. */
  defer(isDeferred: IsDeferred): void {
    this.#rules.add(isDeferred);
  }

  /** Sends what was deferred, if it was. */
  send(request: IncomingMessage, response: ServerResponse): void {
    if (this.#deferred.delete(request)) response.writeContinue();
  }
}
