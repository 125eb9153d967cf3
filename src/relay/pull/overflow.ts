import type { OpenAnswer } from '../upstream/open-answer.ts';

/**
 * What comes of an answer after it has become longer than may be kept. It is for the reader who has asked first, if he
 * wants it: all that comes before it is read from the copy, which goes then.
 */
export class Overflow {
  #settled: Promise<void> | undefined;
  #settle = () => {};
  #isClaimed = false;
  #isWanted = false;
  #answer: OpenAnswer | undefined;
  #position = 0;

  /** Resolves when its reader reads the copy, or will not; at once without one. */
  get settled(): Promise<void> {
    return this.#settled ?? Promise.resolve();
  }

  /** @param signal aborts when its reader asks no more, and has not begun to read the copy */
  wantedUntil(signal: AbortSignal): void {
    this.#isWanted = true;
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const leave = () => {
      if (!this.#isClaimed) this.cancel();
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
  }

  /** Tells that its reader reads the copy. */
  claim(): void {
    this.#isClaimed = true;
    this.#settle();
  }

  /** Gives it the rest of an answer, which begins at this position of the body, and is its own from now on. */
  put(answer: OpenAnswer, position: number): void {
    if (!this.#isWanted) {
      answer.cancel();
      return;
    }
    this.#answer = answer;
    this.#position = position;
  }

  /** The rest, if there is one that begins there. */
  from(position: number): OpenAnswer | undefined {
    return this.#position === position ? this.#answer : undefined;
  }

  /** Lets the rest go: nobody reads it. */
  cancel(): void {
    this.#isWanted = false;
    this.#settle();
    this.#answer?.cancel();
  }
}
