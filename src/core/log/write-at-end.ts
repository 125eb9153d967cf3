import type { AppendFile } from '../../storage/append-file.ts';
import type { FileState } from '../../storage/file-io.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import {
  type HttpfstreamError,
  ResourceGoneError,
  StorageError,
  StreamTruncatedError,
} from '../../wire/errors.ts';

/**
 * Writes `parts` at the end of a file, and finds out whether it was this file
 * and this place: what another program does to a file is no append. What cannot
 * stay is taken back.
 *
 * @param start size that the file should have
 * @throws what {@link changeOf} finds, and what the disk does
 */
export async function writeAtEnd(file: AppendFile, start: number, parts: readonly Buffer[]): Promise<void> {
  try {
    await file.write(parts);
  } catch (error) {
    await tryToTakeBack(file, start, parts);
    throw error;
  }
  await assertWritten(file, start, parts, await file.state());
}

/**
 * As {@link writeAtEnd}, at the end of a turn. Without bytes it only finds out.
 *
 * @returns undefined when it was written in line, and all is well; else what it comes to
 */
export function writeAtEndOfTurn(
  turns: WriteTurns,
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
): Promise<void> | undefined {
  const end = endOf(start, parts);
  if (!turns.isInLine(end - start)) return turns.byThread(() => writeAtEnd(file, start, parts));
  try {
    const state = turns.write(file, parts);
    return changeOf(end, state) === undefined ? undefined : assertWritten(file, start, parts, state);
  } catch (error) {
    return tryToTakeBack(file, start, parts).then(() => Promise.reject(error));
  }
}

/**
 * Finds out whether `parts`, which were written at the end of a file, are where
 * they should be. What cannot stay is taken back.
 *
 * @param start size that the file should have had before
 * @param state of the file afterwards
 * @throws what {@link changeOf} finds
 */
export async function assertWritten(
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
  state: FileState,
): Promise<void> {
  const size = endOf(start, parts);
  const change = changeOf(size, state);
  if (change === undefined) return;
  if (state.isLinked) await tryToTakeBack(file, state.size - size + start, parts);
  throw change;
}

/** Position after `parts`, of which the first byte is at `start`. */
function endOf(start: number, parts: readonly Buffer[]): number {
  let end = start;
  for (const { length } of parts) end += length;
  return end;
}

/**
 * What another program has done to a file.
 *
 * @param size that it should have
 * @returns a {@link ResourceGoneError} when it was deleted, a {@link StreamTruncatedError} when it was cut, a
 *   {@link StorageError} when it was written to; undefined when all is well
 */
function changeOf(size: number, state: FileState): HttpfstreamError | undefined {
  if (!state.isLinked) return new ResourceGoneError('the file was deleted');
  if (state.size === size) return undefined;
  if (state.size < size) return new StreamTruncatedError('the file was cut');
  return new StorageError('another program writes to the file');
}

/**
 * Cuts off what was written of `parts` from `start` on, a torn tail for
 * instance, if nothing else is there: another program's bytes stay. To do it twice is as good as once.
 *
 * @throws what the disk does; then they may be there
 */
export async function takeBack(file: AppendFile, start: number, parts: readonly Buffer[]): Promise<void> {
  if (start < 0) return;
  const bytes = Buffer.concat(parts);
  const written = await file.read(start, bytes.length + 1);
  const isOurs =
    written.length > 0 && written.length <= bytes.length && written.equals(bytes.subarray(0, written.length));
  if (isOurs) await file.truncate(start);
}

/** As {@link takeBack}. What is left was not committed: the next append begins at the size that the file then has. */
async function tryToTakeBack(file: AppendFile, start: number, parts: readonly Buffer[]): Promise<void> {
  await takeBack(file, start, parts).catch(() => undefined);
}
