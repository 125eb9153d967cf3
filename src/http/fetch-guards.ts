import { tapped } from './answer/tap.ts';
import { BodyStream } from './body/body-stream.ts';
import { isWebStream, sourceOf } from './body/source.ts';
import { ConnectionError, HttpfstreamError, InvalidSourceError } from './errors.ts';
import type { Fetch, FetchInit } from './fetch.ts';
import { onAbort } from './on-abort.ts';

/** Fetches that need no guards: they end what they send, and can send any body as a stream. */
const streaming = new WeakSet<Fetch>();

/** Says that a fetch needs no guards. */
export function declareStreaming(fetch: Fetch): void {
  streaming.add(fetch);
}

export function isStreaming(fetch: Fetch): boolean {
  return streaming.has(fetch);
}

/**
 * Makes somebody else's `fetch` safe to stream with:
 *
 * - a stream is read one chunk at a time, kept by nobody (which platforms do only when they need not
 *   follow redirects), and its source is ended when the exchange ends, however it does;
 * - any number of requests may have the same signal, and nothing is left at it;
 * - what fails is a {@link ConnectionError}, the error of the body's source, or the signal's reason; but for the
 *   body of an answer that nothing here watches, since its request had neither.
 */
export function guarded(fetch: Fetch): Fetch {
  return async (url, init) => {
    const { signal } = init;
    const body = isWebStream(init.body) ? owned(init.body) : undefined;
    const controller = new AbortController();
    let forget = () => {};
    try {
      signal?.throwIfAborted();
      if (body !== undefined && !canSendStreams()) {
        throw new InvalidSourceError('a stream cannot be sent from here: bytes, text and Blobs can');
      }
      // The answer is the platform's own, unless somebody is to be told of its end.
      if (body === undefined && !signal) return await fetch(url, init);
      forget = onAbort(signal, () => {
        controller.abort(signal?.reason);
        body?.end(signal?.reason);
      });
      const response = await fetch(url, {
        ...init,
        signal: controller.signal,
        ...(body && streamInit(init, body)),
      });
      // Who has refused it reads no more of it.
      if (!response.ok) body?.stop(new ConnectionError(`the answer is ${response.status}`));
      return tapped(response, {
        failure: (error) => errorOf(error, body, signal),
        end: () => {
          forget();
          if (body?.isFinished === false) body.end(new ConnectionError('the answer has ended'));
        },
      });
    } catch (error) {
      forget();
      body?.end(error);
      throw errorOf(error, body, signal);
    }
  };
}

/** Some browsers take a stream for a text, which is its name, and send that. */
function canSendStreams(): boolean {
  const init = { method: 'POST', body: new ReadableStream(), duplex: 'half' } as const;
  return !new Request('http://localhost', init).headers.has('content-type');
}

function owned(body: ReadableStream<Uint8Array>): BodyStream {
  return body instanceof BodyStream ? body : new BodyStream(() => sourceOf(body));
}

function streamInit({ headers: given }: FetchInit, body: BodyStream): object {
  const headers = new Headers(given);
  if (body.length !== undefined) headers.set('content-length', String(body.length));
  // To follow redirects it would have to keep all of the body.
  return { headers, body, duplex: 'half', redirect: 'error' };
}

function errorOf(
  error: unknown,
  body: BodyStream | undefined,
  signal: AbortSignal | null | undefined,
): unknown {
  if (body?.failure !== undefined) return body.failure.reason;
  if (signal?.aborted) return signal.reason;
  if (error instanceof HttpfstreamError) return error;
  return new ConnectionError(`the exchange has failed: ${wordsOf(error)}`, { cause: error });
}

/** Platforms put what has happened into the cause. */
function wordsOf(error: unknown): string {
  const { message, cause } = Object(error);
  const { message: inner = '', code = '' } = Object(cause);
  return inner || code || message || String(error);
}
