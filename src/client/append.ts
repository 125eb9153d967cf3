import type { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { AppendOptions } from './append-options.ts';
import { openAppend } from './open-append.ts';

/** What can be appended: bytes, or text that is encoded as UTF-8. */
export type AppendSource =
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>
  | Readable
  | ReadableStream<Uint8Array | string>;

/**
 * Appends everything that `source` yields to a resource, and makes the
 * resource if it is missing.
 *
 * Resolves when the server has confirmed the end. When the source fails, or
 * `signal` aborts, the append ends as interrupted.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param source is read no faster than the server takes it, and released at the end, or when it yields next
 * @throws {InvalidUrlError} and what {@link openAppend} errors with; the source's error; the signal's reason
 */
export async function append(
  url: string | URL,
  source: AppendSource,
  options: AppendOptions = {},
): Promise<void> {
  const writable = openAppend(url, options);
  // The pipeline alone would wait for a source that is stuck, whatever has happened to the append.
  await Promise.all([finished(writable), pipeline(source, writable)]);
  // A stream that was destroyed may have finished for Node; the server's word is another thing.
  await writable.close();
}
