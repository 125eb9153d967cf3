import fs from 'node:fs';
import { AppendFile } from './append-file.ts';

/** A file opened to be put right: it is written where it is said to, not at its end. */
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
