/** What a client has open, as long as it takes. */
export interface Connection {
  /** Tells the client that the server closes, if it is not told otherwise. */
  shutDown(): void;
  /** Cuts the connection at once; it then leaves its group. */
  terminate(): void;
}

/** The open connections of one kind. */
export class ConnectionGroup {
  readonly #connections = new Set<Connection>();
  #onEmpty: (() => void) | undefined;

  add(connection: Connection): void {
    this.#connections.add(connection);
  }

  delete(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  /** Tells all that the server closes. */
  shutDown(): void {
    for (const connection of this.#connections) connection.shutDown();
  }

  /** Waits until all have gone; those that have not after `timeoutMs` are cut off. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#connections.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      timer = setTimeout(() => {
        for (const connection of this.#connections) connection.terminate();
      }, timeoutMs);
    });
    clearTimeout(timer);
  }
}
