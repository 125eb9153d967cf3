import { tapped } from './answer/tap.ts';
import { again, canRepeat, isBytes, lengthOf } from './body/body.ts';
import { BodyStream } from './body/body-stream.ts';
import { ConnectionError, TimeoutError } from './errors.ts';
import type { Fetch, FetchInit, Middleware } from './fetch.ts';
import { onAbort } from './on-abort.ts';
import { retryAfterMs } from './retry-after.ts';

/** What is written to; a logger of pino is one. */
export interface Logger {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/**
 * Logs each request when its answer's body has ended: `method`, `url`, `status`, `sentBytes`, `receivedBytes`,
 * `durationMs`, and `err` if it has failed. No query, no credentials, no headers.
 */
export function logging(logger: Logger): Middleware {
  return (next) => async (url, init) => {
    const begun = performance.now();
    const request = { method: init.method, url: `${url.origin}${url.pathname}` };
    let receivedBytes = 0;
    const detailsOf = (more: object) => ({
      ...request,
      ...more,
      sentBytes: sentBytesOf(init),
      receivedBytes,
      durationMs: Math.round(performance.now() - begun),
    });
    const line = `${request.method} ${request.url}`;
    let response: Response;
    try {
      response = await next(url, init);
    } catch (err) {
      logger.error(detailsOf({ err }), `${line} failed`);
      throw err;
    }
    const { status } = response;
    return tapped(response, {
      read: (bytes) => {
        receivedBytes += bytes;
      },
      end: (how, err) => {
        if (how === 'broken') logger.error(detailsOf({ status, err }), `${line} ${status} broke off`);
        else
          logger.info(detailsOf({ status }), `${line} ${status}${how === 'cancelled' ? ' cancelled' : ''}`);
      },
    });
  };
}

/** What other middleware has put there is not counted. */
function sentBytesOf({ body }: FetchInit): number {
  if (body instanceof BodyStream) return body.sentBytes;
  return isBytes(body) ? (lengthOf(body) ?? 0) : 0;
}

/**
 * Lets at most `limit` requests run at a time, in the order in which they were sent; the others
 * wait. A place is free again when the answer's body has ended, or was cancelled.
 */
export function concurrency(limit: number): Middleware {
  if (!(Number.isInteger(limit) && limit >= 1))
    throw new RangeError('the limit must be an integer, 1 or more');
  const places = new Places(limit);
  return (next) => async (url, init) => {
    await places.take(init.signal);
    let response: Response;
    try {
      response = await next(url, init);
    } catch (error) {
      places.free();
      throw error;
    }
    return tapped(response, { end: () => places.free() });
  };
}

class Places {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** @throws the signal's reason */
  async take(signal: AbortSignal | null | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        forget();
        resolve();
      };
      this.#waiting.add(enter);
      const forget = onAbort(signal, () => {
        this.#waiting.delete(enter);
        reject(signal?.reason);
      });
    });
  }

  free(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#free++;
    } else {
      this.#waiting.delete(first);
      first();
    }
  }
}

export interface RetryOptions {
  /** How many attempts are made after the first one. Default 2. */
  times?: number;
}

const DEFAULT_TIMES = 2;

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** Answers that another attempt may change. */
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);

const FIRST_DELAY_MS = 250;

/** Whoever is to wait for longer is given the answer. */
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * Makes another attempt when the connection failed, a time limit passed, or the answer says that it may help
 * (408, 425, 429, 500, 502, 503, 504): for idempotent methods, with bodies that can be made anew. It waits as
 * long as `Retry-After` says, up to a minute, else 250 ms and then twice as long each time, less a random part.
 */
export function retry({ times = DEFAULT_TIMES }: RetryOptions = {}): Middleware {
  return (next) => async (url, init) => {
    const isRepeatable = IDEMPOTENT.has(init.method) && canRepeat(init.body);
    let body = init.body;
    for (let failures = 0; ; failures++) {
      const mayRepeat = isRepeatable && failures < times;
      const delayMs = FIRST_DELAY_MS * 2 ** failures * (1 - Math.random() / 2);
      const waitMs = await attempt(
        next,
        url,
        { ...init, ...(body && { body }) },
        mayRepeat ? delayMs : undefined,
      );
      if (typeof waitMs !== 'number') return waitMs;
      await delay(waitMs, init.signal);
      body = again(body);
    }
  };
}

/**
 * Makes an attempt.
 *
 * @param delayMs the wait before another one; undefined when there will be none
 * @returns the answer, or how long to wait
 */
async function attempt(
  next: Fetch,
  url: URL,
  init: FetchInit,
  delayMs: number | undefined,
): Promise<Response | number> {
  let response: Response;
  try {
    response = await next(url, init);
  } catch (error) {
    if (init.body instanceof BodyStream) init.body.end(error);
    const mayHelp =
      (error instanceof ConnectionError || error instanceof TimeoutError) && !init.signal?.aborted;
    if (delayMs === undefined || !mayHelp) throw error;
    return delayMs;
  }
  if (delayMs === undefined || !TRANSIENT.has(response.status)) return response;
  const waitMs = retryAfterMs(response.headers.get('retry-after')) ?? delayMs;
  if (waitMs > MAX_RETRY_AFTER_MS) return response;
  // It may break while it is cancelled, which is all the same.
  await response.body?.cancel().catch(() => {});
  return waitMs;
}

/** @throws the signal's reason */
function delay(ms: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      forget();
      resolve();
    }, ms);
    const forget = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal?.reason);
    });
  });
}

/**
 * Sends a token (RFC 6750), unless the request has an `Authorization` of its own. A function is asked for
 * each attempt. It is for the base's origin only: redirects to others lose it.
 */
export function bearer(token: string | (() => string | Promise<string>)): Middleware {
  return (next) => async (url, init) => {
    if (init.headers.has('authorization')) return next(url, init);
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${typeof token === 'function' ? await token() : token}`);
    return next(url, { ...init, headers });
  };
}
