import { Readable } from 'node:stream';
import type { OutputPipe } from '../io/output-pipe.ts';
import { readAtOnce } from '../io/read-at-once.ts';

/** More than a pipe of the system holds, unless somebody with privileges has asked for more. */
const MAX_PIPE_BYTES = 1024 * 1024;

/**
 * What comes through a pipe, until nobody has its writing end any more; or until
 * it is told that the one who matters has gone, and a while after that.
 */
export class LingeringOutput extends Readable {
  readonly #pipe: Readable;
  readonly #descriptor: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor({ readable, readDescriptor }: Pick<OutputPipe, 'readable' | 'readDescriptor'>) {
    super();
    this.#pipe = readable;
    this.#descriptor = readDescriptor;
    readable.on('data', this.#take);
    readable.once('end', () => this.#end());
    readable.once('error', (error) => this.destroy(error));
  }

  /** Ends after `lingerMs` with what is in the pipe then, also while others could still write to it. */
  endSoon(lingerMs: number): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#endNow(), lingerMs);
  }

  override _read(): void {
    this.#pipe.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#pipe.destroy();
    callback(error);
  }

  readonly #take = (bytes: Buffer): void => {
    if (!this.push(bytes)) this.#pipe.pause();
  };

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.push(null);
  }

  #endNow(): void {
    const pipe = this.#pipe.off('data', this.#take).pause();
    try {
      // What was read already comes first.
      for (let bytes = pipe.read(); bytes !== null; bytes = pipe.read()) this.push(bytes);
      this.#drain();
      this.#end();
      pipe.destroy();
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** Takes what the system holds: the reader may be slow, but what was written before the end is part of it. */
  #drain(): void {
    for (let taken = 0; taken < MAX_PIPE_BYTES; ) {
      const bytes = readAtOnce(this.#descriptor);
      if (bytes.length === 0) return;
      taken += bytes.length;
      this.push(bytes);
    }
  }
}
