import { randomBytes } from 'node:crypto';
import fs, { constants } from 'node:fs';
import path from 'node:path';
import { PathConflictError } from '../../wire/errors.ts';
import { RESERVED_SEGMENT, type ResourcePath } from '../../wire/resource-path.ts';
import { BlockPool } from '../block-pool.ts';
import * as fileIo from '../file-io.ts';
import { NewFile } from '../new-file.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import { AppendFile, RepairFile, StoredFile } from '../stored-file.ts';
import { DirectoryEntries, isAddressable } from './directory-entries.ts';
import { FileMaker } from './file-maker.ts';
import { FileSystems } from './file-systems.ts';
import type { HeldPath } from './held-path.ts';
import { NameWatches } from './name-watches.ts';
import { OWN_DIRECTORY_MODE } from './own-directory.ts';
import {
  appendingError,
  DEFAULT_FILE_MODE,
  leadsOut,
  linked,
  nameOf,
  noFile,
  notFound,
  OutsideError,
  RootDirectory,
  readingFailure,
  type SyncOptions,
  symlinkError,
} from './root-directory.ts';
import { type Fingerprints, type FoundName, fingerprintsIn, statFound, walk } from './walk.ts';

const APPENDING = constants.O_RDWR | constants.O_APPEND;

// So that opening a FIFO does not wait for its other end for ever.
const SAFELY = constants.O_NONBLOCK;

/** What becomes of a name in a listing: it is in it, or is not, or the listing ends before it. */
export type Verdict = 'shown' | 'hidden' | 'enough';

/** One name in a directory. */
export interface DirectoryEntry extends fileIo.FileStat {
  name: string;
}

/**
 * What lies in the server's own directory; the last three are of version 0.3, and moved together while they are
 * removed.
 */
export type OwnName =
  | 'records'
  | 'reserve'
  | 'redo'
  | 'quarantine'
  | 'incoming'
  | 'aside'
  | 'lock'
  | 'identity'
  | 'imported-0.3'
  | 'meta'
  | 'gone'
  | 'expiring';

/** How a {@link Root} makes files. */
export interface RootOptions {
  /** Mode of the files that are made for users; the process's umask is taken from it. */
  fileMode: number;
}

/**
 * The directory that holds everything. Every method takes a cleaned path and
 * refuses what a symlink would lead out of the directory: a path is looked up
 * once, what it led to is held, and only that is read, written, made in or
 * deleted from (see {@link HeldPath}).
 */
export class Root {
  /** What is at single names of directories. */
  readonly entries: DirectoryEntries;
  readonly #directory: RootDirectory;
  readonly #fileSystems: FileSystems;
  readonly #fileMode: number;
  readonly #blocks = new BlockPool();
  readonly #maker = new FileMaker();
  /** How many files are being made. */
  #makers = 0;

  private constructor(directory: RootDirectory, fileSystems: FileSystems, { fileMode }: RootOptions) {
    this.entries = new DirectoryEntries(directory);
    this.#directory = directory;
    this.#fileSystems = fileSystems;
    this.#fileMode = fileMode;
  }

  /**
   * Opens a root; makes the directory if it is missing.
   *
   * @throws {InvalidRootError} when it cannot be made, entered or written
   */
  static async open(
    directory: string,
    options: RootOptions = { fileMode: DEFAULT_FILE_MODE },
  ): Promise<Root> {
    const opened = await RootDirectory.open(directory);
    return new Root(opened, await FileSystems.of(opened.name), options);
  }

  /**
   * Tells what is at a path.
   *
   * @throws {ResourceNotFoundError} when nothing is, or it is out of the root
   */
  async stat(resource: ResourcePath): Promise<fileIo.FileStat> {
    return readingFailure(() => {
      const held = this.#directory.find(resource);
      try {
        return linkedStat(held);
      } finally {
        held.release();
      }
    });
  }

  /**
   * Opens a file or a directory for reading; `stat` tells which. The caller closes it.
   *
   * @throws {ResourceNotFoundError} when there is neither, or it is out of the root
   */
  async openRead(resource: ResourcePath): Promise<StoredFile> {
    const name = this.#directory.locate(resource);
    const { fd, stat, location } = readingFailure(() =>
      this.#openThere(name, constants.O_RDONLY, ({ kind }) => {
        if (kind === 'other') throw notFound();
      }),
    );
    return new StoredFile(fd, stat, location, this.#blocks);
  }

  /**
   * Opens a regular file for appending. The caller closes it.
   *
   * @param options.create whether to make the file, and the directories that lead to it, if they are missing
   * @throws {ResourceNotFoundError} when it is missing and may not be made
   * @throws {PathConflictError} when a directory is at the path, or a file on the way to it
   * @throws {ForbiddenPathError} when the path leads out of the root
   * @throws {InvalidPathError} when too many directories would have to be made
   */
  async openAppend(resource: ResourcePath, { create }: { create: boolean }): Promise<AppendFile> {
    if (resource.isRoot) throw new PathConflictError('the root is a directory');
    if (!create) return readingFailure(() => this.#openExisting(this.#directory.locate(resource)));
    return this.#making(() => this.#openMade(resource));
  }

  async #openMade(resource: ResourcePath): Promise<AppendFile> {
    const directory = await this.#directory.makeWayTo(resource);
    const name = nameOf(resource);
    let fd: number;
    try {
      const flags = APPENDING | constants.O_CREAT | constants.O_NOFOLLOW | SAFELY;
      fd = await this.#maker.open(path.join(directory.entry, name), flags, this.#fileMode);
      confirmOrClose(directory, fd, name);
    } catch (error) {
      if (!hasErrno(error, 'ELOOP')) throw appendingError(error);
      // A symlink, through which only what is there is appended to.
      try {
        return this.#openExisting(this.#directory.locate(resource));
      } catch (cause) {
        throw symlinkError(cause);
      }
    } finally {
      directory.release();
    }
    const stat = describeOrClose(fd);
    if (stat.kind !== 'file') {
      fs.closeSync(fd);
      throw noFile();
    }
    return new AppendFile(
      fd,
      stat,
      this.#directory.locationOf(path.join(directory.real, name)),
      this.#blocks,
    );
  }

  /**
   * As {@link openAppend}, of the file at a place.
   *
   * @param location path below the root, with symlinks resolved
   */
  async openAppendAt(location: string): Promise<AppendFile> {
    return readingFailure(() => this.#openExisting(path.join(this.#directory.name, location)));
  }

  /**
   * Makes the names of a file and of the directories that lead to it survive a loss of power.
   *
   * @param location path below the root, with symlinks resolved
   * @param options.isRemoved whether it is to survive that the file is gone: then directories may be gone, too.
   *   Default: false
   */
  syncNames(location: string, options: SyncOptions = {}): Promise<void> {
    return this.#directory.syncNames(location, options);
  }

  /**
   * Makes an empty file that has no name in the root yet. The caller publishes or discards it.
   *
   * @param mode default: as users' files are made
   * @throws what the disk does
   */
  async newFile(mode = this.#fileMode): Promise<NewFile> {
    const directory = this.own('incoming');
    const name = path.join(directory, randomBytes(12).toString('hex'));
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;
    try {
      const fd = await this.#maker.open(name, flags, mode).catch(async (error) => {
        if (!hasErrno(error, 'ENOENT')) throw error;
        await fileIo.makeDirectories(directory, OWN_DIRECTORY_MODE);
        return this.#maker.open(name, flags, mode);
      });
      return new NewFile(fd, describeOrClose(fd), name, this.#blocks);
    } catch (error) {
      throw storageFailure(error);
    }
  }

  /**
   * Gives a new file its name in the root, and makes the directories that lead to it.
   *
   * @returns the path below the root; undefined when something has that name, and then nothing has changed
   * @throws {PathConflictError} when a file stands on the way
   * @throws {ForbiddenPathError} when the path leads out of the root
   */
  async publish(file: NewFile, resource: ResourcePath): Promise<string | undefined> {
    if (resource.isRoot) throw new PathConflictError('the root is a directory');
    return this.#making(() => this.#publish(file, resource));
  }

  async #publish(file: NewFile, resource: ResourcePath): Promise<string | undefined> {
    const directory = await this.#directory.makeWayTo(resource);
    const name = nameOf(resource);
    try {
      await file.publish(path.join(directory.entry, name));
      if (!directory.confirms(file.descriptor, name)) throw leadsOut();
      return this.#directory.locationOf(path.join(directory.real, name));
    } catch (error) {
      if (!hasErrno(error, 'EEXIST')) throw storageFailure(error);
      this.#directory.assertInside(resource);
      return undefined;
    } finally {
      directory.release();
    }
  }

  /**
   * Takes a file's name away, in line, so that nothing of this server comes between what was judged and this. Who has
   * it open keeps its bytes.
   *
   * @param fingerprint of the file that is meant
   * @returns false when another one has the name by now, which stays
   * @throws {ResourceNotFoundError} when there is nothing
   * @throws {PathConflictError} when there is no file, or it has another name, too: a symlink leads to it
   */
  remove(resource: ResourcePath, fingerprint: string): boolean {
    if (resource.isRoot) throw noFile();
    const name = this.#directory.locate(resource);
    const directory = readingFailure(() => this.#directory.hold(path.dirname(name), { directory: true }));
    try {
      const entry = path.join(directory.entry, nameOf(resource));
      const file = readingFailure(() => this.#directory.hold(entry));
      try {
        const stat = readingFailure(() => linkedStat(file));
        if (file.real !== name || directory.real !== path.dirname(name)) throw linked();
        if (stat.fingerprint !== fingerprint) return false;
        fs.unlinkSync(entry);
        return true;
      } finally {
        file.release();
      }
    } catch (error) {
      throw hasErrno(error, 'EPERM', 'EISDIR') ? noFile(error) : storageFailure(error);
    } finally {
      directory.release();
    }
  }

  /**
   * Deletes the directories that lead to a file, those in which nothing is, in line. They stay while any file is made,
   * for which they may be.
   *
   * @param depth how many of them stay, from the root on
   */
  pruneWayTo(resource: ResourcePath, depth = 0): void {
    if (this.#makers === 0) this.#directory.pruneWayTo(resource, depth);
  }

  /**
   * Deletes a directory in which there is nothing but a few directories like that, as {@link pruneWayTo}. Of one with
   * anything else in it nothing is deleted.
   *
   * @returns whether it is gone
   */
  async removeEmpty(resource: ResourcePath): Promise<boolean> {
    const found = await this.#directory.findEmpty(resource);
    if (found === undefined || this.#makers > 0) return false;
    return found.reverse().every((name) => this.#directory.removeEmpty(name));
  }

  async #making<T>(make: () => Promise<T>): Promise<T> {
    this.#makers++;
    try {
      return await make();
    } finally {
      this.#makers--;
    }
  }

  /**
   * Opens a regular file to repair it. The caller closes it.
   *
   * @param location path below the root, with symlinks resolved
   * @throws {ResourceNotFoundError} when it is not there any more
   */
  async openRepair(location: string): Promise<RepairFile> {
    const name = path.join(this.#directory.name, location);
    const { fd, stat } = readingFailure(() => this.#openThere(name, constants.O_RDWR, assertFile));
    return new RepairFile(fd, stat, location, this.#blocks);
  }

  /**
   * What is at a place; undefined when there is no regular file. Symlinks are not followed.
   *
   * @param location path below the root
   */
  statAt(location: string): fileIo.FileStat | undefined {
    const name = Buffer.from(path.join(this.#directory.name, location));
    return this.statFound({ name, location });
  }

  /**
   * Which files are in a directory. Symlinks are not followed.
   *
   * @param location of the directory, as a path below the root
   * @param maxNames how many names are looked at at most
   */
  fingerprintsIn(location: string, maxNames: number): Promise<Fingerprints> {
    const { name, holder } = this.#directory;
    return fingerprintsIn(holder, path.join(name, location), maxNames);
  }

  /**
   * Yields every name below the root, see {@link walk}.
   *
   * @param unreadable called with each directory that cannot be read
   */
  walk(unreadable: (directory: string) => void): AsyncGenerator<FoundName, void, undefined> {
    return walk(this.#directory.name, this.#directory.holder, unreadable);
  }

  /** What is at a name that {@link walk} has found; undefined when there is no regular file any more. */
  statFound(found: FoundName): fileIo.FileStat | undefined {
    return statFound(this.#directory.holder, found);
  }

  /**
   * What the system tells of changes below the root.
   *
   * @param maxDirectories how many directories are watched at most
   */
  watches(maxDirectories: number): NameWatches {
    return new NameWatches(this.#directory.name, this.#fileSystems, maxDirectories);
  }

  /** Lets a thread look at a path, so that the system has in memory what is there. Never rejects. */
  async prefetch(resource: ResourcePath): Promise<void> {
    await fs.promises.stat(this.#directory.locate(resource)).catch(() => undefined);
  }

  /**
   * Finds out, in line, which file a path leads to, be it out of the root: for who has it open, or waits for it, and
   * wants to know whether it is there.
   *
   * @returns undefined when there is nothing
   * @throws what the disk says when it does not tell
   */
  peek(resource: ResourcePath): Pick<fileIo.FileStat, 'identity' | 'size'> | undefined {
    try {
      const name = this.#directory.locate(resource);
      const stat = fs.statSync(name, { bigint: true, throwIfNoEntry: false });
      return stat && { identity: fileIo.identityOf(stat), size: Number(stat.size) };
    } catch (error) {
      if (hasErrno(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** A directory, or file, of the server's own, beside what URLs can name; absolute. */
  own(name: OwnName): string {
    return path.join(this.#directory.name, RESERVED_SEGMENT, name);
  }

  /**
   * Yields what is in a directory, in no order. Names that a URL cannot carry,
   * symlinks that lead nowhere or out, and the server's own files are left out.
   *
   * @param options.signal ends it, between two names; what is thrown then is its reason
   * @param options.judge decides about a name. Default: all are shown
   * @throws {ResourceNotFoundError} when there is no such directory
   */
  async *list(
    resource: ResourcePath,
    {
      signal,
      judge = () => 'shown',
    }: {
      signal?: AbortSignal;
      judge?: (name: string, kind: fileIo.FileStat['kind']) => Verdict | Promise<Verdict>;
    } = {},
  ): AsyncGenerator<DirectoryEntry, void, undefined> {
    for await (const { name, kind, entry } of this.#directory.entries(resource)) {
      signal?.throwIfAborted();
      if (!isAddressable(resource, name)) continue;
      // Before the look, which costs many times as much.
      let verdict = kind && (await judge(name, kind));
      const stat =
        verdict === undefined || verdict === 'shown' ? this.#directory.statEntry(entry) : undefined;
      if (stat !== undefined && stat.kind !== kind) {
        verdict = stat.kind === 'other' ? 'hidden' : await judge(name, stat.kind);
      }
      if (verdict === 'enough') return;
      if (verdict === 'shown' && stat !== undefined) yield { name, ...stat };
    }
  }

  /**
   * Yields the names in a directory, in no order, whatever they lead to.
   *
   * @throws {ResourceNotFoundError} when there is no such directory
   */
  async *names(resource: ResourcePath): AsyncGenerator<string, void, undefined> {
    for await (const { name } of this.#directory.entries(resource)) yield name;
  }

  #openExisting(name: string): AppendFile {
    // As often as not there is nothing yet: a look that says so takes a fraction of what an error costs.
    if (fs.lstatSync(name, { throwIfNoEntry: false }) === undefined) throw notFound();
    const { fd, stat, location } = this.#openThere(name, APPENDING, assertFile);
    return new AppendFile(fd, stat, location, this.#blocks);
  }

  /**
   * Opens what a name leads to, wherever below the root, in line.
   *
   * @param accept throws when it is not to be opened
   */
  #openThere(name: string, flags: number, accept: (stat: fileIo.FileStat) => void): Opened {
    const held = this.#directory.hold(name);
    try {
      const stat = linkedStat(held);
      accept(stat);
      const fd = fs.openSync(held.entry, flags | SAFELY);
      confirmOrClose(held, fd, '');
      return { fd, stat, location: this.#directory.locationOf(held.real) };
    } finally {
      held.release();
    }
  }
}

interface Opened {
  fd: number;
  stat: fileIo.FileStat;
  location: string;
}

/** @throws {ResourceNotFoundError} when it was deleted after it was looked up */
function linkedStat(held: HeldPath): fileIo.FileStat {
  const stat = held.stat();
  if (!stat.isLinked) throw notFound();
  return stat;
}

/** @throws {PathConflictError} when it is no regular file */
function assertFile({ kind }: fileIo.FileStat): void {
  if (kind !== 'file') throw noFile();
}

/** @throws {OutsideError} when it is not what was held, and then it is closed */
function confirmOrClose(held: HeldPath, fd: number, name: string): void {
  let cause: unknown;
  try {
    if (held.confirms(fd, name)) return;
  } catch (error) {
    cause = error;
  }
  fs.closeSync(fd);
  throw new OutsideError('swapped meanwhile', { cause });
}

function describeOrClose(fd: number): fileIo.FileStat {
  try {
    return fileIo.fstatSync(fd);
  } catch (error) {
    fs.closeSync(fd);
    throw storageFailure(error);
  }
}
