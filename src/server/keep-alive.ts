import type { Socket } from 'node:net';
import { TCP_KEEP_ALIVE_MS } from '../protocol.ts';

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
  socket.setTimeout(0);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}
