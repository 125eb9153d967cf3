import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { headWithoutUpgrade } from './request-head.ts';

/** A connection with the response that Node writes to it now, if any. */
type HttpSocket = Socket & { _httpMessage?: ServerResponse | null };

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, IgnoredUpgrades>();

/**
 * The requests that ask for another upgrade than to a WebSocket. They are
 * answered as if they did not (RFC 9110, section 7.8): Java's client and `curl
 * --http2` offer HTTP/2 with their first request, whatever it is.
 *
 * Node lets go of a connection that asks for an upgrade before it has read a
 * body, for the sake of whoever listens for upgrades to WebSockets. So it is
 * given the connection once more, with a request that asks for none. (That newer
 * versions can be told what to upgrade is no help: those lose what comes in one
 * packet with a request whose upgrade they ignore.)
 */
export class IgnoredUpgrades {
  readonly #server: Server;
  /** Connections with earlier requests that are not answered yet. */
  readonly #waiting = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    // Who listens for upgrades is not to see them. What Fastify's second server for `localhost` passes on comes here, too.
    const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
    server.emit = (event: string, ...args: unknown[]) => {
      if (event !== 'upgrade') return emit(event, ...args);
      const [request, socket, head] = args as [IncomingMessage, Socket, Buffer];
      if (asksForWebSocket(request)) return emit(event, ...args);
      this.#ignore(request, socket, head);
      return true;
    };
  }

  /** Those of `server`, from the first call on. */
  static of(server: Server): IgnoredUpgrades {
    let upgrades = ofServer.get(server);
    if (upgrades === undefined) {
      upgrades = new IgnoredUpgrades(server);
      ofServer.set(server, upgrades);
    }
    return upgrades;
  }

  /** Cuts off those that still wait for their turn: Node does not close them with the server. */
  terminate(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #ignore(request: IncomingMessage, socket: HttpSocket, head: Buffer): void {
    const requestHead = headWithoutUpgrade(request);
    const takeUp = () => {
      if (requestHead === undefined) this.#refuse(socket);
      else this.#giveBack(socket, Buffer.concat([requestHead, head]));
    };
    if (socket._httpMessage) this.#wait(socket, takeUp);
    else takeUp();
  }

  #giveBack(socket: Socket, bytes: Buffer): void {
    // For the next request, where one before it was answered meanwhile.
    socket.setTimeout(this.#server.timeout);
    socket.unshift(bytes);
    this.#server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket);
  }

  #refuse(socket: Socket): void {
    socket.on('error', ignore);
    socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    socket.destroySoon();
  }

  /**
   * Waits until the requests before this one are answered: two answers must
   * not go to a connection at a time. Does until then what Node has ceased to do.
   */
  #wait(socket: HttpSocket, takeUp: () => void): void {
    const cut = () => socket.destroy();
    const cutSoon = () => socket.destroySoon();
    const passOn = () => socket._httpMessage?.emit('drain');
    const next = () => {
      if (socket._httpMessage && !socket.destroyed) {
        socket._httpMessage.once('close', next);
        return;
      }
      this.#waiting.delete(socket);
      socket.off('error', cut).off('timeout', cut).off('end', cutSoon).off('drain', passOn);
      if (socket.writable) takeUp();
    };
    this.#waiting.add(socket);
    socket.on('error', cut).on('timeout', cut).on('end', cutSoon).on('drain', passOn);
    next();
  }
}

/** Only by itself: so the WebSocket library wants it. */
function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

function ignore(): void {}
