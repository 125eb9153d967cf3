import { type Tap, tapped } from './answer/tap.ts';
import { answerLength, type Content, lengthOf, streamed } from './body/body.ts';
import { BodyStream, type BodyWatcher } from './body/body-stream.ts';
import { TimeoutError } from './errors.ts';
import type { Fetch, FetchBody, FetchInit, Middleware } from './fetch.ts';
import { onAbort } from './on-abort.ts';

/** How far a request and its answer have come. */
export interface Progress {
  sentBytes: number;
  receivedBytes: number;
  /** Length of the body that is under way, the request's and then the answer's; undefined when it is not known. */
  totalBytes?: number;
}

export interface Limits {
  /** 0: none. */
  timeoutMs: number;
  /** 0: none. */
  idleTimeoutMs: number;
  onProgress: ((progress: Progress) => void) | undefined;
}

/**
 * Watches each attempt.
 *
 * @param canStream whether all bodies can be sent as streams, and so be watched
 */
export function limits(settings: Limits, canStream: boolean): Middleware {
  const { timeoutMs, idleTimeoutMs, onProgress } = settings;
  if (timeoutMs === 0 && idleTimeoutMs === 0 && onProgress === undefined) return (next) => next;
  return (next) => (url, init) => new Attempt(settings, init).run(next, url, canStream);
}

class Attempt implements BodyWatcher, Tap {
  readonly #limits: Limits;
  readonly #init: FetchInit;
  readonly #controller = new AbortController();
  readonly #idle: IdleTimer;
  #headTimer: ReturnType<typeof setTimeout> | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;
  #totalBytes: number | undefined;
  /** The source of the body keeps us waiting, not the other side. */
  #isMaking = false;
  #isAnswered = false;
  #isReading = false;
  #forget = () => {};

  constructor(settings: Limits, init: FetchInit) {
    this.#limits = settings;
    this.#init = init;
    const { idleTimeoutMs } = settings;
    this.#idle = new IdleTimer(idleTimeoutMs, () => this.#timeOut(`not a byte for ${idleTimeoutMs} ms`));
  }

  async run(next: Fetch, url: URL, canStream: boolean): Promise<Response> {
    const { signal, body: given } = this.#init;
    const content = given as Content | null | undefined;
    const body = content && canStream ? streamed(content) : content;
    const init = { ...this.#init, signal: this.#controller.signal, ...(body && { body: body as FetchBody }) };
    this.#forget = onAbort(signal, () => this.#controller.abort(signal?.reason));
    try {
      if (body instanceof BodyStream) {
        this.#totalBytes = body.length;
        body.watcher = this;
      } else {
        this.ended();
      }
      const response = await next(url, init);
      // What was sent without being watched has arrived.
      if (body && !(body instanceof BodyStream)) this.#sentBytes = lengthOf(body) ?? 0;
      this.#answered(response);
      const { idleTimeoutMs, onProgress } = this.#limits;
      if (signal || idleTimeoutMs > 0 || onProgress) return tapped(response, this);
      // Its head was in time, and nobody asks for more: what is wrapped costs more to read.
      this.end();
      return response;
    } catch (error) {
      this.end();
      throw error;
    }
  }

  repeated(): void {
    clearTimeout(this.#headTimer);
    this.#sentBytes = 0;
  }

  making(): void {
    this.#isMaking = true;
    this.#update();
  }

  made(bytes: number): void {
    this.#isMaking = false;
    this.#sentBytes += bytes;
    this.#moved();
  }

  ended(): void {
    this.#isMaking = false;
    this.#update();
    const { timeoutMs } = this.#limits;
    if (timeoutMs === 0 || this.#isAnswered) return;
    this.#headTimer = setTimeout(() => this.#timeOut(`no answer within ${timeoutMs} ms`), timeoutMs);
  }

  reading(): void {
    this.#isReading = true;
    this.#update();
  }

  read(bytes: number): void {
    this.#isReading = false;
    this.#receivedBytes += bytes;
    this.#moved();
  }

  end(): void {
    // What is told later, of a source that is let go of for example, starts no timer any more.
    this.#isAnswered = true;
    this.#isReading = false;
    this.#forget();
    clearTimeout(this.#headTimer);
    this.#idle.stop();
  }

  #answered(response: Response): void {
    clearTimeout(this.#headTimer);
    this.#isAnswered = true;
    this.#totalBytes = answerLength(response);
    this.#moved();
  }

  #moved(): void {
    this.#idle.restart();
    this.#update();
    try {
      this.#limits.onProgress?.({
        sentBytes: this.#sentBytes,
        receivedBytes: this.#receivedBytes,
        ...(this.#totalBytes !== undefined && { totalBytes: this.#totalBytes }),
      });
    } catch (error) {
      this.#controller.abort(error);
    }
  }

  #update(): void {
    this.#idle.isRunning = !this.#isMaking && (!this.#isAnswered || this.#isReading);
  }

  #timeOut(message: string): void {
    this.#controller.abort(new TimeoutError(message));
  }
}

/** Fires when it has run for so long without being restarted. One timer, however often that is. */
class IdleTimer {
  readonly #ms: number;
  readonly #onIdle: () => void;
  #since = 0;
  #isRunning = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, onIdle: () => void) {
    this.#ms = ms;
    this.#onIdle = onIdle;
  }

  set isRunning(isRunning: boolean) {
    if (this.#ms === 0 || isRunning === this.#isRunning) return;
    this.#isRunning = isRunning;
    if (!isRunning) return;
    this.restart();
    if (this.#timer === undefined) this.#wait(this.#ms);
  }

  restart(): void {
    this.#since = performance.now();
  }

  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isRunning) return;
      const restMs = this.#since + this.#ms - performance.now();
      if (restMs > 0) this.#wait(Math.ceil(restMs));
      else this.#onIdle();
    }, ms);
  }
}
