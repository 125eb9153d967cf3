/** Lets those who bring the same key act one after the other. */
export class KeyedLock {
  /** The last in each line; settled, and gone from here, when it is done. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `action` when all who came before with this key are done; what it returns or throws is passed on. */
  async run<T>(key: string, action: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(action, action);
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }

  /** Resolves when all who have come by now with this key are done. */
  async settled(key: string): Promise<void> {
    await this.#last.get(key)?.catch(() => undefined);
  }

  /** Resolves when all who have come by now are done. */
  async allSettled(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
