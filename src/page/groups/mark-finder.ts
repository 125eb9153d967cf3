import type { SearchLine, SearchMatch } from '../../wire/page-requests.ts';
import type { ReadBytes } from '../bytes/block-store.ts';
import type { ByteRange, GroupOutline } from './group-outline.ts';
import { type Mark, marksOfLine } from './marks.ts';

/** Searches the resource for {@link MARK_EXPRESSION}, forward, one match in each line, at most {@link MAX_GROUP_MARKS}. */
export type FindMarks = (from: number, signal: AbortSignal) => AsyncIterable<SearchLine>;

/** So much of a line with a mark is read: its title may be cut. */
const MAX_LINE_BYTES = 1024;

/** Lines that are no further apart than this, in bytes, are read at once, … */
const MAX_GAP_BYTES = 16 * 1024;

/** … as long as that is no more than this. */
const MAX_READ_BYTES = 64 * 1024;

/** Fewer matches wait for others before their lines are read, unless there are no more. */
const MIN_MATCHES = 100;

/** Of one resource it is read so often at most. */
const MAX_READS = 500;

/** After a search it is looked again what is missing, in milliseconds: in a flood not all is looked at by others. */
const AGAIN_MS = 1000;

/** After a failure it is not tried again for so long, in milliseconds. */
const REST_MS = 30_000;

const utf8Decoder = new TextDecoder();

/**
 * Learns the marks of those parts of a resource that were not looked at, from a search that the server makes: once
 * it is known that there are marks at all, so that other logs cost nothing. Bounded: in marks, in reads, in one search at a time.
 */
export class MarkFinder {
  readonly #outline: GroupOutline;
  readonly #find: FindMarks;
  readonly #read: ReadBytes;
  readonly #learnt: () => void;
  #reads = 0;
  #restUntilMs = 0;
  #isSearching = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param learnt called after the outline has learnt something */
  constructor(outline: GroupOutline, find: FindMarks, read: ReadBytes, learnt: () => void) {
    this.#outline = outline;
    this.#find = find;
    this.#read = read;
    this.#learnt = learnt;
  }

  /**
   * Begins a search, if there is something to be found and none is under way. To be called when the outline has
   * learnt something.
   */
  look(): void {
    const { gap, isFull, hasMarks } = this.#outline;
    const isResting = performance.now() < this.#restUntilMs || this.#reads >= MAX_READS;
    if (this.#isSearching || isResting || isFull || !hasMarks || gap === undefined) return;
    clearTimeout(this.#timer);
    this.#isSearching = true;
    void this.#fill(gap);
  }

  async #fill(gap: ByteRange): Promise<void> {
    // What is not needed any more of a search ends with this.
    const leave = new AbortController();
    try {
      if (await this.#search(gap, leave.signal)) this.#timer = setTimeout(() => this.look(), AGAIN_MS);
      else this.#rest();
    } catch {
      // Groups are no more than a help: without them all is shown.
      this.#rest();
    } finally {
      leave.abort();
      this.#isSearching = false;
    }
  }

  /** @returns whether anything was learnt */
  async #search(gap: ByteRange, signal: AbortSignal): Promise<boolean> {
    let { from } = gap;
    let matches: SearchMatch[] = [];
    for await (const line of this.#find(gap.from, signal)) {
      if ('at' in line) {
        matches.push(line);
        continue;
      }
      const searched = 'end' in line ? line.searched : line.progress;
      const to = Math.min(searched[1], gap.to);
      const isLast = 'end' in line || to === gap.to;
      if (!isLast && matches.length < MIN_MATCHES) continue;
      const marks = await this.#marksOf(matches.filter(({ lineStart }) => lineStart < to));
      this.#outline.learn({ from, to }, marks);
      this.#learnt();
      if (isLast || this.#reads >= MAX_READS) return to > gap.from;
      matches = matches.filter(({ lineStart }) => lineStart >= to);
      from = Math.max(from, to);
    }
    return false;
  }

  async #marksOf(matches: readonly SearchMatch[]): Promise<Mark[]> {
    const marks: Mark[] = [];
    for (const group of readTogether(matches)) {
      this.#reads += 1;
      const from = group[0]!.lineStart;
      const bytes = await this.#read(from, endOf(group.at(-1)!));
      for (const match of group) {
        const line = utf8Decoder.decode(bytes.subarray(match.lineStart - from, endOf(match) - from));
        marks.push(...marksOfLine(line, match.lineStart, match.lineEnd + 1));
      }
    }
    return marks;
  }

  #rest(): void {
    this.#restUntilMs = performance.now() + REST_MS;
  }
}

function endOf({ lineStart, lineEnd }: SearchMatch): number {
  return Math.min(lineEnd, lineStart + MAX_LINE_BYTES);
}

/** Puts matches together whose lines are read at once. */
function readTogether(matches: readonly SearchMatch[]): SearchMatch[][] {
  const groups: SearchMatch[][] = [];
  for (const match of matches) {
    const group = groups.at(-1);
    const isNear =
      group !== undefined &&
      match.lineStart - endOf(group.at(-1)!) <= MAX_GAP_BYTES &&
      endOf(match) - group[0]!.lineStart <= MAX_READ_BYTES;
    if (isNear) group.push(match);
    else groups.push([match]);
  }
  return groups;
}
