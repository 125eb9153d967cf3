import { tapped } from './answer/tap.ts';
import { again, canRepeat, isBytes, lengthOf } from './body/body.ts';
import { BodyStream } from './body/body-stream.ts';
import { ConnectionError, TimeoutError } from './errors.ts';
import type { FetchInit, Middleware } from './fetch.ts';
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
  let free = limit;
  const waiting = new Set<() => void>();
  const take = (signal: AbortSignal | null | undefined) =>
    new Promise<void>((resolve, reject) => {
      const enter = () => {
        forget();
        resolve();
      };
      waiting.add(enter);
      const forget = onAbort(signal, () => {
        waiting.delete(enter);
        reject(signal?.reason);
      });
    });
  const leave = () => {
    const [first] = waiting;
    if (first === undefined) {
      free++;
    } else {
      waiting.delete(first);
      first();
    }
  };
  return (next) => async (url, init) => {
    init.signal?.throwIfAborted();
    if (free > 0) free--;
    else await take(init.signal);
    try {
      return tapped(await next(url, init), { end: leave });
    } catch (error) {
      leave();
      throw error;
    }
  };
}

export interface RetryOptions {
  /** How many attempts are made after the first one. Default 2. */
  times?: number;
}

const DEFAULT_TIMES = 2;

/** Answers that another attempt may change. */
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);

const FIRST_DELAY_MS = 250;

/** The longest wait. Whoever is asked to wait for longer is given the answer. */
const MAX_DELAY_MS = 60_000;

/**
 * Makes another attempt when the connection failed, a time limit passed, or the answer says that it may help
 * (408, 425, 429, 500, 502, 503, 504): for idempotent methods, with bodies that can be made anew. It waits as
 * long as `Retry-After` says, else 250 ms and then twice as long each time, less a random part; up to a minute.
 */
export function retry({ times = DEFAULT_TIMES }: RetryOptions = {}): Middleware {
  return (next) => async (url, init) => {
    const attempts = canRepeat(init) ? times : 0;
    let { body } = init;
    for (let failures = 0; ; failures++) {
      const isLast = !(failures < attempts);
      let waitMs = Math.min(FIRST_DELAY_MS * 2 ** failures, MAX_DELAY_MS) * (1 - Math.random() / 2);
      try {
        const response = await next(url, { ...init, ...(body && { body }) });
        if (isLast || !TRANSIENT.has(response.status)) return response;
        waitMs = retryAfterMs(response.headers.get('retry-after')) ?? waitMs;
        if (waitMs > MAX_DELAY_MS) return response;
        // It may break while it is cancelled, which is all the same.
        await response.body?.cancel().catch(() => {});
      } catch (error) {
        if (body instanceof BodyStream) body.end(error);
        const mayHelp = error instanceof ConnectionError || error instanceof TimeoutError;
        if (isLast || !mayHelp || init.signal?.aborted) throw error;
      }
      await delay(waitMs, init.signal);
      body = again(body);
    }
  };
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
