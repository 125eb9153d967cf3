import type { SearchedRange, SearchMatch } from '../../wire/page-requests.ts';

/** The matches that are known, by where they are in the file. */
export class SearchResults {
  /** Those at {@link from} and behind, in order … */
  readonly #behind: SearchMatch[] = [];
  /** … and those before, the nearest first. */
  readonly #before: SearchMatch[] = [];
  readonly #from: number;
  #searched: SearchedRange;

  /** @param from where the search begins */
  constructor(from: number) {
    this.#from = from;
    this.#searched = [from, from];
  }

  get count(): number {
    return this.#before.length + this.#behind.length;
  }

  /** What was searched. */
  get searched(): SearchedRange {
    return this.#searched;
  }

  /** Notes that something was searched that touches what was. */
  noteSearched([start, end]: SearchedRange): void {
    this.#searched = [Math.min(start, this.#searched[0]), Math.max(end, this.#searched[1])];
  }

  /**
   * Takes a match: on each side they come in order, those that are known already may come again.
   */
  add(match: SearchMatch): void {
    const isBefore = match.at < this.#from && match.at < (this.#behind[0]?.at ?? Number.POSITIVE_INFINITY);
    const side = isBefore ? this.#before : this.#behind;
    const last = side.at(-1);
    const isNew = last === undefined || (isBefore ? match.at < last.at : match.at > last.at);
    if (isNew) side.push(match);
  }

  /**
   * Where the last line begins of which something is known, if that goes to the end of what was searched: it may have been
   * under way. Undefined if it does not.
   */
  get openLineStart(): number | undefined {
    const last = this.at(this.count - 1);
    // A line may end with its line feed, or before it.
    return last !== undefined && last.lineEnd >= this.#searched[1] - 1 ? last.lineStart : undefined;
  }

  /** Takes these, in order, in place of all that are known from a position on. */
  replaceFrom(position: number, matches: readonly SearchMatch[]): void {
    while ((this.#behind.at(-1)?.at ?? -1) >= position) this.#behind.pop();
    while ((this.#before[0]?.at ?? -1) >= position) this.#before.shift();
    for (const match of matches) this.#behind.push(match);
  }

  /** The one with this number, counted from the beginning of the file; the numbers of what comes before change as more is found. */
  at(index: number): SearchMatch | undefined {
    const before = this.#before.length;
    return index < before ? this.#before[before - 1 - index] : this.#behind[index - before];
  }

  /** The number of the first match that begins at a position or behind; {@link count} when there is none. */
  indexFrom(position: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(middle)!.at < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
