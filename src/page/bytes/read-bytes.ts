import { StreamHeader } from '../../wire/durable-streams.ts';
import { RAW_QUERY } from '../../wire/page.ts';
import type { ReadBytes } from './block-store.ts';

/** The bytes that were asked for are not to be had: there is another file by now, or it is shorter. */
export class BytesGoneError extends Error {
  override readonly name = 'BytesGoneError';
}

/** What is sent and expected with each read. */
export interface ReadContext {
  /** Credential to send, if there is one. */
  readonly token: string | undefined;
  /** Tells the file from a later one at the same path; undefined: any will do. */
  readonly generation: number | undefined;
}

/** Which file is at a path, and how many bytes it has. */
export interface FileFacts {
  readonly generation: number;
  readonly size: number;
}

/**
 * Makes a function that reads ranges of the resource at `url`. It rejects with {@link BytesGoneError} when what is there
 * is not the file that is expected.
 *
 * @param context asked before each read
 */
export function readBytesOf(url: URL, context: () => ReadContext): ReadBytes {
  return async (from, to) => {
    const { token, generation } = context();
    const answer = await fetchRaw(url, token, { headers: { range: `bytes=${from}-${to - 1}` } });
    if (answer.status !== 206) {
      void answer.body?.cancel();
      throw new BytesGoneError(`the server answered ${answer.status} ${answer.statusText}`);
    }
    const facts = factsIn(answer.headers);
    if (generation !== undefined && facts !== undefined && facts.generation !== generation) {
      void answer.body?.cancel();
      throw new BytesGoneError('another file has taken its place');
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes.length !== to - from) throw new BytesGoneError('the file has become shorter');
    return bytes;
  };
}

/**
 * Asks which file is at `url` now; undefined when there is none.
 *
 * @throws when it cannot be asked, or is not told
 */
export async function lookAtFile(url: URL, token: string | undefined): Promise<FileFacts | undefined> {
  const answer = await fetchRaw(url, token, { method: 'HEAD' });
  if (answer.status === 404 || answer.status === 410) return undefined;
  const facts = answer.ok ? factsIn(answer.headers) : undefined;
  if (facts === undefined) throw new Error(`the server answered ${answer.status} ${answer.statusText}`);
  return facts;
}

function fetchRaw(url: URL, token: string | undefined, init: RequestInit): Promise<Response> {
  const raw = new URL(url);
  raw.search = RAW_QUERY;
  raw.hash = '';
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return fetch(raw, { ...init, headers, cache: 'no-store' });
}

/** An answer names the file, and its end, as an offset of a stream. */
function factsIn(headers: Headers): FileFacts | undefined {
  const groups = /^(?<generation>\d{16})_(?<size>\d{16})$/.exec(
    headers.get(StreamHeader.nextOffset) ?? '',
  )?.groups;
  return groups && { generation: Number(groups.generation), size: Number(groups.size) };
}
