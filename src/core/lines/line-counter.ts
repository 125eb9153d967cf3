import { COUNTED_BYTES, NewlineCounter } from '../../storage/newline-counter.ts';
import type { OpenFile } from '../open-file.ts';
import { Slots } from '../slots.ts';

/** For how many bytes of a file there is one number. */
export const LINE_BLOCK_BYTES = 256 * 1024;

/** How much is counted at a time, in bytes. */
export const MAX_COUNTED_BYTES = COUNTED_BYTES;

/** What is needed of a file. */
export type CountedFile = Pick<OpenFile, 'readInLine' | 'readInto'>;

/** Counts the line feeds of files: of all of them together two blocks at a time, which leaves threads for others. */
export class LineCounter {
  readonly #counter = new NewlineCounter();
  readonly #free = [...this.#counter.blocks];
  readonly #slots = new Slots(this.#free.length);

  /**
   * Counts the line feeds from `start` up to but not including `end`, {@link MAX_COUNTED_BYTES} later at most.
   *
   * @returns one number for each {@link LINE_BLOCK_BYTES} of the file that the range touches; undefined when the file is shorter
   * @throws {StorageError} when the disk does not give the bytes
   */
  async countsOf(file: CountedFile, start: number, end: number): Promise<number[] | undefined> {
    if (start === end) return [];
    return this.#slots.run(async () => {
      const block = this.#free.pop() as Buffer;
      try {
        const isThere = await fill(file, block.subarray(0, end - start), start);
        return isThere ? this.#countsIn(block, start, end) : undefined;
      } finally {
        this.#free.push(block);
      }
    });
  }

  #countsIn(block: Buffer, start: number, end: number): number[] {
    const counts: number[] = [];
    for (let at = start; at < end; ) {
      const next = Math.min(end, at - (at % LINE_BLOCK_BYTES) + LINE_BLOCK_BYTES);
      counts.push(this.#counter.count(block, at - start, next - start));
      at = next;
    }
    return counts;
  }
}

/** Reads as many bytes as there is room for. Resolves with whether the file has them. */
async function fill(file: CountedFile, block: Buffer, position: number): Promise<boolean> {
  for (let filled = 0; filled < block.length; ) {
    const bytes = await file.readInto(block.subarray(filled), position + filled);
    if (bytes === 0) return false;
    filled += bytes;
  }
  return true;
}
