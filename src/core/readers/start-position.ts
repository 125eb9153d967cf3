import type { StoredFile } from '../../storage/stored-file.ts';
import { InvalidRequestError, RangeNotSatisfiableError } from '../../wire/errors.ts';

/** How many lines are looked for. */
export const MAX_LINES = 10_000_000;

/** How far from the end they are looked for, in bytes. */
export const MAX_SEARCHED_BYTES = 1024 * 1024 * 1024;

/** Where a follower begins. `lines` and `from` exclude each other; without both at the beginning. */
export interface StartPosition {
  /** First byte; negative: that many bytes before the end. */
  from?: number | undefined;
  /** At the last so many lines. */
  lines?: number | undefined;
}

/** The first read is small, so that the last lines are there at once; … */
const FIRST_BLOCK_BYTES = 64 * 1024;

/**
 * … each one after it is twice as large up to this, because each is a trip to another thread, and others have their
 * turn after it.
 */
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
 * @param signal gives up a search that takes long
 * @throws {InvalidRequestError} when that are too many lines, or too many bytes: they may be long
 * @throws the signal's reason when it aborts
 */
export async function startOfLastLines(
  lines: number,
  file: StoredFile,
  size: number,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  // Each has one byte at least.
  if (lines >= size) return 0;
  assertLines(lines);
  if (lines === 0) return size;
  let remaining = lines;
  // The newline at the very end ends the last line; it begins none.
  let end = size - 1;
  for (let length = FIRST_BLOCK_BYTES; end > 0; length = Math.min(2 * length, MAX_BLOCK_BYTES)) {
    assertSearched(size - end);
    const start = Math.max(0, end - length);
    const block = await file.read(start, end - start);
    signal.throwIfAborted();
    // Most blocks of a file whose lines are long have none; where they are short, a search for each costs more than
    // all bytes.
    for (let at = block.lastIndexOf(NEWLINE); at >= 0; at--) {
      if (block[at] !== NEWLINE) continue;
      remaining--;
      if (remaining === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

/** @throws {InvalidRequestError} when so many lines are not looked for */
function assertLines(lines: number): void {
  if (lines > MAX_LINES)
    throw new InvalidRequestError(`at most the last ${MAX_LINES} lines can be asked for`);
}

function assertSearched(bytes: number): void {
  if (bytes < MAX_SEARCHED_BYTES) return;
  throw new InvalidRequestError(
    `the last lines are longer than ${MAX_SEARCHED_BYTES} bytes: ask for fewer of them, or begin with from`,
  );
}
