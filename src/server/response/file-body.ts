import { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { BlockLoan, OpenFile } from '../../core/open-file.ts';
import { StorageError } from '../../wire/errors.ts';
import { BlockWriter, type BytesNumbers } from './block-writer.ts';

/** Largest block: no larger one is quicker. */
const MAX_BLOCK_BYTES = 1024 * 1024;

/** A part of a file: bytes from `start` up to but not including `end`. */
export interface Range {
  start: number;
  end: number;
}

/** What to send: bytes made up on the spot, and ranges of a file. */
export type BodyPart = Buffer | Range;

/**
 * Pieces of a file, in order; the file is closed at the end, however it comes. Fails when the file turns out to be
 * shorter than a range.
 *
 * It can be piped like any other stream. Into a response it bypasses the stream, in blocks that are reused: that saves
 * the memory, and about a third of the time, that new ones take.
 */
export class FileBody extends Readable {
  readonly #file: OpenFile;
  readonly #pieces: BodyPart[];
  readonly #loan: BlockLoan;
  readonly #numbers: BytesNumbers;
  #writer: BlockWriter | undefined;
  /** Settles when the file is not being read. */
  #reading: Promise<void> = Promise.resolve();

  /** @param numbers where it is counted how much is read of it. Default: nowhere */
  constructor(file: OpenFile, pieces: readonly BodyPart[], numbers: BytesNumbers = { bytes: 0 }) {
    // Nothing is read ahead.
    super({ highWaterMark: 0 });
    this.#file = file;
    this.#numbers = numbers;
    this.#loan = file.blocks.lend(MAX_BLOCK_BYTES);
    this.#pieces = [...pieces];
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    if (!(destination instanceof ServerResponse)) return super.pipe(destination, options);
    // In this order: else Fastify takes the response for one that was broken off.
    if (options?.end !== false) this.once('end', () => destination.end());
    // The callbacks of writes to a connection that is gone may never be called.
    destination.once('close', () => this.destroy());
    const start = () => {
      this.#reading = this.#writeTo(destination);
    };
    // Behind another request's answer it has no socket yet.
    if (destination.socket === null) destination.once('socket', start);
    else start();
    return destination;
  }

  override _read(): void {
    const piece = this.#pieces.shift();
    if (piece === undefined) this.push(null);
    else if (Buffer.isBuffer(piece)) this.push(piece);
    else this.#reading = this.#readRange(piece);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#writer?.stop();
    this.#reading
      .then(() => {
        this.#loan.release();
        return this.#file.close();
      })
      .then(
        () => callback(error),
        (closeError) => callback(error ?? closeError),
      );
  }

  /** Never rejects. */
  async #writeTo(response: ServerResponse): Promise<void> {
    if (this.destroyed) return;
    const writer = new BlockWriter(response, this.#loan, this.#numbers);
    this.#writer = writer;
    try {
      for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
        if (Buffer.isBuffer(piece)) writer.write(piece);
        else await writer.writeRange(this.#file, piece.start, piece.end);
      }
      await writer.taken();
      // To its end: nothing is left to be read.
      this.resume();
    } catch (error) {
      this.destroy(writer.isStopped ? undefined : (error as Error));
    }
  }

  async #readRange({ start, end }: Range): Promise<void> {
    try {
      const block = await this.#file.read(start, Math.min(this.#loan.next(), end - start));
      if (block.length === 0) throw new StorageError('the file has become shorter while it was read');
      if (start + block.length < end) this.#pieces.unshift({ start: start + block.length, end });
      this.#numbers.bytes += block.length;
      this.push(block);
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
