import fs, { constants } from 'node:fs';
import path from 'node:path';
import {
  ForbiddenPathError,
  InvalidPathError,
  InvalidRootError,
  PathConflictError,
  ResourceNotFoundError,
} from '../../wire/errors.ts';
import { RESERVED_SEGMENT, type ResourcePath } from '../../wire/resource-path.ts';
import * as fileIo from '../file-io.ts';
import { hasErrno, storageFailure, withoutStack } from '../storage-failure.ts';
import { type HeldPath, type LookUp, type PathHolder, pathHolder } from './held-path.ts';
import { Pace } from './pace.ts';

/** How deep directories are made: each costs the disk, and each sync of a name in it, too. What is deeper is served. */
const MAX_MADE_DEPTH = 64;

/** Because each read of a directory is a trip to another thread. */
const NAMES_AT_A_TIME = 256;

/** So many empty directories are deleted to make room for a file at most: they are deleted in line. */
const MAX_EMPTY = 100;

/** Mode of the directories that are made. */
const DIRECTORY_MODE = 0o755;

/**
 * Mode of the files that are made for users, before the umask takes its part: whoever may enter the directory may read
 * them, as those of every other program. With the original's 0600 only the server's own user could.
 */
export const DEFAULT_FILE_MODE = 0o644;

/** Which names are made safe. */
export interface SyncOptions {
  /**
   * Whether it is to survive that a file is gone: then directories on the way to it may be gone, too. Default: false.
   */
  isRemoved?: boolean;
}

/** A name in a directory. */
export interface FoundEntry {
  name: string;
  /** What it is, as the directory says; undefined when that is not known without a look: of a symlink, say. */
  kind: 'file' | 'directory' | undefined;
  /** Leads to it. */
  entry: string;
}

/** What was looked up is not below the root, or the server's own. */
export class OutsideError extends Error {}

/**
 * The directory below which everything is, and what leads to a place in it. A
 * path is looked up once, and what it led to is held: whatever is opened, made
 * or deleted then is there, and below the root.
 */
export class RootDirectory {
  /** Absolute, with symlinks resolved. Never shown to a client. */
  readonly name: string;
  /** Looks names up wherever they lead. */
  readonly holder: PathHolder;
  /** What the name of everything below it begins with. */
  readonly #above: string;

  private constructor(name: string, holder: PathHolder) {
    this.name = name;
    this.#above = name.endsWith(path.sep) ? name : name + path.sep;
    this.holder = holder;
  }

  /**
   * Makes the directory if it is missing.
   *
   * @throws {InvalidRootError} when it cannot be made, entered or written
   */
  static async open(directory: string): Promise<RootDirectory> {
    try {
      await fileIo.makeDirectories(path.resolve(directory), DIRECTORY_MODE);
      const real = await fs.promises.realpath(directory);
      await fs.promises.access(real, constants.R_OK | constants.W_OK | constants.X_OK);
      return new RootDirectory(real, pathHolder(real));
    } catch (cause) {
      const reason = reasonOf(directory, cause);
      throw new InvalidRootError(`cannot use ${directory} as the root directory${reason}`, { cause });
    }
  }

  /** The absolute name of a path, symlinks and all. */
  locate(resource: ResourcePath): string {
    return resource.isRoot ? this.name : this.#above + resource.key;
  }

  /** The path below the root of what has an absolute name, without symlinks, that {@link hold} has let pass. */
  locationOf(real: string): string {
    return real.slice(this.#above.length);
  }

  /**
   * Holds what is at a path.
   *
   * @throws as {@link hold}
   */
  find(resource: ResourcePath, how?: LookUp): HeldPath {
    return this.hold(this.locate(resource), how);
  }

  /**
   * Holds what has a name, absolute or in something that is held.
   *
   * @throws {OutsideError} when it is not below the root, and what the system says when nothing is there
   */
  hold(name: string, how?: LookUp): HeldPath {
    const held = this.holder.hold(name, how);
    if (this.#contains(held.real)) return held;
    held.release();
    throw new OutsideError('not below the root');
  }

  /** The directory in which a file is to be made; it is made, too, if it is missing. To be released. */
  async makeWayTo(resource: ResourcePath): Promise<HeldPath> {
    const names = resource.segments.slice(0, -1);
    const missing: string[] = [];
    return appendingFailure(async () => {
      let directory: HeldPath;
      for (;;) {
        try {
          directory = this.hold(path.join(this.name, ...names), { directory: true });
          break;
        } catch (error) {
          const name = hasErrno(error, 'ENOENT') ? names.pop() : undefined;
          if (name === undefined) throw error;
          missing.unshift(name);
          assertMayBeMade(resource);
        }
      }
      for (const name of missing) directory = await this.#makeDirectory(directory, name);
      if (this.#contains(path.join(directory.real, nameOf(resource)))) return directory;
      directory.release();
      throw leadsOut();
    });
  }

  /**
   * Deletes the directories that lead to a file, those in which nothing is, in line.
   *
   * @param depth how many of them stay, from the root on
   */
  pruneWayTo({ segments }: ResourcePath, depth = 0): void {
    for (let names = segments.slice(0, -1); names.length > depth; names = names.slice(0, -1)) {
      if (!this.removeEmpty(path.join(this.name, ...names))) return;
    }
  }

  /**
   * Looks for a directory in which there is nothing but directories like that, and changes nothing.
   *
   * @returns it and those in it, each before what is in it; undefined when there is anything else, or too many
   */
  async findEmpty(resource: ResourcePath): Promise<string[] | undefined> {
    const found = [this.locate(resource)];
    try {
      for (const name of found) {
        const held = this.hold(name, { directory: true, noFollow: true });
        try {
          for await (const entry of await fs.promises.opendir(held.entry)) {
            if (!entry.isDirectory() || found.length === MAX_EMPTY) return undefined;
            found.push(path.join(held.real, entry.name));
          }
        } finally {
          held.release();
        }
      }
      return found;
    } catch {
      // There is no directory, or it cannot be read.
      return undefined;
    }
  }

  /**
   * Deletes a directory in which there is nothing, in line.
   *
   * @param name absolute
   * @returns whether it is gone
   */
  removeEmpty(name: string): boolean {
    let parent: HeldPath | undefined;
    try {
      parent = this.hold(path.dirname(name), { directory: true });
      fs.rmdirSync(path.join(parent.entry, path.basename(name)));
      return true;
    } catch {
      // Something is in it, or it is no directory.
      return false;
    } finally {
      parent?.release();
    }
  }

  /** What a name in a directory leads to; undefined when that is nothing, or nobody's business. */
  statEntry(entry: string): fileIo.FileStat | undefined {
    let held: HeldPath | undefined;
    try {
      held = this.hold(entry);
      return held.stat();
    } catch (error) {
      // Gone since its name was read, or a symlink to nothing.
      if (error instanceof OutsideError || hasErrno(error, 'ENOENT', 'ELOOP', 'EACCES', 'ENOTDIR'))
        return undefined;
      throw storageFailure(error);
    } finally {
      held?.release();
    }
  }

  /**
   * Yields the names in a directory, each with what leads to it until the next one.
   *
   * @throws {ResourceNotFoundError} when there is no such directory
   */
  async *entries(resource: ResourcePath): AsyncGenerator<FoundEntry, void, undefined> {
    const held = readingFailure(() => this.find(resource, { directory: true }));
    const pace = new Pace();
    try {
      const directory = await fs.promises
        .opendir(held.entry, { bufferSize: NAMES_AT_A_TIME })
        .catch((error) => Promise.reject(readingError(error)));
      for await (const found of directory) {
        const { name } = found;
        yield { name, kind: kindOf(found), entry: path.join(held.entry, name) };
        // Whoever is given the names looks at them.
        await pace.rest();
      }
    } catch (error) {
      throw storageFailure(error);
    } finally {
      held.release();
    }
  }

  /** @throws {ForbiddenPathError} when what is at a path is not below the root */
  assertInside(resource: ResourcePath): void {
    try {
      this.find(resource).release();
    } catch (error) {
      if (error instanceof OutsideError) throw leadsOut(error);
    }
  }

  /**
   * Makes the names of a file and of the directories that lead to it survive a loss of power.
   *
   * @param location path below the root, with symlinks resolved
   */
  async syncNames(location: string, { isRemoved = false }: SyncOptions = {}): Promise<void> {
    for (let at = path.dirname(location); ; at = path.dirname(at)) {
      try {
        await this.#syncDirectory(at);
      } catch (error) {
        // That it is gone is in the next one up.
        const isOver = isRemoved && at !== '.' && readingError(error) instanceof ResourceNotFoundError;
        if (!isOver) throw appendingError(error);
      }
      if (at === '.') return;
    }
  }

  #contains(real: string): boolean {
    if (real === this.name) return true;
    if (!real.startsWith(this.#above)) return false;
    const end = real.indexOf(path.sep, this.#above.length);
    return real.slice(this.#above.length, end === -1 ? undefined : end).toLowerCase() !== RESERVED_SEGMENT;
  }

  /** Makes a directory in another one, which is released. */
  async #makeDirectory(parent: HeldPath, name: string): Promise<HeldPath> {
    const entry = path.join(parent.entry, name);
    try {
      if (!this.#contains(path.join(parent.real, name))) throw leadsOut();
      const isThere = await fs.promises
        .mkdir(entry, { mode: DIRECTORY_MODE })
        .then(() => false, ignoreExisting);
      // A symlink to nothing is in the way: it was there, and the path led nowhere.
      try {
        return this.hold(entry, { directory: true, noFollow: true });
      } catch (error) {
        throw isThere ? leadsOut(error) : error;
      }
    } finally {
      parent.release();
    }
  }

  async #syncDirectory(location: string): Promise<void> {
    const directory = this.hold(path.join(this.name, location), { directory: true });
    try {
      const fd = await fileIo.open(directory.entry, constants.O_RDONLY);
      await fileIo.fsync(fd).finally(() => fileIo.close(fd));
    } finally {
      directory.release();
    }
  }
}

function kindOf(found: fs.Dirent): FoundEntry['kind'] {
  if (found.isFile()) return 'file';
  return found.isDirectory() ? 'directory' : undefined;
}

/** Why a directory cannot be the root, and what to do where that is known. */
function reasonOf(directory: string, cause: unknown): string {
  if (!(cause instanceof Error && 'code' in cause)) return '';
  if (hasErrno(cause, 'EROFS'))
    return ' (EROFS): its file system is read-only; mount it so that it can be written';
  if (!hasErrno(cause, 'EACCES', 'EPERM')) return ` (${cause.code})`;
  const user = process.geteuid?.() ?? '';
  const remedy = `give it to that user (chown -R ${user} ${directory}), or run the server as its owner`;
  return ` (${cause.code}): the user ${user} may not read and write there; ${remedy}`;
}

/** @throws {InvalidPathError} when it is too deep for directories to be made on the way to it */
function assertMayBeMade({ segments }: ResourcePath): void {
  if (segments.length <= MAX_MADE_DEPTH) return;
  throw new InvalidPathError(`directories are made up to ${MAX_MADE_DEPTH} names deep`);
}

/** A reader is not told why: a file on the way, or a name that cannot be, is simply not there. */
export function readingFailure<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw readingError(error);
  }
}

/** As {@link readingFailure}, of an error. */
export function readingError(error: unknown): Error {
  const isMissing = hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO');
  return isMissing || error instanceof OutsideError ? notFound(error) : storageFailure(error);
}

/** An appender is told that it is no place to write to. */
async function appendingFailure<T>(action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw appendingError(error);
  }
}

/** As {@link appendingFailure}, of an error. */
export function appendingError(error: unknown): Error {
  return hasErrno(error, 'ELOOP') || error instanceof OutsideError ? leadsOut(error) : storageFailure(error);
}

/** As {@link appendingError}, where a symlink is known to be there. */
export function symlinkError(error: unknown): Error {
  return hasErrno(error, 'ENOENT') ? leadsOut(error) : appendingError(error);
}

function ignoreExisting(error: unknown): true {
  if (!hasErrno(error, 'EEXIST')) throw error;
  return true;
}

/** The last name of a path. */
export function nameOf(resource: ResourcePath): string {
  return resource.segments.at(-1) as string;
}

/** What a reader is told. */
export function notFound(cause?: unknown): ResourceNotFoundError {
  return withoutStack(() => new ResourceNotFoundError('there is nothing at this path', { cause }));
}

/** What an appender is told. */
export function leadsOut(cause?: unknown): ForbiddenPathError {
  return new ForbiddenPathError('the path leads out of the root', { cause });
}

/** There is something, but no regular file. */
export function noFile(cause?: unknown): PathConflictError {
  return new PathConflictError('there is no regular file at this path', { cause });
}

/** The name is a symlink to the file. */
export function linked(): PathConflictError {
  return new PathConflictError('a symlink leads to the file: delete the file itself');
}
