import * as fileIo from './file-io.ts';
import { StoredFile } from './stored-file.ts';

/**
 * A file opened to be appended to and read. Positions are the caller's: it
 * writes at the place that it counted itself, so that what a failed write left
 * behind is cut away and never ends up in the middle.
 */
export class AppendFile extends StoredFile {
  /** Writes all of `buffers` at `position`; rejects if a single byte is refused. */
  write(buffers: readonly Buffer[], position: number): Promise<void> {
    return fileIo.writeAll(this.fd, buffers, position);
  }

  /** Cuts everything from `size` on. */
  truncate(size: number): Promise<void> {
    return fileIo.ftruncate(this.fd, size);
  }

  /** Makes what was written survive a loss of power. */
  sync(): Promise<void> {
    return fileIo.fdatasync(this.fd);
  }
}
