import type { BlockPool } from './block-pool.ts';
import * as fileIo from './file-io.ts';
import { storageFailure } from './storage-failure.ts';

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
  #users = { count: 1 };
  #closed: Promise<void> | undefined;

  constructor(fd: number, stat: fileIo.FileStat, location: string, blocks: BlockPool) {
    this.fd = fd;
    this.blocks = blocks;
    this.stat = stat;
    this.location = location;
  }

  /** What it is like by now. */
  state(): Promise<fileIo.FileState> {
    return told(fileIo.fstate(this.fd));
  }

  /** All of {@link stat}, by now. */
  look(): Promise<fileIo.FileStat> {
    return told(fileIo.fstat(this.fd));
  }

  /**
   * Reads up to `length` bytes from `position` on; fewer only at the end of the file.
   *
   * @throws {StorageError} when the disk does not give them
   */
  read(position: number, length: number): Promise<Buffer> {
    return told(fileIo.readBlock(this.fd, position, length));
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

  /** Lets the file go. Idempotent, because the number of a closed file is soon another's. */
  close(): Promise<void> {
    this.#closed ??= this.#letGo();
    return this.#closed;
  }

  async #letGo(): Promise<void> {
    this.#users.count--;
    if (this.#users.count === 0) await fileIo.close(this.fd);
  }
}

/** Passes on what the disk gives, or what its failure means. */
export async function told<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw storageFailure(error);
  }
}
