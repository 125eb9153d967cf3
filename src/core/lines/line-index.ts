import { type CountedFile, LINE_BLOCK_BYTES, type LineCounter, MAX_COUNTED_BYTES } from './line-counter.ts';

/** By so many bytes before the position it is told whether what was counted is still there. */
const CHECKED_BYTES = 64;

/**
 * How many line feeds each {@link LINE_BLOCK_BYTES} of a file have. It is a position that goes on when it is asked to, so
 * that who appends pays nothing for it.
 */
export class LineIndex {
  #counts = new Uint32Array(16);
  #position = 0;
  /** What is before the position. */
  #before: Buffer = Buffer.alloc(0);
  #cuts = 0;
  #pass: Promise<void> | undefined;

  /** Up to where it is known, in bytes. */
  get position(): number {
    return this.#position;
  }

  /** How often it had to begin anew, because another program had cut the file or written over it. */
  get cuts(): number {
    return this.#cuts;
  }

  /** How many blocks it knows of; the last one maybe in part. */
  get blockCount(): number {
    return Math.ceil(this.#position / LINE_BLOCK_BYTES);
  }

  /** Line feeds of the blocks from number `block` on. */
  countsFrom(block: number): Uint32Array {
    return this.#counts.slice(block, this.blockCount);
  }

  /**
   * Counts on, for `timeMs` at most and what one read takes, or joins who is doing so already.
   *
   * @param size how much of the file counts
   * @throws {StorageError} when the disk does not give the bytes
   */
  catchUp(file: CountedFile, size: number, counter: LineCounter, timeMs: number): Promise<void> {
    this.#pass ??= this.#advance(file, size, counter, performance.now() + timeMs).finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  async #advance(file: CountedFile, size: number, counter: LineCounter, deadline: number): Promise<void> {
    if (this.#position > size || !this.#before.equals(this.#readBefore(file))) this.#beginAnew();
    while (this.#position < size && performance.now() < deadline) {
      const start = this.#position;
      const middle = Math.min(size, start - (start % MAX_COUNTED_BYTES) + MAX_COUNTED_BYTES);
      const end = Math.min(size, middle + MAX_COUNTED_BYTES);
      // Two threads read.
      const [first, second] = await Promise.all([
        counter.countsOf(file, start, middle),
        counter.countsOf(file, middle, end),
      ]);
      // It was cut meanwhile, which shows the next time.
      if (first === undefined || second === undefined) return;
      this.#add(start, [...first, ...second]);
      this.#position = end;
      this.#before = this.#readBefore(file);
    }
  }

  #beginAnew(): void {
    this.#position = 0;
    this.#before = Buffer.alloc(0);
    this.#counts = new Uint32Array(16);
    this.#cuts++;
  }

  #readBefore(file: CountedFile): Buffer {
    const start = Math.max(0, this.#position - CHECKED_BYTES);
    return file.readInLine(start, this.#position - start);
  }

  #add(start: number, counts: readonly number[]): void {
    const first = Math.floor(start / LINE_BLOCK_BYTES);
    const needed = first + counts.length;
    if (needed > this.#counts.length) {
      const larger = new Uint32Array(Math.max(needed, 2 * this.#counts.length));
      larger.set(this.#counts);
      this.#counts = larger;
    }
    for (const [i, count] of counts.entries())
      this.#counts[first + i] = (this.#counts[first + i] as number) + count;
  }
}
