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

/**
 * Makes a function that reads ranges of the resource at `url`. It rejects with {@link BytesGoneError} when what is there
 * is not the file that is expected.
 *
 * @param context asked before each read
 */
export function readBytesOf(url: URL, context: () => ReadContext): ReadBytes {
  const raw = new URL(url);
  raw.search = RAW_QUERY;
  raw.hash = '';
  return async (from, to) => {
    const { token, generation } = context();
    const headers = new Headers({ range: `bytes=${from}-${to - 1}` });
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
    const answer = await fetch(raw, { headers, cache: 'no-store' });
    if (answer.status !== 206) {
      void answer.body?.cancel();
      throw new BytesGoneError(`the server answered ${answer.status} ${answer.statusText}`);
    }
    const found = generationIn(answer.headers);
    if (generation !== undefined && found !== undefined && found !== generation) {
      void answer.body?.cancel();
      throw new BytesGoneError('another file has taken its place');
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes.length !== to - from) throw new BytesGoneError('the file has become shorter');
    return bytes;
  };
}

/** The generation of the file that an answer is about, as its offset says it. */
export function generationIn(headers: Headers): number | undefined {
  const digits = /^(\d{16})_\d{16}$/.exec(headers.get('stream-next-offset') ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
