import { StreamHeader } from '../../wire/durable-streams.ts';
import { RAW_QUERY } from '../../wire/page.ts';
import type { ReadBytes } from './block-store.ts';
import { discardBody } from './discard-body.ts';
import { BytesGoneError, type RequestFile } from './file-requests.ts';

/** So long an answer may take, in milliseconds: what hangs would never be asked for again. */
const READ_TIMEOUT_MS = 60_000;

/** Which file is at a path, and how many bytes it has. */
export interface FileFacts {
  readonly generation: number;
  readonly size: number;
}

/**
 * Makes a function that reads ranges of a file. It rejects with {@link BytesGoneError} when what is there is not the file
 * that is expected.
 */
export function readBytesOf(request: RequestFile): ReadBytes {
  return async (from, to) => {
    const answer = await request(RAW_QUERY, {
      headers: { range: `bytes=${from}-${to - 1}` },
      signal: AbortSignal.timeout(READ_TIMEOUT_MS),
    });
    if (answer.status === 206) {
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (bytes.length !== to - from) throw new BytesGoneError('the file has become shorter');
      return bytes;
    }
    discardBody(answer);
    const says = `the server answered ${answer.status} ${answer.statusText}`;
    throw GONE.includes(answer.status) ? new BytesGoneError(says) : new Error(says);
  };
}

/** Statuses of what is not there, or not that long. */
const GONE: readonly number[] = [404, 410, 416];

/**
 * Asks which file is there now; undefined when there is none.
 *
 * @throws when it cannot be asked, or is not told
 */
export async function lookAtFile(request: RequestFile): Promise<FileFacts | undefined> {
  const answer = await request(RAW_QUERY, {
    method: 'HEAD',
    signal: AbortSignal.timeout(READ_TIMEOUT_MS),
  });
  if (answer.status === 404 || answer.status === 410) return undefined;
  const facts = answer.ok ? factsIn(answer.headers) : undefined;
  if (facts === undefined) throw new Error(`the server answered ${answer.status} ${answer.statusText}`);
  return facts;
}

/** An answer names the file, and its end, as an offset of a stream. */
function factsIn(headers: Headers): FileFacts | undefined {
  const groups = /^(?<generation>\d{16})_(?<size>\d{16})$/.exec(
    headers.get(StreamHeader.nextOffset) ?? '',
  )?.groups;
  return groups && { generation: Number(groups.generation), size: Number(groups.size) };
}
