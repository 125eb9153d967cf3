import { readSync } from 'node:fs';

const BLOCK_BYTES = 64 * 1024;

/** That there is nothing for the moment, or, of a terminal, any more. */
const NOTHING_THERE: readonly (string | undefined)[] = ['EAGAIN', 'EIO'];

/** Reads what a descriptor that does not block has to give now, up to 64 KiB. Empty when that is nothing. */
export function readAtOnce(descriptor: number): Buffer {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  try {
    return block.subarray(0, readSync(descriptor, block));
  } catch (error) {
    if (NOTHING_THERE.includes((error as NodeJS.ErrnoException).code)) return block.subarray(0, 0);
    throw error;
  }
}
