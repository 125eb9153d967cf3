import { Readable } from 'node:stream';
import type { StoredFile } from './stored-file.ts';

/** Large, because each read is a trip to another thread. */
const BLOCK_BYTES = 1024 * 1024;

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
  /** Settles when the file is not being read. */
  #reading: Promise<void> = Promise.resolve();

  constructor(file: StoredFile, pieces: readonly Piece[]) {
    super({ highWaterMark: BLOCK_BYTES });
    this.#file = file;
    this.#pieces = [...pieces];
  }

  override _read(): void {
    const piece = this.#pieces.shift();
    if (piece === undefined) this.push(null);
    else if (Buffer.isBuffer(piece)) this.push(piece);
    else this.#reading = this.#readRange(piece);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#reading
      .then(() => this.#file.close())
      .then(
        () => callback(error),
        (closeError) => callback(error ?? closeError),
      );
  }

  async #readRange({ start, end }: Range): Promise<void> {
    try {
      const block = await this.#file.read(start, Math.min(BLOCK_BYTES, end - start));
      if (block.length === 0) throw new Error('the file has become shorter while it was read');
      if (start + block.length < end) this.#pieces.unshift({ start: start + block.length, end });
      this.push(block);
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
