import type { FileState } from '../../storage/file-io.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import { IN_LINE_BYTES } from '../../storage/stored-file.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import {
  AppendBusyError,
  type HttpfstreamError,
  ResourceGoneError,
  StorageError,
  StreamTruncatedError,
} from '../../wire/errors.ts';

/** Another program writes to a file, too. */
class OtherWriterError extends StorageError {}

/** What became of a write that failed. */
export interface WriteFailure {
  /** What was found, or what the disk had done. */
  cause: unknown;
  /** What it may have left in the file; undefined when that is nothing. */
  remnant: Remnant | undefined;
}

/** Bytes of a write that failed, or does not count after all, at the end of a file. */
export class Remnant {
  readonly #file: AppendFile;
  readonly #bytes: Buffer;
  readonly #start: number;
  /** Position after them; undefined until it was looked for. */
  #end: number | undefined;
  #isDone = false;
  #mayStay = false;

  /**
   * @param start size that the file had before
   * @param end position after them. Default: the size that the file has when it is looked at first
   */
  constructor(file: AppendFile, bytes: Buffer, start: number, end?: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** Whether some of them may be in the file for good, {@link cutOff} or not: another program writes there, too. */
  get mayStay(): boolean {
    return this.#mayStay;
  }

  /**
   * Cuts them off, once, if they are still what the file ends with: another program's bytes stay, be they the same.
   *
   * @throws what the disk does; then they may be there
   */
  async cutOff(): Promise<void> {
    if (this.#isDone) return;
    this.#end ??= (await this.#file.state()).size;
    const { length } = this.#bytes;
    const start = this.#end - length;
    const isCut =
      start >= 0 &&
      (await isAt(this.#file, start, this.#bytes)) &&
      this.#file.truncateInLine(start, this.#end);
    // What is written at once is gone where the file was cut; of more there may be what was written after that.
    const isGone = this.#end <= this.#start && length <= IN_LINE_BYTES;
    this.#mayStay = !isCut && !isGone;
    this.#isDone = true;
  }
}

/**
 * Writes `parts` at the end of a file, and finds out whether it was this file
 * and this place: what another program does to a file is no append. What cannot
 * stay is cut off, if the disk lets it. Nothing is written to one that has changed: where it was cut readers would
 * find the bytes at positions that are others'. Never rejects.
 *
 * @param start size that the file should have
 * @returns what went wrong, see {@link changeOf}, too; undefined when all is well
 */
export async function writeAtEnd(
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
): Promise<WriteFailure | undefined> {
  const before = file.written.bytes;
  try {
    const cause = changeOf(start, file.stateInLine());
    if (cause !== undefined) return { cause, remnant: undefined };
    await file.write(parts);
    return await checkWritten(file, start, parts, await file.state());
  } catch (cause) {
    return failureOf(file, start, parts, file.written.bytes - before, cause);
  }
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
): Promise<WriteFailure | undefined> | undefined {
  const end = endOf(start, parts);
  if (!turns.isInLine(end - start)) return turns.byThread(() => writeAtEnd(file, start, parts));
  const before = file.written.bytes;
  try {
    const cause = changeOf(start, file.stateInLine());
    if (cause !== undefined) return Promise.resolve({ cause, remnant: undefined });
    const state = turns.write(file, parts);
    return changeOf(end, state) === undefined ? undefined : checkWritten(file, start, parts, state);
  } catch (cause) {
    return failureOf(file, start, parts, file.written.bytes - before, cause);
  }
}

/** @param state of the file after `parts` were written */
async function checkWritten(
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
  state: FileState,
): Promise<WriteFailure | undefined> {
  const end = endOf(start, parts);
  const cause = changeOf(end, state);
  if (cause === undefined) return undefined;
  if (!state.isLinked || end === start) return { cause, remnant: undefined };
  const bytes = Buffer.concat(parts);
  // What is behind them another program has appended since.
  const isMade = state.size > end && (await isAt(file, start, bytes).catch(() => false));
  return isMade ? undefined : cutOff(cause, new Remnant(file, bytes, start, state.size));
}

/** @param count how many bytes of `parts` were written */
async function failureOf(
  file: AppendFile,
  start: number,
  parts: readonly Buffer[],
  count: number,
  cause: unknown,
): Promise<WriteFailure> {
  if (count === 0) return { cause, remnant: undefined };
  return cutOff(cause, new Remnant(file, Buffer.concat(parts).subarray(0, count), start));
}

/** What is left was not committed: the next append begins at the size that the file then has. */
async function cutOff(cause: unknown, remnant: Remnant): Promise<WriteFailure> {
  await remnant.cutOff().catch(() => undefined);
  return { cause, remnant };
}

async function isAt(file: AppendFile, position: number, bytes: Buffer): Promise<boolean> {
  const { length } = bytes;
  // In line if they are few: nobody is to read them meanwhile.
  const isInLine = length <= IN_LINE_BYTES;
  const found = isInLine ? file.readInLine(position, length) : await file.read(position, length);
  return found.equals(bytes);
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
 *   {@link OtherWriterError} when it was written to; undefined when all is well
 */
function changeOf(size: number, state: FileState): HttpfstreamError | undefined {
  if (!state.isLinked) return new ResourceGoneError('the file was deleted');
  if (state.size === size) return undefined;
  if (state.size < size) return new StreamTruncatedError('the file was cut');
  return new OtherWriterError('another program writes to the file');
}

/** What a single append is refused with: another program's bytes are in nobody's way. */
export function asBusy(error: unknown): unknown {
  if (!(error instanceof OtherWriterError)) return error;
  return new AppendBusyError('another program has written to the file', { cause: error });
}
