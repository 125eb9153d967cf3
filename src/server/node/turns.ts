/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<object, Turns>();

/**
 * Lets long work go on bit by bit: one bit in each turn of the event loop,
 * whoever's it is, so that in between everybody else is served.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Those of all that works for `server`. */
  static of(server: object): Turns {
    let turns = ofServer.get(server);
    if (turns === undefined) {
      turns = new Turns();
      ofServer.set(server, turns);
    }
    return turns;
  }

  /** Resolves in a later turn of the event loop, which is nobody else's. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(() => this.#begin());
    });
  }

  #begin(): void {
    const [first] = this.#waiting;
    first?.();
    // Once what goes on now has queued up again, or not.
    setImmediate(() => {
      this.#waiting.shift();
      if (this.#waiting.length > 0) this.#begin();
    });
  }
}
