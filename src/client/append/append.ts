import type { Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { AppendOptions, AppendResult } from './append-options.ts';
import { type AppendSource, assertSource, chunksOf, onlyWhole } from './append-source.ts';
import { openAppend } from './open-append.ts';

/**
 * Appends everything that `source` has or yields to a resource, and makes the
 * resource if it is missing.
 *
 * Resolves when the server has confirmed the end. When the source fails, or
 * `signal` aborts, the append ends as interrupted.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param source is read no faster than the server takes it, and released at the end, or when it yields next
 * @throws {InvalidUrlError} and what {@link openAppend} errors with; {@link InvalidSourceError} for what
 *   cannot be appended; the source's error; the signal's reason
 */
export async function append(
  url: string | URL,
  source: AppendSource,
  options: AppendOptions = {},
): Promise<AppendResult> {
  assertSource(source);
  const writable = openAppend(url, options);
  // The pipeline alone would wait for a source that is stuck, whatever has happened to the append.
  await Promise.all([finished(writable), copy(source, writable)]);
  // A stream that was destroyed may have finished for Node; the server's word is another thing.
  return writable.close();
}

/** @throws {InvalidSourceError} and the source's error, after the writable was destroyed with it */
async function copy(source: AppendSource, writable: Writable): Promise<void> {
  try {
    await pipeline(chunksOf(source, writable), onlyWhole, writable);
  } catch (error) {
    writable.destroy(error as Error);
    throw error;
  }
}
