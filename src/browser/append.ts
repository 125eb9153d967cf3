import type { AppendResult } from '../client/session/append-request.ts';
import { assertBody, type Bytes, isResponse, openSource } from '../http/body/body.ts';
import type { Chunks } from '../http/body/source.ts';
import { isContentType } from '../wire/content-type.ts';
import { InvalidSourceError } from '../wire/errors.ts';
import type { AppendOptions } from './append-options.ts';
import { openAppend } from './open-append.ts';

/**
 * What can be appended: bytes, or text, which is encoded as UTF-8; as a whole, or in chunks. The `type` of a `Blob` is
 * the file's, unless the option `contentType` says another.
 */
export type AppendSource = Bytes | Chunks;

/**
 * Appends everything that `source` contains or yields to a resource, and creates the resource if it is missing.
 *
 * Resolves when the server has confirmed the end. When the source fails, or `signal` aborts, the append ends as
 * interrupted.
 *
 * @param url http, https, ws or wss URL of the resource, or one relative to the page's
 * @param source is read no faster than the server accepts it, and released at the end
 * @throws {InvalidUrlError} and the errors of {@link openAppend}; {@link InvalidSourceError} for what cannot be
 *   appended; the source's error; the signal's reason
 */
export async function append(
  url: string | URL,
  source: AppendSource,
  options: AppendOptions = {},
): Promise<AppendResult> {
  assertSource(source);
  const { contentType = knownType(source) } = options;
  const stream = openAppend(url, { ...options, ...(contentType !== undefined && { contentType }) });
  const from = openSource(source);
  const copy = async () => {
    for (let chunk = await from.next(); chunk !== undefined; chunk = await from.next()) {
      await stream.write(chunk);
    }
    return stream.close();
  };
  try {
    // The source may be stuck when the append has failed.
    return await Promise.race([copy(), stream.closed]);
  } catch (error) {
    stream.abort(error);
    from.end(error);
    throw error;
  }
}

/** @throws {InvalidSourceError} when it cannot be appended */
function assertSource(source: unknown): asserts source is AppendSource {
  if (isResponse(source)) {
    throw new InvalidSourceError(
      'a Response cannot be appended, since its page does not know whether it is whole: its body can',
    );
  }
  if (typeof source === 'function') throw new InvalidSourceError('a function cannot be appended');
  assertBody(source);
}

/** The type that a source says itself. */
function knownType(source: AppendSource): string | undefined {
  return source instanceof Blob && isContentType(source.type) ? source.type : undefined;
}
