import { Writable } from 'node:stream';
import type { ClientLog } from '../client-log.ts';
import { LAST_OUTPUT_MS, messageOf } from '../io/io.ts';

/**
 * Passes bytes on to another writable, no faster than that accepts them. It never
 * fails: when the other does, the rest is dropped. That is logged and counts as a
 * failure, unless the reader has closed it.
 */
export class Tee extends Writable {
  readonly #target: Writable;
  readonly #log: ClientLog;
  #isOver = false;
  #hasFailed = false;
  #isHurried = false;
  /** The callback of the write that the target has not accepted yet. */
  #callback: (() => void) | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(target: Writable, log: ClientLog) {
    super();
    this.#target = target;
    this.#log = log;
  }

  /** Whether the copy is incomplete, other than because its reader has closed it. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** From now on, waits for a stalled target only for {@link LAST_OUTPUT_MS}, and then drops the rest. */
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
      this.#settle();
    });
  }

  #limitWait(): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#isOver = true;
      this.#settle();
    }, LAST_OUTPUT_MS);
  }

  #settle(): void {
    clearTimeout(this.#deadline);
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.();
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#isOver = true;
    if (error.code === 'EPIPE') return;
    this.#hasFailed = true;
    this.#log.write(`cannot write to standard output: ${messageOf(error)}`);
  }
}
