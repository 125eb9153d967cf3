import fs, { constants } from 'node:fs';
import path from 'node:path';
import * as fileIo from '../file-io.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { OWN_FILE_MODE, readDirectory } from '../root/own-directory.ts';
import { hasErrno, storageFailure, withName } from '../storage-failure.ts';
import { type FoundEntry, type JournalEntry, readEntries, VOID_MARK } from './entry.ts';

const APPENDING = constants.O_WRONLY | constants.O_APPEND;

const SEGMENT_NAME = /^(\d{10})\.log$/;

/** Told which file of entries is damaged, and the position from which on nothing of it can be read. */
export type DamageListener = (name: string, position: number) => void;

/** The numbered files of a journal. */
export class Segments {
  readonly directory: string;

  /**
   * Names of empty files for the next segments, which are none of segments: by then the disk may have no room for one
   * more. Two are enough, since one goes on while the one before is still needed.
   */
  readonly #spares: readonly string[];

  /** How many of them there are, not counting those that a server that was killed has left. */
  #spareCount = 0;

  /** Of the one that makes, or removes. */
  readonly #turns = new KeyedLock();

  /** @param directory absolute; may be missing */
  constructor(directory: string) {
    this.directory = directory;
    this.#spares = [`${directory}.spare`, `${directory}.spare-2`];
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
   * @param damaged called for each that is damaged, with its name and the position from which on that is so
   */
  async *entries<Header>(
    numbers: readonly number[],
    progressed: (bytes: number) => void,
    damaged?: DamageListener,
  ): AsyncGenerator<JournalEntry<Header>, void, undefined> {
    for (const number of numbers) {
      const name = this.nameOf(number);
      yield* entriesOf<Header>(name, progressed, damaged && ((position) => damaged(name, position)));
    }
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
   * Makes one, of a file that is kept for that, if there is one.
   *
   * @returns a descriptor to append with
   */
  create(number: number): Promise<number> {
    return this.#inTurn(() => this.#create(number));
  }

  async #create(number: number): Promise<number> {
    const name = this.nameOf(number);
    if (this.#spareCount > 0) {
      this.#spareCount--;
      const spare = this.#spares[this.#spareCount] as string;
      const fd = await fileIo.open(spare, APPENDING | constants.O_TRUNC).catch(() => undefined);
      if (fd !== undefined) return this.#rename(fd, spare, name);
    }
    const fd = await fileIo.open(name, APPENDING | constants.O_CREAT | constants.O_EXCL, OWN_FILE_MODE);
    await this.#makeSpare().catch(() => undefined);
    return fd;
  }

  async #rename(fd: number, spare: string, name: string): Promise<number> {
    try {
      await fs.promises.rename(spare, name);
      return fd;
    } catch (error) {
      await fileIo.close(fd);
      throw error;
    }
  }

  async #makeSpare(): Promise<void> {
    const spare = this.#spares[0] as string;
    const flags = APPENDING | constants.O_CREAT | constants.O_TRUNC;
    await fileIo.close(await fileIo.open(spare, flags, OWN_FILE_MODE));
    this.#spareCount = 1;
  }

  /**
   * Removes some of them, in order. The files of the last ones are kept for the next segments.
   *
   * @param isDurable whether none may come back after a loss of power
   */
  remove(numbers: readonly number[], isDurable: boolean): Promise<void> {
    return this.#inTurn(() => this.#remove(numbers, isDurable));
  }

  async #remove(numbers: readonly number[], isDurable: boolean): Promise<void> {
    if (numbers.length === 0) return;
    const kept: string[] = [];
    const firstKept = numbers.length - (this.#spares.length - this.#spareCount);
    for (const [index, number] of numbers.entries()) {
      const name = this.nameOf(number);
      const spare = this.#spares[this.#spareCount];
      if (spare === undefined || index < firstKept) {
        await fs.promises.rm(name, { force: true });
      } else if (await isRenamed(name, spare)) {
        this.#spareCount++;
        kept.push(spare);
      }
    }
    if (isDurable) await fileIo.syncDirectories(this.directory, this.directory);
    // They are emptied again before they are used.
    for (const spare of kept) await fs.promises.truncate(spare).catch(() => undefined);
  }

  /** Removes the files that are kept for the next ones. */
  async removeSpares(): Promise<void> {
    for (const spare of this.#spares) await fs.promises.rm(spare, { force: true });
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    return this.#turns.run('', action);
  }
}

/** Whether a file was there to be renamed. */
async function isRenamed(from: string, to: string): Promise<boolean> {
  try {
    await fs.promises.rename(from, to);
    return true;
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    return false;
  }
}

/** Yields the entries of one file, see {@link readEntries}. */
export async function* entriesOf<Header>(
  name: string,
  progressed: (bytes: number) => void = () => {},
  damaged?: (position: number) => void,
): AsyncGenerator<FoundEntry<Header>, void, undefined> {
  const handle = await fs.promises.open(name).catch((error) => {
    throw storageFailure(error);
  });
  try {
    yield* readEntries<Header>(handle.fd, progressed, damaged);
  } catch (error) {
    throw storageFailure(withName(error, name));
  } finally {
    await handle.close();
  }
}
