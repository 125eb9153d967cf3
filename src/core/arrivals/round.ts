/** Goes round what is in a map: all get their turn, in order, whatever comes and goes meanwhile. */
export class Round<T> {
  readonly #map: ReadonlyMap<unknown, T>;
  #values: Iterator<T>;

  constructor(map: ReadonlyMap<unknown, T>) {
    this.#map = map;
    this.#values = map.values();
  }

  /** Whose turn it is; undefined when nobody is there. */
  next(): T | undefined {
    const { done, value } = this.#values.next();
    if (done !== true) return value;
    this.#values = this.#map.values();
    return this.#values.next().value;
  }
}
