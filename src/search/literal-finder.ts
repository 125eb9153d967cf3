import { BLOCK_BYTES, type Finder } from './file-search.ts';
import { literalMatcher, type Matcher } from './matcher.ts';
import type { SearchedPart, WantedMatches } from './matches.ts';
import { anyCase, isCaseSensitive, type SearchQuery } from './search-query.ts';

/**
 * Longest text that is looked for in this thread, in characters. A part takes about a millisecond; but where all but the end
 * of the text is at each place of it (many `=` in a line of `=`), that times the text's length.
 */
const MAX_INLINE_LENGTH = 32;

/**
 * Whether what is searched for may be looked for in this thread: not what may take long, and letters beyond ASCII in any
 * case do in what is no UTF-8.
 */
export function isQuick(query: SearchQuery): boolean {
  const { text, mode } = query;
  const isShort = mode === 'literal' && text.length <= MAX_INLINE_LENGTH;
  return isShort && (isCaseSensitive(query) || anyCase(text).isOfAscii);
}

/** Looks for a literal text in this thread. Only for what {@link isQuick}. */
export class LiteralFinder implements Finder {
  readonly blocks = [Buffer.allocUnsafeSlow(BLOCK_BYTES), Buffer.allocUnsafeSlow(BLOCK_BYTES)] as const;
  readonly #matcher: Matcher;

  constructor(query: SearchQuery) {
    this.#matcher = literalMatcher(query);
  }

  async find(_block: number, part: SearchedPart, wanted: WantedMatches): Promise<number[]> {
    return this.#matcher(part, wanted);
  }
}
