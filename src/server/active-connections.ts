/**
 * How long a follower may take nothing at all after its feed has ended, and how
 * long the close handshake may take. Long, because a slow reader still has the
 * system's buffers to empty, and a close before that would lose them.
 */
export const DRAIN_TIMEOUT_MS = 300_000;

/** What a client has open, for as long as it lasts: an append, or a read that goes on. */
export interface ActiveConnection {
  /** Notifies the client that the server closes, unless its protocol does so in another way. */
  shutDown(): void;
  /** Cuts the connection at once; it is deleted as at every other end. */
  terminate(): void;
  /** Called at every interval, to find out whether the client is still there. */
  keepAlive?(intervalMs: number): void;
}

/** The open connections of one kind, with one timer, which runs only while there are any. */
export class ActiveConnections {
  /** Quiet time after which a client is pinged or sent a comment, in milliseconds. */
  readonly keepAliveMs: number;
  readonly #intervalMs: number;
  readonly #connections = new Set<ActiveConnection>();
  #timer: NodeJS.Timeout | undefined;
  #onEmpty: (() => void) | undefined;
  /** How far the server has got that closes. */
  #closing: 'shutDown' | 'terminate' | undefined;

  constructor(keepAliveMs: number) {
    this.keepAliveMs = keepAliveMs;
    this.#intervalMs = Math.ceil(keepAliveMs / 2);
  }

  /**
   * Counts it until {@link delete}. One that comes while the server closes is notified in this turn, when it has been
   * made.
   */
  add(connection: ActiveConnection): void {
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#sweep(), this.#intervalMs).unref();
    if (this.#closing !== undefined) queueMicrotask(() => this.#close(connection));
  }

  delete(connection: ActiveConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#onEmpty?.();
  }

  /** Notifies all that the server closes, and those that come from now on. */
  shutDown(): void {
    this.#closing ??= 'shutDown';
    for (const connection of this.#connections) connection.shutDown();
  }

  /** Waits until all have gone; those that have not after `timeoutMs` are cut off, and those that come later. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#connections.size > 0) await this.#emptied(timeoutMs);
    // Nobody waits for those who come now.
    this.#closing = 'terminate';
  }

  async #emptied(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      timer = setTimeout(() => {
        this.#closing = 'terminate';
        for (const connection of this.#connections) connection.terminate();
      }, timeoutMs);
    });
    clearTimeout(timer);
  }

  #close(connection: ActiveConnection): void {
    if (this.#connections.has(connection) && this.#closing !== undefined) connection[this.#closing]();
  }

  #sweep(): void {
    for (const connection of this.#connections) connection.keepAlive?.(this.#intervalMs);
  }
}
