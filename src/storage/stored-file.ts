import * as fileIo from './file-io.ts';

/** An open file (or directory) below the root. Whoever opened it closes it. */
export class StoredFile {
  /** State of the file when it was opened. */
  readonly stat: fileIo.FileStat;
  protected readonly fd: number;

  constructor(fd: number, stat: fileIo.FileStat) {
    this.fd = fd;
    this.stat = stat;
  }

  /** Reads up to `length` bytes from `position` on; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Buffer> {
    return fileIo.readBlock(this.fd, position, length);
  }

  /** Must be called once, and nothing after it. */
  close(): Promise<void> {
    return fileIo.close(this.fd);
  }
}
