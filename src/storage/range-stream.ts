import { Readable } from 'node:stream';
import type { BlockLoan } from './block-pool.ts';
import type { StoredFile } from './stored-file.ts';

/** Largest block: no larger one is quicker. */
const MAX_BLOCK_BYTES = 1024 * 1024;

/** A part of a file: bytes from `start` up to but not including `end`. */
export interface Range {
  start: number;
  end: number;
}

/** What to send: bytes made up on the spot, and ranges of a file. */
export type Piece = Buffer | Range;

/**
 * Streams `pieces` in order, and closes `file` at the end, however it comes.
 * Errors when the file turns out to be shorter than a range.
 */
export function streamPieces(file: StoredFile, pieces: readonly Piece[]): Readable {
  return new PieceStream(file, pieces);
}

class PieceStream extends Readable {
  readonly #file: StoredFile;
  readonly #pieces: Piece[];
  readonly #loan: BlockLoan;
  /** Settles when the file is not being read. */
  #reading: Promise<void> = Promise.resolve();

  constructor(file: StoredFile, pieces: readonly Piece[]) {
    // Nothing is read before somebody takes it.
    super({ highWaterMark: 0 });
    this.#file = file;
    this.#loan = file.blocks.lend(MAX_BLOCK_BYTES);
    this.#pieces = [...pieces];
  }

  override _read(): void {
    const piece = this.#pieces.shift();
    if (piece === undefined) this.push(null);
    else if (Buffer.isBuffer(piece)) this.push(piece);
    else this.#reading = this.#readRange(piece);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#loan.release();
    this.#reading
      .then(() => this.#file.close())
      .then(
        () => callback(error),
        (closeError) => callback(error ?? closeError),
      );
  }

  async #readRange({ start, end }: Range): Promise<void> {
    try {
      const block = await this.#file.read(start, Math.min(this.#loan.next(), end - start));
      if (block.length === 0) throw new Error('the file has become shorter while it was read');
      if (start + block.length < end) this.#pieces.unshift({ start: start + block.length, end });
      this.push(block);
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
