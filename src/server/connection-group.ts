/** A connection that can be cut off. */
export interface Terminable {
  /** Cuts the connection at once; it then leaves its group. */
  terminate(): void;
}

/** The open connections of one kind. */
export class ConnectionGroup<T extends Terminable> {
  readonly #connections = new Set<T>();
  #onEmpty: (() => void) | undefined;

  add(connection: T): void {
    this.#connections.add(connection);
  }

  delete(connection: T): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#connections.values();
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
