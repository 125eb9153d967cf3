import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * How long one of them may be quiet: long enough for an application's hooks,
 * and the end of those that nobody closes.
 */
const QUIET_MS = 5000;

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, UpgradeSockets>();

/**
 * The connections that asked for an upgrade and were not upgraded. Node lets
 * go of them when they ask and does not close them with the server, so one
 * that was refused and does not hang up would keep it from closing.
 */
export class UpgradeSockets {
  readonly #sockets = new Set<Duplex>();
  #closing = false;

  private constructor(server: Server) {
    server.on('upgrade', (_request, socket) => {
      // A closing server refuses in this turn of the event loop; the answer still goes out.
      if (this.#closing) setImmediate(() => endSoon(socket));
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      (socket as Socket).setTimeout(QUIET_MS, () => socket.destroy());
    });
  }

  /** Those of `server`, from the first call on. */
  static of(server: Server): UpgradeSockets {
    let sockets = ofServer.get(server);
    if (sockets === undefined) {
      sockets = new UpgradeSockets(server);
      ofServer.set(server, sockets);
    }
    return sockets;
  }

  /** Lets go of one that was upgraded: it is somebody else's now. ws has lifted the time limit. */
  release(socket: Duplex): void {
    this.#sockets.delete(socket);
  }

  /** Tells that what asks from now on will be refused. */
  refuse(): void {
    this.#closing = true;
  }

  /** Cuts off all that are left. */
  terminate(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function endSoon(socket: Duplex): void {
  if (socket.writableLength === 0) socket.destroy();
  else socket.once('drain', () => socket.destroy());
}
