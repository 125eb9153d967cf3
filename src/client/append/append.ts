import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { isResponse, openSource } from '../../http/body/body.ts';
import { isAsyncIterable, isWebStream, nameOf } from '../../http/body/source.ts';
import { isContentType } from '../../wire/content-type.ts';
import { InvalidSourceError, UnsupportedError } from '../../wire/errors.ts';
import type { AppendResult } from '../session/append-request.ts';
import { typeOfAnswer, wholeAnswer } from './answer-source.ts';
import type { AppendOptions, AppendStream } from './append-options.ts';
import { openAppend } from './open-append.ts';

/**
 * What can be appended: bytes, or text, which is encoded as UTF-8; as a whole, or
 * in chunks. (Node's readables are async iterables.) Of a `Response`, whoever has
 * fetched it, its body. The `Content-Type` of a `Response`, and the `type` of a `Blob`, is the file's, unless the option
 * `contentType` says another.
 */
export type AppendSource =
  | string
  | Uint8Array
  | Blob
  | Response
  | Iterable<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array | string>;

/** What a function that gives the source is told. */
export interface AppendClaim {
  /** Aborts when the append fails before its end, with its error: what is under way for it has no use any more. */
  signal: AbortSignal;
}

/**
 * Gives what can be appended. Called once the server has accepted the append and keeps all others out, so that what is
 * dear is made for one: with `expect: 0`, for the first who comes.
 */
export type SourceFunction = (claim: AppendClaim) => AppendSource | PromiseLike<AppendSource>;

/** Options of `append`. */
export interface SourceAppendOptions extends AppendOptions {
  /**
   * Whether a `Response` that says neither its length nor comes in chunks is taken for whole when its
   * connection ends. By default the append then ends as interrupted, with {@link UnframedAnswerError}.
   */
  allowUnframed?: boolean;
}

/**
 * Appends everything that `source` contains or yields to a resource, and creates
 * the resource if it is missing.
 *
 * Resolves when the server has confirmed the end. When the source fails, or
 * `signal` aborts, the append ends as interrupted. So does that of a `Response`
 * which breaks off, or of which nobody can know whether it is whole.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param source is read no faster than the server accepts it, and released at the end, or when it yields next; a
 *   function is not called when the server refuses
 * @throws {InvalidUrlError} and the errors of {@link openAppend}; {@link InvalidSourceError} for what
 *   cannot be appended, a `Response` whose status is not 2xx too; the source's error, of a `Response` that
 *   breaks off {@link ConnectionError}; {@link UnframedAnswerError}; what a function throws;
 *   {@link UnsupportedError} when it depends on `expect`, which a legacy server ignores; the signal's reason
 */
export async function append(
  url: string | URL,
  source: AppendSource | SourceFunction,
  { allowUnframed = false, ...options }: SourceAppendOptions = {},
): Promise<AppendResult> {
  if (typeof source !== 'function') assertSource(source);
  let known = typeof source === 'function' ? undefined : source;
  const { contentType = () => typeOfSource(known) } = options;
  const writable = openAppend(url, { ...options, contentType });
  const sourceToCopy = async () => {
    known ??= await madeSource(source as SourceFunction, writable, options.expect);
    return known;
  };
  // The pipeline alone would wait for a source that is stuck, even when the append has failed.
  await Promise.all([finished(writable), copy(sourceToCopy, writable, allowUnframed)]);
  // For Node, a stream that was destroyed may have finished; `close` tells whether the server has confirmed it.
  return writable.close();
}

/** @throws {InvalidSourceError} and the source's error, after destroying the writable with it */
async function copy(
  sourceOf: () => Promise<AppendSource>,
  writable: AppendStream,
  allowUnframed: boolean,
): Promise<void> {
  try {
    const source = await sourceOf();
    if (isResponse(source)) await pipeline(wholeAnswer(source, { skipBytes: 0, allowUnframed }), writable);
    else await pipeline(chunksOf(source, writable), bytesAndText, writable);
  } catch (error) {
    writable.destroy(error as Error);
    throw error;
  }
}

/** What a function gives, which is called when the server has accepted. */
async function madeSource(
  make: SourceFunction,
  writable: AppendStream,
  expect: number | undefined,
): Promise<AppendSource> {
  const failed = new AbortController();
  writable.once('error', (error) => failed.abort(error));
  await once(writable, 'open');
  if (expect !== undefined && writable.startPosition === undefined) {
    throw new UnsupportedError("a server of the original's kind does not look at what is expected");
  }
  // It may have failed in the same turn.
  if (writable.errored) throw writable.errored;
  const source: unknown = await make({ signal: failed.signal });
  try {
    assertSource(source);
    if (writable.errored) throw writable.errored;
    return source;
  } catch (error) {
    letGo(source, error);
    throw error;
  }
}

/** The type that a source says itself. */
function typeOfSource(source: AppendSource | undefined): string | undefined {
  if (isResponse(source)) return typeOfAnswer(source);
  return source instanceof Blob && isContentType(source.type) ? source.type : undefined;
}

/** Ends what nobody is going to read. */
function letGo(source: unknown, reason: unknown): void {
  if (!isResponse(source) && !isWebStream(source) && !isAsyncIterable(source)) return;
  try {
    openSource(source).end(reason);
  } catch {
    // Somebody else reads it, whose it is then.
  }
}

/** @throws {InvalidSourceError} when it cannot be appended */
function assertSource(source: unknown): asserts source is AppendSource {
  if (isResponse(source)) {
    if (source.ok) return;
    throw new InvalidSourceError(`an answer with status ${source.status} cannot be appended: its body can`);
  }
  if (isWhole(source) || source instanceof Blob || isWebStream(source) || isIterable(source)) return;
  throw new InvalidSourceError(`${nameOf(source)} cannot be appended`);
}

/**
 * The chunks of a source, not checked yet. Not as a source of the HTTP client, which makes bytes of each: for many short
 * texts that takes half as much processor time again.
 *
 * @param writable when it closes, a web stream is cancelled, even one that is stuck
 * @throws {InvalidSourceError} when the web stream has another reader
 */
function chunksOf(
  source: Exclude<AppendSource, Response>,
  writable: Writable,
): Iterable<unknown> | AsyncIterable<unknown> {
  if (isWhole(source)) return [source];
  if (source instanceof Blob) return webChunks(source.stream(), writable);
  return isWebStream(source) ? webChunks(source, writable) : source;
}

/**
 * Passes on bytes and text.
 *
 * @throws {InvalidSourceError} at any other chunk: the writable itself would throw where nothing catches it
 */
async function* bytesAndText(
  chunks: Iterable<unknown> | AsyncIterable<unknown>,
): AsyncGenerator<Uint8Array | string> {
  for await (const chunk of chunks) {
    if (!isWhole(chunk)) throw new InvalidSourceError(`a chunk of the source is ${nameOf(chunk)}`);
    yield chunk;
  }
}

function isWhole(value: unknown): value is Uint8Array | string {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  const object = Object(value);
  // Other typed arrays yield numbers, and a DataView yields nothing.
  if (ArrayBuffer.isView(object)) return false;
  return typeof object[Symbol.asyncIterator] === 'function' || typeof object[Symbol.iterator] === 'function';
}

function webChunks(stream: ReadableStream<unknown>, writable: Writable): AsyncGenerator<unknown> {
  let reader: ReadableStreamDefaultReader<unknown>;
  try {
    reader = stream.getReader();
  } catch (cause) {
    throw new InvalidSourceError('the web stream is read by somebody else', { cause });
  }
  writable.once('close', () => {
    // The writable has closed: a failure makes no difference.
    reader.cancel(writable.errored).catch(() => {});
    reader.releaseLock();
  });
  return (async function* () {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  })();
}
