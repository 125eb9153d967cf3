import { RangeNotSatisfiableError } from '../errors.ts';
import type { StoredFile } from '../storage/stored-file.ts';

/** Where a follower begins. `lines` and `from` exclude each other; without both at the beginning. */
export interface StartPosition {
  /** First byte; negative: that many bytes before the end. */
  from?: number | undefined;
  /** At the last so many lines. */
  lines?: number | undefined;
}

/** The first read is small, so that the last lines are there at once; … */
const FIRST_BLOCK_BYTES = 64 * 1024;

/** … each one after it is twice as large up to this, because each is a trip to another thread. */
const MAX_BLOCK_BYTES = 1024 * 1024;

const NEWLINE = 0x0a;

/**
 * The position at which a follower begins that asks for `from`.
 *
 * @param size how many bytes of the file count
 * @throws {RangeNotSatisfiableError} when it is beyond that
 */
export function startAt(from: number | undefined, size: number): number {
  if (from === undefined) return 0;
  if (from < 0) return Math.max(0, size + from);
  if (from > size) throw new RangeNotSatisfiableError(`the file has ${size} bytes, fewer than ${from}`);
  return from;
}

/**
 * The position at which the last so many lines begin, counted as `tail -n` does:
 * a last line without its newline is a line.
 *
 * @param size how many bytes of the file count
 * @param signal gives up a search that takes long: the file may be all one line
 * @throws the signal's reason when it aborts
 */
export async function startOfLastLines(
  lines: number,
  file: StoredFile,
  size: number,
  signal: AbortSignal,
): Promise<number> {
  if (lines === 0) return size;
  let remaining = lines;
  // The newline at the very end ends the last line; it begins none.
  let end = size - 1;
  for (let length = FIRST_BLOCK_BYTES; end > 0; length = Math.min(2 * length, MAX_BLOCK_BYTES)) {
    signal.throwIfAborted();
    const start = Math.max(0, end - length);
    const block = await file.read(start, end - start);
    for (
      let at = block.lastIndexOf(NEWLINE);
      at !== -1;
      at = at === 0 ? -1 : block.lastIndexOf(NEWLINE, at - 1)
    ) {
      remaining--;
      if (remaining === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}
