import type { IncomingMessage, Server, ServerResponse } from 'node:http';

type IsHeld = (request: IncomingMessage) => boolean;

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, Continues>();

/**
 * The clients that wait for `100 Continue` before they send their body. Node
 * tells them at once to go on; here some wait until what they want is known to
 * be possible.
 */
export class Continues {
  readonly #rules = new Set<IsHeld>();
  readonly #held = new WeakSet<IncomingMessage>();

  private constructor(server: Server) {
    const listen = (request: IncomingMessage, response: ServerResponse) => {
      // An application that has a listener of its own decides by itself.
      if (server.listeners('checkContinue').some((listener) => listener !== listen)) return;
      if ([...this.#rules].some((isHeld) => isHeld(request))) this.#held.add(request);
      else response.writeContinue();
      server.emit('request', request, response);
    };
    server.on('checkContinue', listen);
  }

  /** Those of `server`, from the first call on. */
  static of(server: Server): Continues {
    let continues = ofServer.get(server);
    if (continues === undefined) {
      continues = new Continues(server);
      ofServer.set(server, continues);
    }
    return continues;
  }

  /** Lets the clients wait whose requests `isHeld` returns true for. */
  hold(isHeld: IsHeld): void {
    this.#rules.add(isHeld);
  }

  /** Tells a client to go on, if it waits. */
  release(request: IncomingMessage, response: ServerResponse): void {
    if (this.#held.delete(request)) response.writeContinue();
  }
}
