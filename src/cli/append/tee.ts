import { Writable } from 'node:stream';
import { LAST_OUTPUT_MS, messageOf } from '../io/io.ts';

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
  #isHurried = false;
  /** Of the write that the target has not taken yet. */
  #callback: (() => void) | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(target: Writable, log: (line: string) => void) {
    super();
    this.#target = target;
    this.#log = log;
  }

  /** Whether something is missing of the copy that somebody wanted. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** From now on waits only so long for a target that takes nothing; what it has not taken then is dropped. */
  hurry(): void {
    this.#isHurried = true;
    if (this.#callback !== undefined) this.#limitWait();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#isOver) {
      callback();
      return;
    }
    this.#callback = callback;
    if (this.#isHurried) this.#limitWait();
    this.#target.write(chunk, (error?: NodeJS.ErrnoException | null) => {
      if (error) this.#fail(error);
      this.#goOn();
    });
  }

  #limitWait(): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#isOver = true;
      this.#goOn();
    }, LAST_OUTPUT_MS);
  }

  #goOn(): void {
    clearTimeout(this.#deadline);
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.();
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#isOver = true;
    if (error.code === 'EPIPE') return;
    this.#hasFailed = true;
    this.#log(`cannot write to standard output: ${messageOf(error)}`);
  }
}
