import type { PlainBytes } from './plain-bytes.ts';

const LINE_FEED = 0x0a;

/** Longest line, in bytes: a longer one is taken for several of this length. */
export const MAX_LINE_BYTES = 64 * 1024;

/** What is looked through at a time: a part of a file, and what is around it as far as that is needed. */
export interface SearchedPart {
  bytes: Buffer;
  /** Matches begin here at the earliest, … */
  start: number;
  /** … and before this. */
  end: number;
}

/** Which matches are wanted. */
export interface WantedMatches {
  max: number;
  /** Those nearest to the end, in place of those nearest to the start. */
  last: boolean;
  /** Only the first one of each line. */
  onePerLine: boolean;
}

/** How many numbers a match has: where it begins and ends, and where its line does, without the line feed. */
export const NUMBERS_PER_MATCH = 4;

/** Where to look for the next match: behind this one, in the next line, or nowhere. */
export type GoOn = 'match' | 'line' | 'nowhere';

/** Collects the matches in a part of a file, in order. */
export class Matches {
  /** {@link NUMBERS_PER_MATCH} for each: positions in the part. */
  #numbers: number[] = [];
  readonly #part: SearchedPart;
  readonly #plain: PlainBytes;
  readonly #wanted: WantedMatches;
  /** The line of the last match: a long one, with many of them, is looked for once. */
  #lineStart = 0;
  #lineEnd = -1;

  /** @param plain what is looked at of it */
  constructor(part: SearchedPart, plain: PlainBytes, wanted: WantedMatches) {
    this.#part = part;
    this.#plain = plain;
    this.#wanted = wanted;
  }

  /** Takes a match, by its place in what is plain: not empty, and behind the one before. Says where to go on. */
  add(start: number, end: number): GoOn {
    const { max, last, onePerLine } = this.#wanted;
    const at = this.#plain.originOf(start);
    if (at >= this.#part.end) return 'nowhere';
    if (at < this.#part.start) return 'match';
    this.#note(at, this.#plain.originOf(end - 1) + 1);
    const most = max * NUMBERS_PER_MATCH;
    if (!last && this.#numbers.length >= most) return 'nowhere';
    if (last && this.#numbers.length >= 2 * most) this.#numbers = this.#numbers.slice(-most);
    return onePerLine ? 'line' : 'match';
  }

  /** What there is. */
  taken(): number[] {
    return this.#wanted.last ? this.#numbers.slice(-this.#wanted.max * NUMBERS_PER_MATCH) : this.#numbers;
  }

  #note(at: number, end: number): void {
    if (at > this.#lineEnd) this.#findLine(at);
    const start = this.#lineStart;
    const cut = start + Math.floor((at - start) / MAX_LINE_BYTES) * MAX_LINE_BYTES;
    this.#numbers.push(at, end, cut, Math.max(Math.min(this.#lineEnd, cut + MAX_LINE_BYTES), end));
  }

  #findLine(at: number): void {
    const { bytes } = this.#part;
    this.#lineStart = at === 0 ? 0 : bytes.lastIndexOf(LINE_FEED, at - 1) + 1;
    const feed = bytes.indexOf(LINE_FEED, at);
    this.#lineEnd = feed === -1 ? bytes.length : feed;
  }
}
