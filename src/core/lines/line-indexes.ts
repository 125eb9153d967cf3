import { type CountedFile, LineCounter } from './line-counter.ts';
import { LineIndex } from './line-index.ts';

/** How many blocks are known of all files together: 16 MiB of numbers, of 1 TiB of files. */
const MAX_BLOCKS = 4 * 1024 * 1024;

/** How many files there is an index of at most. */
const MAX_FILES = 4096;

/** What is needed of a file. */
export type IndexedFile = CountedFile & { readonly stat: { readonly fingerprint: string } };

/** The line indexes of files that somebody wanted to see lately: made on demand, in memory only. */
export class LineIndexes {
  /** By fingerprint; the one that was used last is the last one. */
  readonly #indexes = new Map<string, LineIndex>();
  readonly #maxBlocks: number;
  #counter: LineCounter | undefined;

  /** @param maxBlocks how many blocks are known, of all files but the one that was used last. Default: 4 Mi */
  constructor(maxBlocks = MAX_BLOCKS) {
    this.#maxBlocks = maxBlocks;
  }

  /**
   * The index of a file, after it was brought forward for `timeMs` at most and what one read takes.
   *
   * @param size how much of the file counts
   * @throws {StorageError} when the disk does not give the bytes
   */
  async of(file: IndexedFile, size: number, timeMs: number): Promise<LineIndex> {
    const { fingerprint } = file.stat;
    const index = this.#indexes.get(fingerprint) ?? new LineIndex();
    this.#indexes.delete(fingerprint);
    this.#indexes.set(fingerprint, index);
    this.#counter ??= new LineCounter();
    await index.catchUp(file, size, this.#counter, timeMs);
    this.#evict();
    return index;
  }

  #evict(): void {
    let blocks = 0;
    for (const index of this.#indexes.values()) blocks += index.blockCount;
    for (const [fingerprint, index] of this.#indexes) {
      const isTooMuch = blocks > this.#maxBlocks || this.#indexes.size > MAX_FILES;
      if (!isTooMuch || this.#indexes.size === 1) return;
      blocks -= index.blockCount;
      this.#indexes.delete(fingerprint);
    }
  }
}
