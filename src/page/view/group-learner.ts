import type { BlockStore } from '../bytes/block-store.ts';
import type { GroupOutline } from '../groups/group-outline.ts';
import { marksIn } from '../groups/marks.ts';

const LF = 0x0a;

/** A log with groups is read as a whole for them up to this size, in bytes; of a larger one, what is looked at. */
const MAX_WHOLE_BYTES = 8 * 1024 * 1024;

/** Finds out which groups a log has. */
export class GroupLearner {
  readonly #store: BlockStore;
  readonly #outline: GroupOutline;
  /** How many bytes the log had when all of it was read. */
  #wholeSize = 0;
  #isReading = false;

  constructor(store: BlockStore, outline: GroupOutline) {
    this.#store = store;
    this.#outline = outline;
  }

  /** Learns from bytes that are looked at. `at` is the position of the first. */
  learn(bytes: Uint8Array, at: number): void {
    // A row may begin within a line: only whole lines tell all.
    const first = at === 0 ? 0 : bytes.indexOf(LF) + 1;
    const end = bytes.lastIndexOf(LF) + 1;
    if (first >= end) return;
    this.#outline.learn({ from: at + first, to: at + end }, marksIn(bytes.subarray(first, end), at + first));
  }

  /**
   * Reads the whole log, if it is known to have groups and is not too large: where they end, and what failed in them, may be
   * far from where they begin. Resolves with whether more is known.
   *
   * @throws what reading throws
   */
  async learnWhole(): Promise<boolean> {
    const { size } = this.#store;
    const isNeeded = size > this.#wholeSize && size <= MAX_WHOLE_BYTES && this.#outline.groups.length > 0;
    if (!isNeeded || this.#isReading) return false;
    this.#isReading = true;
    try {
      await this.#store.load(0, size);
      const bytes = this.#store.slice(0, size);
      if (bytes === undefined) return false;
      this.#wholeSize = size;
      this.learn(bytes, 0);
      return true;
    } finally {
      this.#isReading = false;
    }
  }
}
