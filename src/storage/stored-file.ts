import fs from 'node:fs';
import type { BlockPool } from './block-pool.ts';
import * as fileIo from './file-io.ts';
import { storageFailure } from './storage-failure.ts';

/** Bytes that are read or written in line at most: more takes longer than a trip to a thread. */
export const IN_LINE_BYTES = 64 * 1024;

/** From so many bytes on it may take long to close a file that was deleted: its blocks are freed then. */
const LARGE_FILE_BYTES = 1024 * 1024;

/** How soon after it was opened a file that was not large then cannot have become so large that it matters. */
const SOON_MS = 5;

/** What a file is a copy of. */
export interface CopiedFile {
  generation: number;
  /** Whether nothing else was appended to the copy. */
  isCopy: boolean;
  /** Whether it is whole or worth nothing: as long as it has not finished it must not be taken for what is there. */
  isAtomic: boolean;
}

/** What all have in common who have a descriptor. */
interface FileUsers {
  count: number;
  /** When it was opened. */
  readonly sinceMs: number;
  /** What it is a copy of, or was until something else was appended. */
  copied: CopiedFile | undefined;
}

/** An open file (or directory) below the root. Whoever opened it, or shares it, closes it. */
export class StoredFile {
  /** State of the file when it was opened. */
  readonly stat: fileIo.FileStat;
  /** Path below the root, with symlinks resolved. */
  readonly location: string;
  /** In which it is read for clients. */
  readonly blocks: BlockPool;
  protected readonly fd: number;
  /** Of the descriptor, which the last one closes. */
  #users: FileUsers = { count: 1, sinceMs: performance.now(), copied: undefined };
  #closed: Promise<void> | undefined;

  constructor(fd: number, stat: fileIo.FileStat, location: string, blocks: BlockPool) {
    this.fd = fd;
    this.blocks = blocks;
    this.stat = stat;
    this.location = location;
  }

  /** By which clients tell it from another file at its path: of a copy, that of what it is a copy of, or was. */
  get generation(): number {
    return this.#users.copied?.generation ?? this.stat.generation;
  }

  /** Whether it is known to be a copy. */
  get isCopy(): boolean {
    return this.#users.copied?.isCopy === true;
  }

  /** Whether it is known to be a copy that is whole or worth nothing. */
  get isAtomic(): boolean {
    return this.isCopy && this.#users.copied?.isAtomic === true;
  }

  /** Tells what it is a copy of, or was. */
  set copied(copied: CopiedFile) {
    this.#users.copied = copied;
  }

  /** What it is like by now. */
  async state(): Promise<fileIo.FileState> {
    return this.stateInLine();
  }

  /** As {@link state}, for those between whose look and action nothing may happen. */
  stateInLine(): fileIo.FileState {
    return orStorageFailureInLine(() => fileIo.fstateSync(this.fd));
  }

  /** All of {@link stat}, by now. */
  async look(): Promise<fileIo.FileStat> {
    return orStorageFailureInLine(() => fileIo.fstatSync(this.fd));
  }

  /**
   * Reads up to `length` bytes from `position` on; fewer only at the end of the file.
   *
   * @throws {StorageError} when the disk does not give them
   */
  read(position: number, length: number): Promise<Buffer> {
    return orStorageFailure(fileIo.readBlock(this.fd, position, length));
  }

  /** As {@link read}, in line: for the few bytes that an answer waits for, {@link IN_LINE_BYTES} at most. */
  readInLine(position: number, length: number): Buffer {
    return orStorageFailureInLine(() => fileIo.readBlockSync(this.fd, position, length));
  }

  /**
   * Reads into `block`, not always to its end.
   *
   * @returns how many bytes came; 0 at the end of the file
   * @throws {StorageError} when the disk does not give them
   */
  readInto(block: Buffer, position: number): Promise<number> {
    return orStorageFailure(fileIo.readInto(this.fd, block, position));
  }

  /** The same open file for somebody else, who closes it, too. Not of one that is closed. */
  share(): StoredFile {
    const shared = new StoredFile(this.fd, this.stat, this.location, this.blocks);
    shared.#users = this.#users;
    this.#users.count++;
    return shared;
  }

  /** Whether others have it open, too. */
  get isShared(): boolean {
    return this.#users.count > 1;
  }

  /** Whether it is the same open file as another: closed when both have closed it. */
  sharesWith(other: StoredFile): boolean {
    return this.#users === other.#users;
  }

  /**
   * Lets the file go, in line unless that may take long. Nothing may be read or written at that time. Idempotent,
   * because the number of a closed file is soon another's.
   */
  close(): Promise<void> {
    this.#closed ??= this.#letGo();
    return this.#closed;
  }

  async #letGo(): Promise<void> {
    this.#users.count--;
    if (this.#users.count > 0) return;
    if (this.#mayTakeLongToClose) await fileIo.close(this.fd);
    else fs.closeSync(this.fd);
  }

  get #mayTakeLongToClose(): boolean {
    if (this.stat.size <= LARGE_FILE_BYTES && performance.now() - this.#users.sinceMs < SOON_MS) return false;
    try {
      const { isLinked, size } = fileIo.fstateSync(this.fd);
      return !isLinked && size > LARGE_FILE_BYTES;
    } catch {
      return true;
    }
  }
}

/**
 * A file opened to be appended to and read. It is written at its end, whatever
 * another program may have done to it, so that nobody's bytes are overwritten;
 * the caller finds out whether that was the place that it counted.
 */
export class AppendFile extends StoredFile {
  /** What was written through it. */
  readonly written: Readonly<fileIo.WriteCount> = { bytes: 0 };

  /** For what makes sure in this room what it is. */
  get descriptor(): number {
    return this.fd;
  }

  /** Writes all of `buffers`; rejects if a single byte is refused. */
  write(buffers: readonly Buffer[]): Promise<void> {
    return fileIo.writeAll(this.fd, buffers, this.written);
  }

  /**
   * As {@link write}, in line.
   *
   * @returns what the file is like then
   * @throws what the disk does; some of it may be written
   */
  writeInLine(buffers: readonly Buffer[]): fileIo.FileState {
    fileIo.writeAllSync(this.fd, buffers, this.written);
    return fileIo.fstateSync(this.fd);
  }

  /** Cuts everything from `size` on. */
  truncate(size: number): Promise<void> {
    return fileIo.ftruncate(this.fd, size);
  }

  /**
   * Cuts everything from `size` on, if it ends at `end`: looked at and cut in line, so that nothing is cut off that
   * comes meanwhile.
   *
   * @returns whether it was
   */
  truncateInLine(size: number, end: number): boolean {
    if (fileIo.fstateSync(this.fd).size !== end) return false;
    fs.ftruncateSync(this.fd, size);
    return true;
  }

  /**
   * Makes what was written survive a loss of power.
   *
   * @throws {StorageError} or {@link StorageFullError}, when the disk does not
   */
  sync(): Promise<void> {
    return orStorageFailure(fileIo.fdatasync(this.fd));
  }
}

/** A file opened to be repaired: it is written where it is said to, not at its end. */
export class RepairFile extends AppendFile {
  /** Writes all of `bytes` at `position`, over what is there. */
  async writeAt(position: number, bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += await new Promise<number>((resolve, reject) => {
        fs.write(this.fd, bytes, done, bytes.length - done, position + done, (error, written) =>
          error ? reject(error) : resolve(written),
        );
      });
    }
  }
}

/** Passes on what the disk gives, or what its failure means. */
function orStorageFailureInLine<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw storageFailure(error);
  }
}

/** As {@link orStorageFailureInLine}, of what comes later. */
async function orStorageFailure<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw storageFailure(error);
  }
}
