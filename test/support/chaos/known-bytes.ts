import type { Random } from '../random.ts';

/** A prime, so that no size that anything is cut into divides it. */
const BLOCK_BYTES = 3_000_017;

/** How far a byte that is at a wrong place is searched for. */
const SEARCH_BYTES = 2 * 1024 * 1024;

const SAMPLE_BYTES = 24;

/** Random bytes that are known for every position, so that each place tells what belongs there. */
export class KnownBytes {
  readonly #random: Random;
  readonly #kind: 'binary' | 'text';
  /** Made as far as somebody has asked: most tests need a part of it. */
  readonly #block = Buffer.allocUnsafe(BLOCK_BYTES);
  #madeBytes = 0;

  /** @param kind any bytes, or lines of text */
  constructor(random: Random, kind: 'binary' | 'text') {
    this.#random = random;
    this.#kind = kind;
  }

  /** The bytes at `start` and after. */
  slice(start: number, size: number): Buffer {
    this.#makeTo(Math.min(start + size, BLOCK_BYTES));
    const bytes = Buffer.allocUnsafe(size);
    for (let at = 0; at < size; ) at += this.#block.copy(bytes, at, (start + at) % BLOCK_BYTES);
    return bytes;
  }

  /**
   * Says what is wrong with bytes that should be those at `start`.
   *
   * @returns undefined when they are
   */
  difference(start: number, bytes: Buffer): string | undefined {
    const expected = this.slice(start, bytes.length);
    if (bytes.equals(expected)) return undefined;
    const offset = this.#commonBytes(bytes, expected);
    const sample = bytes.subarray(offset, offset + SAMPLE_BYTES);
    const from = Math.max(0, start + offset - SEARCH_BYTES);
    const found = this.slice(from, 2 * SEARCH_BYTES).indexOf(sample);
    const position = start + offset;
    const shift = from + found - position;
    const origin =
      found < 0 || sample.length < 8
        ? 'bytes that belong nowhere near'
        : `the bytes of position ${from + found} (${shift < 0 ? `${-shift} repeated` : `${shift} missing`})`;
    return `at position ${position} are ${origin}: ${sample.toString('hex')} instead of ${expected.subarray(offset, offset + SAMPLE_BYTES).toString('hex')}`;
  }

  /** How many of the first bytes are those at `start`. */
  matchingBytes(start: number, bytes: Buffer): number {
    return this.#commonBytes(bytes, this.slice(start, bytes.length));
  }

  #makeTo(size: number): void {
    const random = this.#random;
    for (; this.#madeBytes < size; this.#madeBytes++) {
      const isNewline = this.#kind === 'text' && random.chance(0.02);
      const [min, max] = this.#kind === 'text' ? [0x20, 0x7e] : [0, 255];
      this.#block[this.#madeBytes] = isNewline ? 0x0a : random.integer(min, max);
    }
  }

  #commonBytes(a: Buffer, b: Buffer): number {
    let low = 0;
    let high = Math.min(a.length, b.length);
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (a.compare(b, low, middle, low, middle) === 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
