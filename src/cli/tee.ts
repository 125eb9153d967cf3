import { Writable } from 'node:stream';
import { messageOf } from './io.ts';

/**
 * Passes bytes on to another writable, no faster than that takes them. It never
 * fails: when the other does, which is told unless somebody just closed it, the
 * rest is dropped.
 */
export class Tee extends Writable {
  readonly #target: Writable;
  readonly #log: (line: string) => void;
  #hasFailed = false;

  constructor(target: Writable, log: (line: string) => void) {
    super();
    this.#target = target;
    this.#log = log;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#hasFailed) {
      callback();
      return;
    }
    this.#target.write(chunk, (error?: NodeJS.ErrnoException | null) => {
      if (error) this.#fail(error);
      callback();
    });
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#hasFailed = true;
    if (error.code !== 'EPIPE') this.#log(`cannot write to standard output: ${messageOf(error)}`);
  }
}
