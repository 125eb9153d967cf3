import type { Socket } from 'node:net';
import { Opcode } from '../websocket/opcode.ts';

const PING_FRAME = Buffer.of(0x80 | Opcode.ping, 0);

/** Pings a peer that is quiet, and tells when it has not answered for too long. */
export class Liveness {
  readonly #socket: Socket;
  readonly #keepAliveMs: number;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** Time without a byte from the peer or to it. */
  #quietMs = 0;
  /** Time since the ping that is not answered. */
  #silentMs = 0;
  #isPinged = false;

  constructor(socket: Socket, keepAliveMs: number) {
    this.#socket = socket;
    this.#keepAliveMs = keepAliveMs;
  }

  /**
   * Looks after the peer; to be called at every interval.
   *
   * @returns whether it has not answered a ping for as long as a ping takes to be sent
   */
  tick(intervalMs: number): boolean {
    const { bytesRead, bytesWritten, writableLength } = this.#socket;
    const isHeard = bytesRead !== this.#bytesRead;
    this.#quietMs = isHeard || bytesWritten !== this.#bytesWritten ? 0 : this.#quietMs + intervalMs;
    this.#silentMs = isHeard ? 0 : this.#silentMs + intervalMs;
    if (isHeard) this.#isPinged = false;
    this.#bytesRead = bytesRead;
    this.#bytesWritten = bytesWritten;

    // Bytes that it has not taken yet stand before the ping: it may be slow.
    if (writableLength > 0) return false;
    if (this.#isPinged) return this.#silentMs >= this.#keepAliveMs;
    if (this.#quietMs >= this.#keepAliveMs) {
      this.#socket.write(PING_FRAME);
      this.#bytesWritten = this.#socket.bytesWritten;
      this.#isPinged = true;
      this.#silentMs = 0;
    }
    return false;
  }
}
