import { BLOCK_BYTES, type Finder } from './file-search.ts';
import { literalMatcher, type Matcher } from './matcher.ts';
import type { SearchedPart, WantedMatches } from './matches.ts';
import type { SearchQuery } from './search-query.ts';

/**
 * Longest text that is looked for in this thread, in characters. A part takes about a millisecond; but where all but the end
 * of the text is at each place of it (many `=` in a line of `=`), that times the text's length.
 */
export const MAX_INLINE_LENGTH = 32;

/** Looks for a literal text in this thread. Only for short ones: see {@link MAX_INLINE_LENGTH}. */
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
