import fs from 'node:fs';
import * as fileIo from '../file-io.ts';

/** It is slow to make files here when they take longer than this on average, of about the last … */
const SLOW_MS = 0.25;

/** … so many, each counted for … */
const AVERAGE_OF = 16;

/** … so much at most, since the machine may have been busy with something else; … */
const MAX_COUNTED_MS = 2;

/** … or when one takes as long as this: … */
const STALL_MS = 10;

/** … then none is made in line for so long, or for twice as long as before if it is slow again soon after, … */
const SLOW_FOR_MS = 250;

/** … up to this: then it is tried again. */
const MAX_SLOW_FOR_MS = 60_000;

/**
 * Makes files: in line, which costs less than any trip to a thread, as long as that is quick. A file system may look
 * long for a place, as ext4 does where much was deleted, or wait for the disk: then threads do it for a while.
 */
export class FileMaker {
  #averageMs = 0;
  #slowUntilMs = 0;
  #slowForMs = SLOW_FOR_MS;

  /**
   * Opens a file that may have to be made.
   *
   * @throws what the system does
   */
  async open(name: string, flags: number, mode: number): Promise<number> {
    const startMs = performance.now();
    if (startMs < this.#slowUntilMs) return fileIo.open(name, flags, mode);
    try {
      return fs.openSync(name, flags, mode);
    } finally {
      this.#note(startMs, performance.now());
    }
  }

  #note(startMs: number, endMs: number): void {
    const ms = endMs - startMs;
    this.#averageMs += (Math.min(ms, MAX_COUNTED_MS) - this.#averageMs) / AVERAGE_OF;
    if (this.#averageMs < SLOW_MS && ms < STALL_MS) return;
    const isAgain = startMs < this.#slowUntilMs + this.#slowForMs;
    this.#slowForMs = isAgain ? Math.min(2 * this.#slowForMs, MAX_SLOW_FOR_MS) : SLOW_FOR_MS;
    this.#slowUntilMs = endMs + this.#slowForMs;
    this.#averageMs = 0;
  }
}
