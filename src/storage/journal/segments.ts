import fs from 'node:fs';
import path from 'node:path';
import { syncDirectories } from '../file-io.ts';
import { readDirectory } from '../root/own-directory.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { type FoundEntry, type JournalEntry, readEntries, VOID_MARK } from './entry.ts';

const SEGMENT_NAME = /^(\d{10})\.log$/;

/** The numbered files of a log. */
export class Segments {
  readonly directory: string;

  /** @param directory absolute; may be missing */
  constructor(directory: string) {
    this.directory = directory;
  }

  /** Absolute. */
  nameOf(number: number): string {
    return path.join(this.directory, `${String(number).padStart(10, '0')}.log`);
  }

  /** Those that are there, in order. */
  async numbers(): Promise<number[]> {
    return (await readDirectory(this.directory))
      .flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** How many bytes there are in some of them. */
  async size(numbers: readonly number[]): Promise<number> {
    let bytes = 0;
    for (const number of numbers) bytes += (await fs.promises.stat(this.nameOf(number))).size;
    return bytes;
  }

  /**
   * Yields the records of some of them, see {@link readEntries}.
   *
   * @param progressed called with how many more bytes were read
   */
  async *entries<Header>(
    numbers: readonly number[],
    progressed: (bytes: number) => void,
  ): AsyncGenerator<JournalEntry<Header>, void, undefined> {
    for (const number of numbers) yield* entriesOf<Header>(this.nameOf(number), progressed);
  }

  /**
   * Makes records of one of them void. This takes no room on the disk, and for each record it is done or not, whatever
   * happens meanwhile.
   *
   * @param positions at which they begin
   * @param isDurable whether none may come back after a loss of power
   */
  async annul(number: number, positions: Iterable<number>, isDurable: boolean): Promise<void> {
    let handle: fs.promises.FileHandle;
    try {
      handle = await fs.promises.open(this.nameOf(number), 'r+');
    } catch (error) {
      // Dropped: nobody needs it any more.
      if (hasErrno(error, 'ENOENT')) return;
      throw error;
    }
    try {
      const mark = Buffer.of(VOID_MARK.byte);
      for (const position of positions) await handle.write(mark, 0, 1, position + VOID_MARK.offset);
      if (isDurable) await handle.datasync();
    } finally {
      await handle.close();
    }
  }

  /**
   * Removes some of them, in order.
   *
   * @param isDurable whether none may come back after a loss of power
   */
  async remove(numbers: readonly number[], isDurable: boolean): Promise<void> {
    for (const number of numbers) await fs.promises.rm(this.nameOf(number), { force: true });
    if (isDurable && numbers.length > 0) await syncDirectories(this.directory, this.directory);
  }
}

/** Yields the records of one file, see {@link readEntries}. */
export async function* entriesOf<Header>(
  name: string,
  progressed: (bytes: number) => void = () => {},
): AsyncGenerator<FoundEntry<Header>, void, undefined> {
  const handle = await fs.promises.open(name).catch((error) => {
    throw storageFailure(error);
  });
  try {
    yield* readEntries<Header>(handle.fd, progressed);
  } finally {
    await handle.close();
  }
}
