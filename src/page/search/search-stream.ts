import { VIEW_QUERY } from '../../wire/page.ts';
import { SEARCH_VIEW, type SearchLine, SearchQueryName } from '../../wire/page-requests.ts';
import { discardBody } from '../bytes/discard-body.ts';
import type { RequestFile } from '../bytes/file-requests.ts';

/** Longest line that is taken, in characters: a match, or what is wrong with a regular expression. */
const MAX_LINE_LENGTH = 16 * 1024;

/** Statuses of a server that has too much to do, for all or for this client. */
const BUSY: readonly number[] = [429, 503];

/** What is searched for, and how: see {@link SearchQueryName}. */
export interface SearchText {
  readonly text: string;
  readonly mode: 'literal' | 'regex';
  readonly case: 'smart' | 'sensitive';
  readonly per: 'match' | 'line';
}

/** Where to search, and for how many. */
export interface SearchPlace {
  /** Position, in bytes. */
  readonly from: number;
  readonly direction: 'both' | 'forward';
  readonly limit: number;
}

/** Searches the file; what comes is as {@link SearchLine} says. It ends without a last line when it was cut off. */
export type Search = (text: SearchText, place: SearchPlace, signal: AbortSignal) => AsyncIterable<SearchLine>;

/** The server does not search now. */
export class SearchRefusedError extends Error {
  override readonly name = 'SearchRefusedError';
  /** After how many milliseconds to ask again, if that is worth while. */
  readonly retryMs: number | undefined;

  constructor(message: string, retryMs: number | undefined) {
    super(message);
    this.retryMs = retryMs;
  }
}

/**
 * Makes a function that has the server search a file. It throws {@link SearchRefusedError} when that does not, and what a
 * request throws.
 */
export function searchOf(request: RequestFile): Search {
  return async function* (text, place, signal) {
    const answer = await request(queryOf(text, place), { signal });
    if (!answer.ok || answer.headers.get('content-type') !== 'application/x-ndjson' || answer.body === null) {
      discardBody(answer);
      const retrySeconds = Number(answer.headers.get('retry-after') ?? Number.NaN);
      throw new SearchRefusedError(
        `the server does not search: it answered ${answer.status}`,
        BUSY.includes(answer.status) && retrySeconds > 0 ? retrySeconds * 1000 : undefined,
      );
    }
    yield* linesOf(answer.body);
  };
}

function queryOf({ text, mode, case: wanted, per }: SearchText, place: SearchPlace): string {
  return new URLSearchParams({
    [VIEW_QUERY]: SEARCH_VIEW,
    [SearchQueryName.text]: text,
    [SearchQueryName.mode]: mode,
    [SearchQueryName.case]: wanted,
    [SearchQueryName.per]: per,
    [SearchQueryName.from]: String(place.from),
    [SearchQueryName.direction]: place.direction,
    [SearchQueryName.limit]: String(place.limit),
  }).toString();
}

/**
 * Reads lines of JSON as they come. Who stops taking them cancels the answer.
 *
 * @throws {Error} for a line that is longer than any should be
 * @throws what reading throws
 */
export async function* linesOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<SearchLine, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop()!;
      if (rest.length > MAX_LINE_LENGTH) throw new Error('the answer to a search is malformed');
      for (const line of lines) yield JSON.parse(line) as SearchLine;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
