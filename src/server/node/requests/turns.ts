/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<object, Turns>();

/**
 * Splits long work into slices: one slice of all such work in each turn of the
 * event loop, so that everything else is served in between.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** The one for `server`, made by the first call. */
  static of(server: object): Turns {
    let turns = ofServer.get(server);
    if (turns === undefined) {
      turns = new Turns();
      ofServer.set(server, turns);
    }
    return turns;
  }

  /** Resolves in a later turn of the event loop, which nobody else is given. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(() => this.#begin());
    });
  }

  #begin(): void {
    const [first] = this.#waiting;
    first?.();
    // Once the slice that runs now has queued up again, or not.
    setImmediate(() => {
      this.#waiting.shift();
      if (this.#waiting.length > 0) this.#begin();
    });
  }
}
