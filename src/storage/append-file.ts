import fs from 'node:fs';
import * as fileIo from './file-io.ts';
import { StoredFile, told } from './stored-file.ts';

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
   * Cuts everything from `size` on, if it ends at `end`: looked at and cut in line, so that nothing is cut off that comes
   * meanwhile.
   */
  truncateInLine(size: number, end: number): void {
    if (fileIo.fstateSync(this.fd).size === end) fs.ftruncateSync(this.fd, size);
  }

  /**
   * Makes what was written survive a loss of power.
   *
   * @throws {StorageError} or {@link StorageFullError}, when the disk does not
   */
  sync(): Promise<void> {
    return told(fileIo.fdatasync(this.fd));
  }
}
