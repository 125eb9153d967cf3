import type { Socket } from 'node:net';
import { ClientSocket } from './client-socket.ts';

/**
 * Notices a connection that is not read for long, since more was sent ahead than
 * is taken: whether its client leaves, nobody could see.
 */
export class Deafness {
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  #wasDeaf = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
  }

  /** Whether it is so at this look and was at the last one. To be called at intervals. */
  lasts(): boolean {
    // Node does not read from who does not take what it is sent: that is not the client's doing ahead.
    const isDeaf = this.#client.isDeaf && this.#socket.writableLength === 0;
    const lasts = isDeaf && this.#wasDeaf;
    this.#wasDeaf = isDeaf;
    return lasts;
  }
}
