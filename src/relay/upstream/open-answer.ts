import type { IncomingMessage } from 'node:http';
import { UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import { Silence } from './silence.ts';

/** An answer whose body has not been read, or in part. */
export class OpenAnswer {
  readonly #response: IncomingMessage;
  readonly #signal: AbortSignal;
  readonly #silenceMs: number;
  #stop = () => {};
  #isReleased = false;

  /**
   * @param signal breaks it off when it aborts
   * @param silenceMs longest time without a byte, in milliseconds
   */
  constructor(response: IncomingMessage, signal: AbortSignal, silenceMs: number) {
    this.#response = response;
    this.#signal = signal;
    this.#silenceMs = silenceMs;
    // Nobody may be reading when it breaks.
    response.on('error', ignore);
    signal.addEventListener('abort', this.#abort, { once: true });
    if (signal.aborted) this.#abort();
    response.once('close', () => signal.removeEventListener('abort', this.#abort));
  }

  get status(): number {
    return this.#response.statusCode as number;
  }

  /** Names in lower case; what came several times is joined. */
  get headers(): Readonly<Record<string, string>> {
    const entries = Object.entries(this.#response.headers);
    return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
  }

  /** How many bytes it has, as it says. */
  get length(): number | undefined {
    const { 'content-length': length } = this.#response.headers;
    return length === undefined ? undefined : Number(length);
  }

  /** Whether it is one of success. */
  get isOk(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  /**
   * All of a body that is short, which stays to be read; what has come of it when it breaks, or nothing comes for too
   * long.
   *
   * @param maxBytes how long it may be; undefined for a longer one, and for one that does not say how long it is
   */
  async peek(maxBytes: number): Promise<string | undefined> {
    const response = this.#response;
    const { length = Number.POSITIVE_INFINITY } = this;
    if (length > maxBytes) return undefined;
    await new Promise<void>((resolve) => {
      const silence = this.#listen(() => true);
      const look = () => {
        silence.over();
        if (response.readableLength < length && !response.closed) return;
        silence.stop();
        response.off('readable', look).off('close', look);
        resolve();
      };
      response.on('readable', look).on('close', look);
      look();
    });
    const bytes = response.read() as Buffer | null;
    // Before the end is told: it is not the end any more.
    if (bytes !== null) response.unshift(bytes);
    return bytes?.toString() ?? '';
  }

  /**
   * Reads the body.
   *
   * @param take called with the bytes, which are its own; returns false when it takes no more until {@link resume}
   * @throws {UpstreamTimeoutError} when nothing comes for too long
   * @throws what breaks it
   */
  consume(take: (bytes: Buffer) => boolean): Promise<void> {
    const response = this.#response;
    // Nothing more is told of it.
    if (response.closed) return Promise.reject(response.errored ?? new UpstreamError('the answer was cut'));
    return new Promise<void>((resolve, reject) => {
      const silence = this.#listen(() => !response.isPaused());
      const over = () => silence.over();
      const data = (bytes: Buffer) => {
        over();
        if (!take(bytes)) response.pause();
      };
      this.#stop = () => {
        silence.stop();
        response.off('data', data).off('resume', over);
        resolve();
      };
      response
        .on('data', data)
        .on('resume', over)
        .once('end', resolve)
        .once('error', reject)
        .once('close', () => {
          silence.stop();
          reject(new UpstreamError('the answer was cut'));
        });
      response.resume();
    });
  }

  /**
   * Consumes no more: the rest, which begins with these bytes, is another answer, of which its owner lets go.
   *
   * @param bytes the last ones that were taken
   */
  restFrom(bytes: Buffer): OpenAnswer {
    const response = this.#response;
    response.pause();
    this.#stop();
    response.unshift(bytes);
    this.#isReleased = true;
    return new OpenAnswer(response, this.#signal, this.#silenceMs);
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#response.resume();
  }

  /** Gives it to somebody else, who reads it from its beginning. */
  release(): IncomingMessage {
    this.#signal.removeEventListener('abort', this.#abort);
    this.#isReleased = true;
    return this.#response;
  }

  /** Lets it go, with its connection if it has not ended, unless it is somebody else's. */
  cancel(): void {
    if (this.#isReleased) return;
    if (!this.#response.complete) this.#response.destroy();
    else this.#response.resume();
  }

  /** Breaks it when nothing comes for too long. */
  #listen(isTaken: () => boolean): Silence {
    const broken = () => this.#response.destroy(new UpstreamTimeoutError('the answer has stalled'));
    return new Silence(this.#silenceMs, isTaken, broken);
  }

  readonly #abort = (): void => void this.#response.destroy(this.#signal.reason as Error);
}

function ignore(): void {}
