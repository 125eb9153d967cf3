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
  return Readable.from(readPieces(file, pieces), { objectMode: false, highWaterMark: BLOCK_BYTES });
}

async function* readPieces(file: StoredFile, pieces: readonly Piece[]): AsyncGenerator<Buffer> {
  try {
    for (const piece of pieces) {
      if (Buffer.isBuffer(piece)) yield piece;
      else yield* readRange(file, piece);
    }
  } finally {
    await file.close();
  }
}

async function* readRange(file: StoredFile, { start, end }: Range): AsyncGenerator<Buffer> {
  for (let position = start; position < end; ) {
    const block = await file.read(position, Math.min(BLOCK_BYTES, end - position));
    if (block.length === 0) throw new Error('the file has become shorter while it was read');
    position += block.length;
    yield block;
  }
}
