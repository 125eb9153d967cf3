/** Takes back what appends that failed have left behind: never twice at a time, and again if that fails. */
export class Undo {
  readonly #action: () => Promise<unknown>;
  #running: Promise<unknown> | undefined;

  /** @param action does it, and resolves to what the appends had failed with */
  constructor(action: () => Promise<unknown>) {
    this.#action = action;
  }

  /**
   * Does it, or waits until it is done by whoever began before.
   *
   * @returns what the appends had failed with
   * @throws what the disk does
   */
  run(): Promise<unknown> {
    this.#running ??= this.#action().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }
}
