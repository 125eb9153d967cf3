/** Notices when nothing has come of an answer for too long. The time that its reader takes does not count. */
export class Silence {
  readonly #timer: NodeJS.Timeout;
  #count = 0;

  /**
   * @param silenceMs longest time without a byte, in milliseconds
   * @param isTaken whether what comes would be taken at the moment
   * @param broken called when that was too long
   */
  constructor(silenceMs: number, isTaken: () => boolean, broken: () => void) {
    this.#timer = setTimeout(() => {
      const count = this.#count;
      // What has come while this process did not run is only about to be read.
      setImmediate(() => {
        if (count !== this.#count) return;
        if (isTaken()) broken();
        else this.#timer.refresh();
      });
    }, silenceMs);
  }

  /** Something has come, or is taken again. */
  over(): void {
    this.#count++;
    this.#timer.refresh();
  }

  /** Nothing is to come any more. */
  stop(): void {
    this.#count++;
    clearTimeout(this.#timer);
  }
}
