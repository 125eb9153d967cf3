import * as fileIo from './file-io.ts';

/** An open file (or directory) below the root. Whoever opened it closes it. */
export class StoredFile {
  /** State of the file when it was opened. */
  readonly stat: fileIo.FileStat;
  /** Path below the root, with symlinks resolved. */
  readonly location: string;
  protected readonly fd: number;
  #closed: Promise<void> | undefined;

  constructor(fd: number, stat: fileIo.FileStat, location: string) {
    this.fd = fd;
    this.stat = stat;
    this.location = location;
  }

  /** What it is like by now. */
  state(): Promise<fileIo.FileState> {
    return fileIo.fstate(this.fd);
  }

  /** Reads up to `length` bytes from `position` on; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Buffer> {
    return fileIo.readBlock(this.fd, position, length);
  }

  /** Lets the file go. Idempotent, because the number of a closed file is soon another's. */
  close(): Promise<void> {
    this.#closed ??= fileIo.close(this.fd);
    return this.#closed;
  }
}
