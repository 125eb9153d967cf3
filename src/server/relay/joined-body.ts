import { Readable } from 'node:stream';
import type { ReadNumbers } from '../../core/numbers.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import { anywhere } from '../../core/readers/cutting.ts';
import type { Reader, Sink } from '../../core/readers/reader.ts';
import type { Overflow } from '../../relay/pull/overflow.ts';
import type { OpenAnswer } from '../../relay/upstream/open-answer.ts';
import { StorageError, UpstreamError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';

const asItIs: Encoder = (parts) => parts;

/**
 * A part of a file that is still coming, or all of it, as a body. It is broken off when it does not come: what has come
 * arrives.
 */
export class JoinedBody extends Readable implements Sink {
  readonly encode = asItIs;
  readonly cutting = anywhere;
  readonly numbers: ReadNumbers;
  #reader: Reader | undefined;
  #skipped: number;
  #missing: number;
  readonly #overflow: Overflow | undefined;
  readonly #breakOff: () => boolean;
  #rest: OpenAnswer | undefined;

  /**
   * @param numbers where it is counted
   * @param breakOff breaks off the answer when all that has come is handed over; returns false when it cannot
   * @param length how many bytes it has. Default: all that come
   * @param skipped how many of those that come first are not among them
   * @param overflow what comes after what is in the file
   */
  constructor(
    numbers: ReadNumbers,
    breakOff: () => boolean,
    length = Number.POSITIVE_INFINITY,
    skipped = 0,
    overflow?: Overflow,
  ) {
    super();
    this.numbers = numbers;
    this.#breakOff = breakOff;
    this.#missing = length;
    this.#skipped = skipped;
    this.#overflow = overflow;
    // Nothing comes of which the end could be told.
    if (length === 0) this.push(null);
  }

  /** Gives it what it reads. */
  follow(reader: Reader): void {
    this.#reader = reader;
    if (this.destroyed) reader.leave();
    else this.#overflow?.claim();
  }

  override _read(): void {
    this.#reader?.drained();
    this.#rest?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reader?.leave();
    this.#overflow?.cancel();
    callback(error);
  }

  write(encoded: readonly Buffer[]): boolean {
    let isBelowMark = true;
    for (const bytes of encoded) {
      const wanted = bytes.subarray(this.#skipped, this.#skipped + this.#missing);
      this.#skipped = Math.max(0, this.#skipped - bytes.length);
      this.#missing -= wanted.length;
      if (wanted.length > 0) isBelowMark = this.push(wanted);
    }
    if (this.#missing > 0) return isBelowMark;
    // The file may grow beyond that.
    this.#reader?.leave();
    this.push(null);
    return false;
  }

  /** There is no way to say it in a body. */
  waiting(): void {}

  end({ reason }: Outcome): void {
    const rest = this.#rest === undefined ? this.#overflow?.from(this.#reader?.position ?? 0) : undefined;
    if (rest !== undefined) this.#goOn(rest);
    else if (this.#missing === Number.POSITIVE_INFINITY && reason === 'finished') this.push(null);
    else if (this.#missing > 0) this.#break(new UpstreamError(`the rest has not come: ${reason}`));
  }

  /** With what is not in the file any more. */
  #goOn(rest: OpenAnswer): void {
    this.#rest = rest;
    rest
      .consume((bytes) => this.write([bytes]))
      .then(
        () => this.end({ reason: 'finished' }),
        (error) => this.#break(error),
      );
  }

  fail(cause: unknown): void {
    this.#break(new StorageError('the file cannot be read', { cause }));
  }

  #break(error: Error): void {
    this.#reader?.leave();
    this.#overflow?.cancel();
    // Nobody has begun to send it.
    if (this.readableFlowing === null) this.destroy(error);
    if (this.destroyed) return;
    const breakWhenEmpty = () => {
      if (this.readableLength > 0) return;
      this.off('data', breakWhenEmpty);
      if (!this.#breakOff()) this.destroy(error);
    };
    this.on('data', breakWhenEmpty);
    breakWhenEmpty();
  }
}
