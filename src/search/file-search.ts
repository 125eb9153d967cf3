import { MAX_LINE_BYTES, NUMBERS_PER_MATCH, type SearchedPart, type WantedMatches } from './matches.ts';

const LINE_FEED = 0x0a;

/** A match that begins in a part of a line ends so many bytes after it at most, colours included. */
const OVERLAP_BYTES = MAX_LINE_BYTES;

/** How much is read at a time, in bytes: what is looked through, and what a match at its end may need. */
export const BLOCK_BYTES = 1024 * 1024 + OVERLAP_BYTES;

/** What is needed of a file. */
export interface SearchedFile {
  /** Reads into `block`, not always to its end. Resolves with how many bytes came; 0 at the end of the file. */
  readInto(block: Buffer, position: number): Promise<number>;
}

/** Looks through what is in one of its blocks. */
export interface Finder {
  /** Two, of the same size ({@link BLOCK_BYTES}): one is read while the other one is looked through. */
  readonly blocks: readonly [Buffer, Buffer];
  /**
   * Finds what is wanted in a part of one of the blocks: {@link NUMBERS_PER_MATCH} numbers for each match.
   *
   * @throws {StalledError} when that takes too long
   */
  find(block: number, part: SearchedPart, wanted: WantedMatches): Promise<ArrayLike<number>>;
}

/** That a regular expression takes too long for what it is applied to. */
export class StalledError extends Error {}

/** Where to search, and for how many. */
export interface SearchRange {
  /** Position where to begin. */
  from: number;
  /** How much of the file counts. */
  size: number;
  /** `both`: alternately, so that what is near comes first. */
  direction: 'both' | 'forward' | 'backward';
  /** How many matches at most. */
  limit: number;
  /** Whether only the first match of each line counts. */
  onePerLine: boolean;
  /** How long at most, in milliseconds. */
  timeMs: number;
  /** Ends it: rejects with its reason. */
  signal: AbortSignal;
}

/** A match: positions in the file. */
export interface FoundMatch {
  at: number;
  end: number;
  /** Its line, without the line feed; of one longer than 64 KiB, so much around it. */
  lineStart: number;
  lineEnd: number;
}

/** Why a search is over: all of it was searched, as many were found as are wanted, or it took too long. */
export type SearchEnd = 'complete' | 'limit' | 'deadline';

/** What has come of a search. */
export interface SearchStep {
  /** The nearest one first. */
  matches: readonly FoundMatch[];
  /** What was searched by now: from the first position up to but not including the second one. */
  searched: readonly [number, number];
  /** With the last one: why there is none after it. */
  end?: SearchEnd;
}

/** A part of a file in a block. */
interface LoadedPart extends SearchedPart {
  block: number;
  /** Where the block begins in the file. */
  position: number;
  isBackward: boolean;
  /** What was searched when this was. */
  searched: readonly [number, number];
  /** Whether there is nothing after it. */
  isLast: boolean;
}

/** Searches a file from a position on, in parts that begin and end with lines where that can be. */
export class FileSearch {
  readonly #file: SearchedFile;
  readonly #finder: Finder;
  readonly #range: SearchRange;
  /** How much of the file there is. */
  #size: number;
  /** How much is looked through at a time, in bytes. */
  readonly #partBytes: number;
  /** What was loaded of it begins here, … */
  #start = 0;
  /** … and ends here. */
  #end = 0;
  #count = 0;

  constructor(file: SearchedFile, finder: Finder, range: SearchRange) {
    this.#file = file;
    this.#finder = finder;
    this.#range = range;
    this.#size = range.size;
    this.#partBytes = finder.blocks[0].length - OVERLAP_BYTES;
  }

  /**
   * What is found, part by part, as it is taken.
   *
   * @throws {StorageError} when the disk does not give the bytes
   * @throws the signal's reason
   */
  async *steps(): AsyncGenerator<SearchStep, void, undefined> {
    const { limit, signal, timeMs } = this.#range;
    const deadline = performance.now() + timeMs;
    await this.#begin();
    let searched = this.#searched();
    let left = limit;
    let loading = this.#load();
    try {
      for (;;) {
        const part = await loading;
        signal.throwIfAborted();
        if (part === undefined) break;
        // Meanwhile.
        if (!part.isLast) loading = this.#load();
        loading.catch(ignore);
        const found = await this.#find(part, left + 1);
        signal.throwIfAborted();
        if (found === undefined) {
          yield { matches: [], searched, end: 'deadline' };
          return;
        }
        const matches = found.slice(0, left);
        left -= matches.length;
        const next = found[matches.length];
        searched = next === undefined ? part.searched : upTo(part, next);
        const end = next !== undefined ? 'limit' : part.isLast ? 'complete' : undefined;
        const isLate = end === undefined && performance.now() > deadline;
        if (end !== undefined || isLate) {
          yield { matches, searched, end: end ?? 'deadline' };
          return;
        }
        yield { matches, searched };
      }
      yield { matches: [], searched, end: 'complete' };
    } finally {
      // The block, and the file, are in use until then.
      await loading.catch(ignore);
    }
  }

  /** Finds where the line begins, or, to search what is before the position, ends. */
  async #begin(): Promise<void> {
    const { direction } = this.#range;
    const from = Math.min(this.#range.from, this.#size);
    const [block] = this.#finder.blocks;
    const near = block.subarray(0, MAX_LINE_BYTES);
    if (direction === 'backward') {
      const bytes = near.subarray(0, await this.#fill(near, from));
      const feed = bytes.indexOf(LINE_FEED);
      this.#end = from + (feed === -1 ? bytes.length : feed);
    } else {
      const position = Math.max(0, from - MAX_LINE_BYTES);
      const bytes = near.subarray(0, await this.#fill(near.subarray(0, from - position), position));
      const feed = bytes.lastIndexOf(LINE_FEED);
      this.#end = feed === -1 && position > 0 ? from : position + feed + 1;
    }
    this.#start = this.#end;
  }

  /** The next part; undefined when there is none. */
  #load(): Promise<LoadedPart | undefined> {
    const { direction } = this.#range;
    const isThereMore = { forward: this.#end < this.#size, backward: this.#start > 0 };
    const isForward = direction !== 'backward' && isThereMore.forward;
    const isBackward = direction !== 'forward' && isThereMore.backward;
    if (!isForward && !isBackward) return Promise.resolve(undefined);
    const number = this.#count++;
    const block = number % 2;
    // In turns.
    return isForward && (!isBackward || block === 0) ? this.#loadForward(block) : this.#loadBackward(block);
  }

  async #loadForward(block: number): Promise<LoadedPart | undefined> {
    const position = this.#end;
    const whole = this.#finder.blocks[block] as Buffer;
    const bytes = whole.subarray(0, await this.#fill(whole.subarray(0, this.#size - position), position));
    const isAll = bytes.length <= this.#partBytes;
    const feed = isAll ? -1 : bytes.lastIndexOf(LINE_FEED, this.#partBytes - 1);
    const end = feed === -1 ? Math.min(this.#partBytes, bytes.length) : feed + 1;
    // Somebody has cut it.
    if (bytes.length === 0) this.#size = position;
    this.#end = position + end;
    const { direction, from } = this.#range;
    const start = direction === 'forward' ? Math.max(0, from - position) : 0;
    return this.#loaded({ bytes, start, end, block, position, isBackward: false });
  }

  async #loadBackward(block: number): Promise<LoadedPart | undefined> {
    const position = Math.max(0, this.#start - this.#partBytes);
    const whole = this.#finder.blocks[block] as Buffer;
    const wanted = Math.min(this.#size, this.#start + OVERLAP_BYTES) - position;
    const bytes = whole.subarray(0, await this.#fill(whole.subarray(0, wanted), position));
    const end = this.#start - position;
    const feed = position === 0 ? -1 : bytes.indexOf(LINE_FEED);
    const start = feed + 1 < end ? feed + 1 : 0;
    this.#start = position + start;
    const { direction, from } = this.#range;
    const last = direction === 'backward' ? Math.min(end, from - position) : end;
    return this.#loaded({ bytes, start, end: last, block, position, isBackward: true });
  }

  #loaded(part: Omit<LoadedPart, 'searched' | 'isLast'>): LoadedPart {
    const { direction } = this.#range;
    const isForwardOver = direction === 'backward' || this.#end >= this.#size;
    const isBackwardOver = direction === 'forward' || this.#start === 0;
    return { ...part, searched: this.#searched(), isLast: isForwardOver && isBackwardOver };
  }

  #searched(): readonly [number, number] {
    const { direction } = this.#range;
    const from = Math.min(this.#range.from, this.#size);
    return [direction === 'forward' ? from : this.#start, direction === 'backward' ? from : this.#end];
  }

  /** Resolves with how many bytes came: fewer than there is room for at the end of the file. */
  async #fill(block: Buffer, position: number): Promise<number> {
    let filled = 0;
    while (filled < block.length) {
      const bytes = await this.#file.readInto(block.subarray(filled), position + filled);
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }

  /** The nearest one first; undefined when it takes too long. */
  async #find(part: LoadedPart, max: number): Promise<FoundMatch[] | undefined> {
    const { onePerLine } = this.#range;
    const { block, position, isBackward: last } = part;
    try {
      const numbers = await this.#finder.find(block, part, { max, last, onePerLine });
      const matches = matchesIn(numbers, position);
      return last ? matches.reverse() : matches;
    } catch (error) {
      if (error instanceof StalledError) return undefined;
      throw error;
    }
  }
}

/** What was searched when one more match was found than is wanted. */
function upTo({ searched: [start, end], isBackward }: LoadedPart, { at }: FoundMatch): [number, number] {
  return isBackward ? [at + 1, end] : [start, at];
}

function matchesIn(numbers: ArrayLike<number>, position: number): FoundMatch[] {
  const matches: FoundMatch[] = [];
  for (let i = 0; i < numbers.length; i += NUMBERS_PER_MATCH) {
    const [at, end, lineStart, lineEnd] = [0, 1, 2, 3].map((k) => (numbers[i + k] as number) + position);
    matches.push({ at, end, lineStart, lineEnd } as FoundMatch);
  }
  return matches;
}

function ignore(): void {}
