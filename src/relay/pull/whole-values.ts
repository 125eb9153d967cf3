import { ByteQueue } from '../../core/byte-queue.ts';
import { openLineBytes } from '../../core/readers/cutting.ts';

/** JSON that comes in pieces: readers get whole values, of a line each. */
export class WholeValues {
  /** What has come of a line that has no end yet. */
  readonly #line = new ByteQueue();

  /** How many bytes have come of a value that has no end yet. */
  get openBytes(): number {
    return this.#line.length;
  }

  /** Takes what comes next, which is its own from now on. Returns all that has an end by now; undefined when nothing more has. */
  whole(bytes: Buffer): Buffer | undefined {
    const open = openLineBytes([bytes]);
    const end = bytes.length - open;
    const ended = end > 0 ? [...this.#line.take().parts, bytes.subarray(0, end)] : [];
    this.#line.push(bytes.subarray(end));
    if (ended.length <= 1) return ended[0];
    return Buffer.concat(ended);
  }
}
