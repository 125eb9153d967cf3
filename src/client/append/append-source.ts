import type { Writable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { InvalidSourceError } from '../../wire/errors.ts';

/**
 * What can be appended: bytes, or text that is encoded as UTF-8; as a whole, or
 * in chunks. (Node's readables are async iterables.)
 */
export type AppendSource =
  | string
  | Uint8Array
  | Blob
  | Iterable<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array | string>;

/** @throws {InvalidSourceError} when it is nothing that can be appended */
export function assertSource(source: unknown): asserts source is AppendSource {
  if (isWhole(source) || source instanceof Blob || isWebStream(source) || isIterable(source)) return;
  throw new InvalidSourceError(`${nameOf(source)} cannot be appended`);
}

/**
 * The chunks of a source, whatever they are.
 *
 * @param writable when it closes a web stream is cancelled, also one that is stuck
 * @throws {InvalidSourceError} when somebody else reads the web stream
 */
export function chunksOf(
  source: AppendSource,
  writable: Writable,
): Iterable<unknown> | AsyncIterable<unknown> {
  if (isWhole(source)) return [source];
  if (source instanceof Blob) return webChunks(source.stream(), writable);
  return isWebStream(source) ? webChunks(source, writable) : source;
}

/**
 * Passes chunks on.
 *
 * @throws {InvalidSourceError} at one that cannot be appended: what a writable throws is caught by nobody
 */
export async function* onlyWhole(
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

/** Whoever made it. */
function isWebStream(value: unknown): value is ReadableStream<unknown> {
  return typeof Object(value).getReader === 'function';
}

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  const object = Object(value);
  // Arrays of larger numbers than bytes yield numbers, or nothing.
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
    // What it fails with changes nothing any more.
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

/** What to call a value that is of no use here. */
function nameOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? Object.prototype.toString.call(value) : typeof value;
}
