import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long looks may take in a row, in milliseconds. */
const LOOKS_MS = 5;

/**
 * Lets everybody else have a turn of the event loop in between many looks in line, of which a disk may make each a long
 * one.
 */
export class Pace {
  #sinceMs = performance.now();

  /** To be awaited after each look. */
  async rest(): Promise<void> {
    if (performance.now() - this.#sinceMs < LOOKS_MS) return;
    await nextTurn();
    this.#sinceMs = performance.now();
  }
}
