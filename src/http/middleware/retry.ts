import { again, canRepeat } from '../body/body.ts';
import { BodyStream } from '../body/body-stream.ts';
import { ConnectionError, TimeoutError } from '../errors.ts';
import type { Fetch, FetchInit, Middleware } from '../fetch.ts';
import { onAbort } from '../on-abort.ts';
import { retryAfterMs } from '../retry-after.ts';

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
