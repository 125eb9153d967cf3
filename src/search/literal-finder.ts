import { BLOCK_BYTES, type Finder } from './file-search.ts';
import { literalMatcher, type Matcher } from './matcher.ts';
import type { SearchedPart, WantedMatches } from './matches.ts';
import type { SearchQuery } from './search-query.ts';

/** Looks for a literal text in this thread: a part takes about a millisecond, whatever is in it. */
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
