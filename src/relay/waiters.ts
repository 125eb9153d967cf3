/** Those who wait for a file that is not there. */
export class Waiters {
  #untilMs = 0;
  #count = 0;

  /** How long it is waited for, in milliseconds: as long as somebody does. */
  get waitMs(): number {
    return this.#count > 0 ? Math.max(0, this.#untilMs - performance.now()) : 0;
  }

  /** Adds one, who waits for so long at most, until the signal aborts. */
  add(waitMs: number, signal: AbortSignal): void {
    this.#untilMs = Math.max(this.#untilMs, performance.now() + waitMs);
    this.#count++;
    signal.addEventListener('abort', () => this.#count--, { once: true });
  }
}
