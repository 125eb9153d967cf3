import type { AppendFile } from '../storage/append-file.ts';
import type { FileState } from '../storage/file-io.ts';
import { ResourceGoneError, StorageError, StreamTruncatedError } from '../wire/errors.ts';

/**
 * Writes `parts` at the end of a file, and finds out whether it was this file
 * and this place: what another program does to a file is no append. What cannot
 * stay is taken back.
 *
 * @param start size that the file should have
 * @throws what {@link assertWritten} throws, and what the disk does
 */
export async function writeAtEnd(file: AppendFile, start: number, parts: readonly Buffer[]): Promise<void> {
  try {
    await file.write(parts);
  } catch (error) {
    await takeBack(file, start, parts).catch(ignore);
    throw error;
  }
  await assertWritten(file, start, parts, await file.state());
}

/**
 * Finds out whether `parts`, which were written at the end of a file, are where
 * they should be. What cannot stay is taken back.
 *
 * @param start size that the file should have had before
 * @param state of the file afterwards
 * @throws {ResourceGoneError} when the file was deleted
 * @throws {StreamTruncatedError} when it was cut
 * @throws {StorageError} when another program has written to it
 */
export async function assertWritten(
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
  state: FileState,
): Promise<void> {
  const size = parts.reduce((bytes, part) => bytes + part.length, start);
  if (!state.isLinked) throw new ResourceGoneError('the file was deleted');
  if (state.size === size) return;
  await takeBack(file, state.size - size + start, parts).catch(ignore);
  if (state.size < size) throw new StreamTruncatedError('the file was cut');
  throw new StorageError('another program writes to the file');
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

/** What is left was not committed: the next append begins at the size that the file then has. */
function ignore(): void {}
