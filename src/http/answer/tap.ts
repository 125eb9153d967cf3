import { PulledStream, sourceOf, whenCollected } from '../body/source.ts';

/** Answers whose bodies are as they came, in the codings that their `Content-Encoding` tells. */
const codedAnswers = new WeakSet<Response>();

/** Whether the body of an answer is coded: its `Content-Type` is that of what would be decoded. */
export function isCoded(answer: Response): boolean {
  return codedAnswers.has(answer);
}

/** How the body of an answer has ended; `cancelled` also when nobody can read it any more. */
export type BodyEnd = 'complete' | 'broken' | 'cancelled';

/** Is told of the body of an answer while it is read. */
export interface Tap {
  /** Its reader waits for the next bytes. */
  reading?(): void;
  read?(bytes: number): void;
  /** What its reader is told in place of an error. */
  failure?(error: unknown): unknown;
  /** Called once. */
  end(how: BodyEnd, error?: unknown): void;
}

/**
 * The same answer, with a body that tells what becomes of it. It is read no further than
 * the one who reads asks for. An answer without a body, or with one that was read, is given back, and has ended.
 */
export function tapped(response: Response, tap: Tap): Response {
  if (response.body === null || response.body.locked || response.bodyUsed) {
    tap.end('complete');
    return response;
  }
  const { status, statusText, headers, url, redirected } = response;
  const answer = new Response(tappedStream(response.body, tap), { status, statusText, headers });
  return withOrigin(answer, url, redirected, isCoded(response));
}

/** Says where an answer, and each clone of it, came from, and whether it is coded, which its constructor cannot. */
export function withOrigin(answer: Response, url: string, redirected: boolean, coded: boolean): Response {
  const clone = () => withOrigin(Response.prototype.clone.call(answer), url, redirected, coded);
  if (coded) codedAnswers.add(answer);
  return Object.defineProperties(answer, {
    url: { value: url, configurable: true },
    redirected: { value: redirected, configurable: true },
    clone: { value: clone, configurable: true, writable: true },
  });
}

function tappedStream(body: ReadableStream<Uint8Array>, tap: Tap): ReadableStream<Uint8Array> {
  const source = sourceOf(body);
  let isOver = false;
  const end = (how: BodyEnd, error?: unknown) => {
    if (isOver) return;
    isOver = true;
    forget();
    tap.end(how, error);
  };
  const next = async () => {
    tap.reading?.();
    try {
      const chunk = await source.next();
      if (chunk === undefined) end('complete');
      else tap.read?.(chunk.length);
      return chunk;
    } catch (cause) {
      const error = tap.failure?.(cause) ?? cause;
      end('broken', error);
      throw error;
    }
  };
  const cancel = (reason?: unknown) => {
    end('cancelled');
    source.end(reason);
  };
  const stream = new PulledStream(next, cancel);
  const forget = whenCollected(stream, cancel);
  return stream;
}
