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
   * Takes a match: on each side they come in order, those that are known already may come again. Of the last one the line may
   * have grown meanwhile.
   */
  add(match: SearchMatch): void {
    const isBefore = match.at < this.#from && match.at < (this.#behind[0]?.at ?? Number.POSITIVE_INFINITY);
    const side = isBefore ? this.#before : this.#behind;
    const last = side.at(-1);
    const isNew = last === undefined || (isBefore ? match.at < last.at : match.at > last.at);
    if (isNew) side.push(match);
    else if (match.at === last.at) side[side.length - 1] = match;
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
