/** Lets only so many actions run at a time; the others wait for their turn, in order. */
export class Slots {
  #free: number;
  readonly #line = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Runs `action` when there is a slot; what it returns or throws is passed on.
   *
   * @param options.signal takes it out of the line; rejects with its reason then
   */
  async run<T>(action: () => Promise<T>, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await action();
    } finally {
      const [next] = this.#line;
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#line.delete(take);
        reject(signal?.reason);
      };
      const take = () => {
        this.#line.delete(take);
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      this.#line.add(take);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}
