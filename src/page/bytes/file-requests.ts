import { StreamHeader } from '../../wire/durable-streams.ts';
import { IndexHeader, SearchHeader } from '../../wire/page-requests.ts';
import { GENERATION_HEADER } from '../../wire/protocol.ts';
import { discardBody } from './discard-body.ts';

/** What was asked for is not to be had: there is another file by now, or it is shorter. */
export class BytesGoneError extends Error {
  override readonly name = 'BytesGoneError';
}

/** What is sent and expected with each request. */
export interface RequestContext {
  /** Credential to send, if there is one. */
  readonly token: string | undefined;
  /** Tells the file from a later one at the same path; undefined: any will do. */
  readonly generation: number | undefined;
}

/**
 * Asks something of one file, by the query of its URL. Rejects with {@link BytesGoneError} when the answer is of another
 * one, or of a directory, and with what `fetch` throws.
 */
export type RequestFile = (query: string, init?: RequestInit) => Promise<Response>;

/**
 * Makes a function that asks the server of the file at `url`.
 *
 * @param context asked before each request
 */
export function requestsOf(url: URL, context: () => RequestContext): RequestFile {
  return async (query, init = {}) => {
    const { token, generation } = context();
    const asked = new URL(url);
    asked.search = query;
    asked.hash = '';
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
    // Nothing is kept on the way; a browser would say by itself that nothing may be from what a relay keeps.
    headers.set('cache-control', 'no-store');
    const fresh: RequestInit & { cache: 'no-store' } = { ...init, headers, cache: 'no-store' };
    const answer = await fetch(asked, fresh);
    if (answer.redirected && new URL(answer.url).pathname === `${asked.pathname}/`) {
      void answer.body?.cancel();
      throw new BytesGoneError('a directory has taken its place');
    }
    const told = generationIn(answer.headers);
    if (generation !== undefined && told !== undefined && told !== generation) {
      discardBody(answer);
      throw new BytesGoneError('another file has taken its place');
    }
    return answer;
  };
}

/** Which file an answer is of, if it says so: each kind of answer has a header for that. */
export function generationIn(headers: Headers): number | undefined {
  const told = [StreamHeader.nextOffset, GENERATION_HEADER, IndexHeader.generation]
    .map((name) => headers.get(name))
    .find((value) => value !== null);
  const digits = /^\d+/.exec(told ?? '')?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** How many bytes the file of an answer has, if it says so: one to a part of it, or to a search, does. */
export function sizeIn(headers: Headers): number | undefined {
  const digits =
    /\/(?<size>\d+)$/.exec(headers.get('content-range') ?? '')?.groups?.size ??
    headers.get(SearchHeader.size);
  return digits === null ? undefined : Number(digits);
}
