import { Writable } from 'node:stream';
import { messageOf } from './io.ts';

/**
 * Passes bytes on to another writable, no faster than that takes them. It never
 * errors: when the other does, the rest is dropped, which is told and is a
 * failure unless somebody just closed it.
 */
export class Tee extends Writable {
  readonly #target: Writable;
  readonly #log: (line: string) => void;
  #isOver = false;
  #hasFailed = false;

  constructor(target: Writable, log: (line: string) => void) {
    super();
    this.#target = target;
    this.#log = log;
  }

  /** Whether something is missing of the copy that somebody wanted. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#isOver) {
      callback();
      return;
    }
    this.#target.write(chunk, (error?: NodeJS.ErrnoException | null) => {
      if (error) this.#fail(error);
      callback();
    });
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#isOver = true;
    if (error.code === 'EPIPE') return;
    this.#hasFailed = true;
    this.#log(`cannot write to standard output: ${messageOf(error)}`);
  }
}
