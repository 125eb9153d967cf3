import fs, { constants } from 'node:fs';
import path from 'node:path';
import * as fileIo from '../file-io.ts';
import { OWN_FILE_MODE, readDirectory } from '../root/own-directory.ts';
import { hasErrno, storageFailure, withName } from '../storage-failure.ts';
import { type FoundEntry, type JournalEntry, readEntries, VOID_MARK } from './entry.ts';

const APPENDING = constants.O_WRONLY | constants.O_APPEND;

const SEGMENT_NAME = /^(\d{10})\.log$/;

/** The numbered files of a journal. */
export class Segments {
  readonly directory: string;

  /**
   * A file for the next segment, with nothing in it, and a name that is none of a segment: by then the disk may have no
   * room for one more. It is made with the first one, and is the file of one that was removed after that.
   */
  readonly #spare: string;

  /** @param directory absolute; may be missing */
  constructor(directory: string) {
    this.directory = directory;
    this.#spare = `${directory}.spare`;
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
   * Yields the entries of some of them, see {@link readEntries}.
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
   * Makes entries of one of them void. This takes no room on the disk, and for each entry it is done or not, whatever
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
   * Makes one, of the file that is kept for that, if there is one.
   *
   * @returns a descriptor to append with
   */
  async create(number: number): Promise<number> {
    const fd = await fileIo.open(this.#spare, APPENDING | constants.O_TRUNC).catch(() => undefined);
    if (fd === undefined) {
      const made = await makeFile(this.nameOf(number));
      // It is used while the one that was just made is still there.
      await makeFile(this.#spare).then(fileIo.close, () => undefined);
      return made;
    }
    try {
      await fs.promises.rename(this.#spare, this.nameOf(number));
      return fd;
    } catch (error) {
      await fileIo.close(fd);
      throw error;
    }
  }

  /**
   * Removes some of them, in order. The file of the last one is kept for the next segment.
   *
   * @param isDurable whether none may come back after a loss of power
   */
  async remove(numbers: readonly number[], isDurable: boolean): Promise<void> {
    const last = numbers.at(-1);
    if (last === undefined) return;
    for (const number of numbers.slice(0, -1)) await fs.promises.rm(this.nameOf(number), { force: true });
    await fs.promises.rename(this.nameOf(last), this.#spare).catch((error) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
    });
    if (isDurable) await fileIo.syncDirectories(this.directory, this.directory);
    // It is emptied again before it is used.
    await fs.promises.truncate(this.#spare).catch(() => undefined);
  }

  /** Removes the file that is kept for the next one. */
  async removeSpare(): Promise<void> {
    await fs.promises.rm(this.#spare, { force: true });
  }
}

/** Returns a descriptor to append with. */
function makeFile(name: string): Promise<number> {
  return fileIo.open(name, APPENDING | constants.O_CREAT | constants.O_EXCL, OWN_FILE_MODE);
}

/** Yields the entries of one file, see {@link readEntries}. */
export async function* entriesOf<Header>(
  name: string,
  progressed: (bytes: number) => void = () => {},
): AsyncGenerator<FoundEntry<Header>, void, undefined> {
  const handle = await fs.promises.open(name).catch((error) => {
    throw storageFailure(error);
  });
  try {
    yield* readEntries<Header>(handle.fd, progressed);
  } catch (error) {
    throw storageFailure(withName(error, name));
  } finally {
    await handle.close();
  }
}
