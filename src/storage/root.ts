import { randomBytes } from 'node:crypto';
import fs, { constants } from 'node:fs';
import path from 'node:path';
import { ForbiddenPathError, InvalidRootError, PathConflictError, ResourceNotFoundError } from '../errors.ts';
import { AppendFile } from './append-file.ts';
import * as fileIo from './file-io.ts';
import { NewFile } from './new-file.ts';
import { RepairFile } from './repair-file.ts';
import { RESERVED_SEGMENT, ResourcePath } from './resource-path.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';
import { StoredFile } from './stored-file.ts';
import { type FoundName, fingerprintOf, fingerprintsIn, walk } from './walk.ts';

const DIRECTORY_MODE = 0o755;
const OWN_DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

// O_NONBLOCK, so that opening a FIFO does not wait for its other end for ever.
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** One name in a directory. */
export interface DirectoryEntry extends fileIo.FileStat {
  name: string;
}

/**
 * The directory that holds everything. Every method takes a cleaned path and
 * refuses what a symlink would lead out of the directory.
 */
export class Root {
  /** Absolute, with symlinks resolved. Never shown to a client. */
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Opens a root; makes the directory if it is missing.
   *
   * @throws {InvalidRootError} when it cannot be made, entered or written
   */
  static async open(directory: string): Promise<Root> {
    try {
      await fileIo.makeDirectories(path.resolve(directory), DIRECTORY_MODE);
      const real = await fs.promises.realpath(directory);
      await fs.promises.access(real, constants.R_OK | constants.W_OK | constants.X_OK);
      return new Root(real);
    } catch (cause) {
      const reason = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : '';
      throw new InvalidRootError(`cannot use ${directory} as the root directory${reason}`, { cause });
    }
  }

  /**
   * Tells what is at a path.
   *
   * @throws {ResourceNotFoundError} when nothing is, or it is out of the root
   */
  async stat(resource: ResourcePath): Promise<fileIo.FileStat> {
    const real = await this.#existing(resource);
    return readingFailure(async () => fileIo.describe(await fs.promises.stat(real, { bigint: true })));
  }

  /**
   * Opens a file or a directory for reading; `stat` tells which. The caller closes it.
   *
   * @throws {ResourceNotFoundError} when there is neither, or it is out of the root
   */
  async openRead(resource: ResourcePath): Promise<StoredFile> {
    const real = await this.#existing(resource);
    const fd = await readingFailure(() => fileIo.open(real, constants.O_RDONLY | SAFELY));
    const stat = await describeOrClose(fd);
    if (stat.kind === 'other') {
      await fileIo.close(fd);
      throw notFound();
    }
    return new StoredFile(fd, stat, this.#locationOf(real));
  }

  /**
   * Opens a regular file for appending. The caller closes it.
   *
   * @param options.create whether to make the file, and the directories that lead to it, if they are missing
   * @throws {ResourceNotFoundError} when it is missing and may not be made
   * @throws {PathConflictError} when a directory is at the path, or a file on the way to it
   * @throws {ForbiddenPathError} when the path leads out of the root
   */
  async openAppend(resource: ResourcePath, { create }: { create: boolean }): Promise<AppendFile> {
    if (resource.isRoot) throw new PathConflictError('the root is a directory');
    const target = await (create ? this.#appendTarget(resource) : this.#existing(resource));
    let fd: number;
    try {
      fd = await fileIo.open(
        target,
        constants.O_RDWR | constants.O_APPEND | (create ? constants.O_CREAT : 0) | SAFELY,
        FILE_MODE,
      );
    } catch (error) {
      if (hasErrno(error, 'ELOOP')) throw leadsOut(error);
      throw storageFailure(error);
    }
    const stat = await describeOrClose(fd);
    if (stat.kind !== 'file') {
      await fileIo.close(fd);
      throw new PathConflictError('there is no regular file at this path');
    }
    return new AppendFile(fd, stat, this.#locationOf(target));
  }

  /**
   * Makes the names of a file and of the directories that lead to it survive a loss of power.
   *
   * @param location path below the root, with symlinks resolved
   */
  syncNames(location: string): Promise<void> {
    return fileIo.syncDirectories(path.dirname(path.join(this.#directory, location)), this.#directory);
  }

  /**
   * Makes an empty file that has no name in the root yet. The caller publishes or discards it.
   *
   * @throws what the disk does
   */
  async newFile(): Promise<NewFile> {
    const directory = this.own('incoming');
    const name = path.join(directory, randomBytes(12).toString('hex'));
    try {
      await fileIo.makeDirectories(directory, OWN_DIRECTORY_MODE);
      const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;
      const fd = await fileIo.open(name, flags, FILE_MODE);
      return new NewFile(fd, await describeOrClose(fd), name);
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
    const target = await this.#appendTarget(resource);
    try {
      await file.publish(target);
    } catch (error) {
      if (hasErrno(error, 'EEXIST')) return undefined;
      throw storageFailure(error);
    }
    return this.#locationOf(target);
  }

  /**
   * Takes a file's name away. Who has it open keeps its bytes.
   *
   * @throws {ResourceNotFoundError} when there is nothing
   * @throws {PathConflictError} when there is no file, or it has another name, too: a symlink leads to it
   */
  async remove(resource: ResourcePath): Promise<void> {
    const real = await this.#existing(resource);
    if (real !== this.#locate(resource)) {
      throw new PathConflictError('a symlink leads to the file: delete the file itself');
    }
    try {
      await fs.promises.unlink(real);
    } catch (error) {
      throw hasErrno(error, 'EPERM', 'EISDIR')
        ? new PathConflictError('there is no file at this path')
        : storageFailure(error);
    }
  }

  /**
   * Opens a regular file to put it right. The caller closes it.
   *
   * @param location path below the root, with symlinks resolved
   * @throws {ResourceNotFoundError} when it is not there any more
   */
  async openRepair(location: string): Promise<RepairFile> {
    const name = path.join(this.#directory, location);
    const fd = await readingFailure(() => fileIo.open(name, constants.O_RDWR | SAFELY));
    return new RepairFile(fd, await describeOrClose(fd), location);
  }

  /**
   * Which file is at a place. Symlinks are not followed.
   *
   * @param location path below the root
   * @returns its fingerprint; undefined when there is no regular file
   */
  async fingerprintAt(location: string): Promise<string | undefined> {
    return fingerprintOf(path.join(this.#directory, location));
  }

  /**
   * Which files are in a directory: their names by their fingerprints. Symlinks are not followed.
   *
   * @param location of the directory, as a path below the root
   * @param maxNames how many names are looked at at most
   */
  fingerprintsIn(location: string, maxNames: number): Promise<Map<string, string>> {
    return fingerprintsIn(path.join(this.#directory, location), maxNames);
  }

  /**
   * Yields every name below the root, see {@link walk}.
   *
   * @param unreadable called with each directory that cannot be read
   */
  walk(unreadable: (directory: string) => void): AsyncGenerator<FoundName, void, undefined> {
    return walk(this.#directory, unreadable);
  }

  /** A directory of the server's own, beside what URLs can name; absolute. */
  own(name: 'meta' | 'redo' | 'quarantine' | 'incoming' | 'gone' | 'aside' | 'expiring' | 'lock'): string {
    return path.join(this.#directory, RESERVED_SEGMENT, name);
  }

  /**
   * Yields what is in a directory, in no order. Names that a URL cannot carry,
   * symlinks that lead nowhere or out, and the server's own files are left out.
   *
   * @throws {ResourceNotFoundError} when there is no such directory
   */
  async *list(resource: ResourcePath): AsyncGenerator<DirectoryEntry, void, undefined> {
    const real = await this.#existing(resource);
    const directory = await readingFailure(() => fs.promises.opendir(real));
    for await (const { name } of directory) {
      if (!isAddressable(resource, name)) continue;
      try {
        const target = await fs.promises.realpath(path.join(real, name));
        if (!this.#contains(target)) continue;
        const stat = fileIo.describe(await fs.promises.stat(target, { bigint: true }));
        if (stat.kind !== 'other') yield { name, ...stat };
      } catch (error) {
        // Gone since its name was read, or a symlink to nothing.
        if (!hasErrno(error, 'ENOENT', 'ELOOP', 'EACCES')) throw storageFailure(error);
      }
    }
  }

  #locate(resource: ResourcePath): string {
    return path.join(this.#directory, ...resource.segments);
  }

  #locationOf(real: string): string {
    return path.relative(this.#directory, real);
  }

  #contains(real: string): boolean {
    const [first] = path.relative(this.#directory, real).split(path.sep);
    return first !== '..' && first?.toLowerCase() !== RESERVED_SEGMENT;
  }

  /** The real path of something that is there. */
  async #existing(resource: ResourcePath): Promise<string> {
    const real = await readingFailure(() => fs.promises.realpath(this.#locate(resource)));
    if (!this.#contains(real)) throw notFound();
    return real;
  }

  /** Where to open or make the file; its directory is there afterwards. */
  async #appendTarget(resource: ResourcePath): Promise<string> {
    try {
      const { real, missing } = await this.#deepestExisting(resource);
      if (!this.#contains(real)) throw leadsOut();
      const name = missing.pop();
      if (name === undefined) return real;
      const parent = path.join(real, ...missing);
      // A symlink to nothing is in the way when what exists takes no directory.
      if (missing.length > 0) await fileIo.makeDirectories(parent, DIRECTORY_MODE).catch(refuseDangling);
      return path.join(parent, name);
    } catch (error) {
      if (error instanceof ForbiddenPathError) throw error;
      throw hasErrno(error, 'ELOOP') ? leadsOut(error) : storageFailure(error);
    }
  }

  async #deepestExisting(resource: ResourcePath): Promise<{ real: string; missing: string[] }> {
    const missing: string[] = [];
    let at = this.#locate(resource);
    for (;;) {
      try {
        return { real: await fs.promises.realpath(at), missing };
      } catch (error) {
        if (!hasErrno(error, 'ENOENT') || at === this.#directory) throw error;
        missing.unshift(path.basename(at));
        at = path.dirname(at);
      }
    }
  }
}

function isAddressable(directory: ResourcePath, name: string): boolean {
  try {
    return ResourcePath.parse(`${directory}/${name}`) !== undefined;
  } catch {
    return false;
  }
}

/** A reader is not told why: a file on the way, or a name that cannot be, is simply not there. */
async function readingFailure<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) throw notFound(error);
    throw storageFailure(error);
  }
}

async function describeOrClose(fd: number): Promise<fileIo.FileStat> {
  try {
    return await fileIo.fstat(fd);
  } catch (error) {
    await fileIo.close(fd);
    throw storageFailure(error);
  }
}

function refuseDangling(error: unknown): never {
  throw hasErrno(error, 'ENOENT', 'EEXIST') ? leadsOut(error) : error;
}

function notFound(cause?: unknown): ResourceNotFoundError {
  return new ResourceNotFoundError('there is nothing at this path', { cause });
}

function leadsOut(cause?: unknown): ForbiddenPathError {
  return new ForbiddenPathError('the path leads out of the root', { cause });
}
