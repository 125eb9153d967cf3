import type { Socket } from 'node:net';
import { Opcode } from '../../wire/opcode.ts';
import { HEARTBEAT_MS } from '../../wire/protocol.ts';

const PING_FRAME = Buffer.of(0x80 | Opcode.ping, 0);

/** With this many unread bytes before a ping the peer may take long to get to it, … */
const LONG_READ_BYTES = 64 * 1024;

/** … and may be silent for this long. */
const LONG_READ_MS = 300_000;

/** Pings a peer that is quiet, and says when it has been silent for too long. */
export class Liveness {
  readonly #socket: Socket;
  readonly #keepAliveMs: number;
  #bytesRead: number;
  #bytesWritten: number;
  /** Time without a byte from the peer or to it. */
  #quietMs = 0;
  /** Time without a byte from the peer. */
  #silentMs = 0;
  /** Time since the ping that is not answered. */
  #pingedMs: number | undefined;
  /** Whether it sends heartbeats of its own, as the clients of this package do. */
  #isBeating = false;
  /** How much it was sent before the last ping, and how much of that it has certainly read. */
  #pingEnd = 0;
  #readTo: number;

  constructor(socket: Socket, keepAliveMs: number) {
    this.#socket = socket;
    this.#keepAliveMs = keepAliveMs;
    this.#bytesRead = socket.bytesRead;
    this.#bytesWritten = socket.bytesWritten;
    this.#readTo = socket.bytesWritten;
  }

  /** To be called at every interval. Returns whether the peer must be considered dead. */
  tick(intervalMs: number): boolean {
    this.#observe(intervalMs);
    if (this.#isBeating && this.#silentMs >= Math.max(2 * this.#keepAliveMs, 3 * HEARTBEAT_MS)) return true;
    if (this.#pingedMs !== undefined) {
      return this.#pingedMs >= (this.#hasMuchToRead ? LONG_READ_MS : this.#keepAliveMs);
    }
    if (this.#quietMs >= this.#keepAliveMs && this.#socket.writableLength === 0) this.#ping();
    return false;
  }

  #observe(intervalMs: number): void {
    const { bytesRead, bytesWritten } = this.#socket;
    const isHeard = bytesRead !== this.#bytesRead;
    const isWritten = bytesWritten !== this.#bytesWritten;
    if (isHeard && this.#pingedMs === undefined) this.#isBeating = true;
    if (isHeard && this.#pingedMs !== undefined) this.#readTo = this.#pingEnd;
    if (isHeard) this.#pingedMs = undefined;
    else if (this.#pingedMs !== undefined) this.#pingedMs += intervalMs;
    this.#quietMs = isHeard || isWritten ? 0 : this.#quietMs + intervalMs;
    this.#silentMs = isHeard ? 0 : this.#silentMs + intervalMs;
    this.#bytesRead = bytesRead;
    this.#bytesWritten = bytesWritten;
  }

  #ping(): void {
    this.#socket.write(PING_FRAME);
    this.#bytesWritten = this.#socket.bytesWritten;
    this.#pingEnd = this.#bytesWritten;
    this.#pingedMs = 0;
  }

  get #hasMuchToRead(): boolean {
    return this.#pingEnd - this.#readTo > LONG_READ_BYTES;
  }
}
