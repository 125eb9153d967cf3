import { Socket } from 'node:net';
import { TCP_KEEP_ALIVE_MS } from '../wire/protocol.ts';

/**
 * How long a follower may take nothing at all after its feed has ended, and how
 * long the close handshake may take. Long, because a slow reader still has the
 * system's buffers to empty, and a close before that would lose them.
 */
export const CLOSE_PATIENCE_MS = 300_000;

/** A connection that wants to be looked after. */
export interface KeptAlive {
  /** Called at every interval. */
  keepAlive(intervalMs: number): void;
}

/** Looks after all connections with one timer, which runs only while there are any. */
export class KeepAlive {
  readonly #intervalMs: number;
  readonly #connections = new Set<KeptAlive>();
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  add(connection: KeptAlive): void {
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#sweep(), this.#intervalMs).unref();
  }

  delete(connection: KeptAlive): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    for (const connection of this.#connections) connection.keepAlive(this.#intervalMs);
  }
}

/** Lets a client say nothing, and take nothing, for as long as it likes; the system finds out whether its machine is still there. */
export function allowSilence(socket: Socket): void {
  limitSilence(socket, 0);
  if (socket instanceof Socket) socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}

/** Lets a client say and take nothing for so long, in milliseconds, before the connection emits `timeout`; 0 for ever. */
export function limitSilence(socket: Socket, timeoutMs: number): void {
  // An application's tests make up their connections.
  if (socket instanceof Socket) socket.setTimeout(timeoutMs);
}
