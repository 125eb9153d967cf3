import { VIEW_QUERY } from '../../wire/page.ts';
import { INDEX_VIEW, IndexHeader, IndexQueryName } from '../../wire/page-requests.ts';
import { BLOCK_BYTES, type BlockStore } from './block-store.ts';
import { discardBody } from './discard-body.ts';
import { BytesGoneError, type RequestFile } from './file-requests.ts';
import { countLineFeeds, LF } from './line-feeds.ts';

/** How soon it is asked again when nothing new was told, in milliseconds. */
const RETRY_MS = 2000;

/** So long an answer may take, in milliseconds: what hangs would never be asked for again. */
const COUNT_TIMEOUT_MS = 60_000;

/** How many line feeds the blocks of a file have, from a block on. */
export interface BlockCounts {
  /** Another one means that it was counted anew. */
  generation: string;
  /** Up to where in the file the numbers reach. */
  position: number;
  counts: readonly number[];
}

/** Asks for the numbers of blocks, from a block on, as many as are known; rejects when they are not to be had. */
export type ReadCounts = (block: number) => Promise<BlockCounts>;

/**
 * Which line is where in a file of any size. What is known grows: the server counts, and what is in the page is counted here.
 * Lines are counted from 0; a line is as many line feeds as are before it.
 */
export class LineIndex {
  readonly #read: ReadCounts;
  readonly #store: BlockStore;
  readonly #changed: () => void;
  /** How many line feeds are before each block, and, last, before {@link known}. */
  #before = [0];
  /** Up to where in the file it is known. */
  #known = 0;
  #generation: string | undefined;
  /** What was seen of the end when the file had that size. */
  #end = { size: 0, isInLine: false };
  #isAsking = false;
  #isLoading = false;
  /** The line that was asked for last. */
  #last: { position: number; line: number } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /**
   * Does nothing before {@link advance}.
   *
   * @param changed called when more is known
   */
  constructor(read: ReadCounts, store: BlockStore, changed: () => void) {
    this.#read = read;
    this.#store = store;
    this.#changed = changed;
  }

  /** Up to where in the file it is known, in bytes. */
  get known(): number {
    return this.#known;
  }

  /** How many lines there are, one that is not ended among them: exact when {@link isWhole}, else by the lines that are known. Undefined when none is. */
  get lineCount(): number | undefined {
    if (this.isWhole) return this.#lines + (this.#endsInLine() ? 1 : 0);
    return this.#known === 0 ? undefined : Math.round((this.#lines / this.#known) * this.#store.size);
  }

  /** Whether all is known of what the page knows to be there. */
  get isWhole(): boolean {
    return this.#known >= this.#store.size;
  }

  /** Whether it is known where a line begins, or that there is none. */
  isKnown(line: number): boolean {
    return line <= this.#lines || this.isWhole;
  }

  /** Counts on: to be called when the file has grown. */
  advance(): void {
    if (this.#isStopped) return;
    this.#countHere();
    if (!this.isWhole && !this.#isAsking && this.#timer === undefined) void this.#ask();
  }

  /** Forgets everything: the file is another one, or was cut. */
  reset(): void {
    this.#before = [0];
    this.#known = 0;
    this.#last = undefined;
    this.#end = { size: 0, isInLine: false };
    this.#generation = undefined;
  }

  /** Asks for nothing more: the file is gone. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /**
   * The number of the line at a position, if that is known by now. If it can be, what is needed for it is read, and it is told
   * that more is known.
   */
  lineNow(position: number): number | undefined {
    // Each row of a window asks for the same one.
    if (this.#last?.position === position) return this.#last.line;
    const line = this.#lineHere(position);
    if (line !== undefined) this.#last = { position, line };
    else if (this.#linesBefore(blockAt(position)) !== undefined) void this.#load(position);
    return line;
  }

  /**
   * The number of the line at a position; undefined when it is not known yet.
   *
   * @throws what reading throws
   */
  async lineAt(position: number): Promise<number | undefined> {
    const block = blockAt(position);
    if (this.#linesBefore(block) === undefined) return undefined;
    await this.#store.load(block * BLOCK_BYTES, position);
    return this.#lineHere(position);
  }

  /**
   * Where a line begins; of one that is not there, the end. Undefined when it is not known yet.
   *
   * @throws what reading throws
   */
  async positionOf(line: number): Promise<number | undefined> {
    if (line <= 0) return 0;
    if (!this.isKnown(line)) return undefined;
    if (line > this.#lines) return this.#store.size;
    const block = this.#blockOf(line);
    const start = block * BLOCK_BYTES;
    const end = Math.min(start + BLOCK_BYTES, this.#known);
    await this.#store.load(start, end);
    const bytes = this.#store.slice(start, end);
    if (bytes === undefined) return undefined;
    let at = -1;
    for (let count = this.#before[block]!; count < line; count++) {
      at = bytes.indexOf(LF, at + 1);
      // Other bytes than were counted.
      if (at === -1) return undefined;
    }
    return start + at + 1;
  }

  /** The number of the line at a position, if the bytes of its block before that are here. */
  #lineHere(position: number): number | undefined {
    const block = blockAt(position);
    const before = this.#linesBefore(block);
    if (before === undefined) return undefined;
    const bytes = this.#store.slice(block * BLOCK_BYTES, position);
    return bytes && before + countLineFeeds(bytes);
  }

  /** Reads what is before a position in its block. What fails is tried again with the next one that is asked for. */
  async #load(position: number): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      if ((await this.lineAt(position)) !== undefined) this.#changed();
    } catch {
      // Numbers are missing until then.
    } finally {
      this.#isLoading = false;
    }
  }

  /** Whether the last line is not ended yet, as far as that was ever seen. */
  #endsInLine(): boolean {
    const { size } = this.#store;
    const last = size === this.#end.size ? undefined : this.#store.slice(size - 1, size);
    if (last !== undefined) this.#end = { size, isInLine: last[0] !== LF };
    return this.#end.size === size && this.#end.isInLine;
  }

  get #lines(): number {
    return this.#before.at(-1)!;
  }

  #linesBefore(block: number): number | undefined {
    return block * BLOCK_BYTES <= this.#known ? this.#before[block] : undefined;
  }

  /** The block in which the line feed is that comes before a line. */
  #blockOf(line: number): number {
    let low = 0;
    let high = this.#before.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#before[middle]! < line) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Counts what is in the page. */
  #countHere(): void {
    for (;;) {
      const end = Math.min(this.#store.size, (blockAt(this.#known) + 1) * BLOCK_BYTES);
      const bytes = end > this.#known ? this.#store.slice(this.#known, end) : undefined;
      if (bytes === undefined) return;
      this.#add(countLineFeeds(bytes), end);
    }
  }

  /** Takes what is in a block from {@link known} to `end`. */
  #add(count: number, end: number): void {
    // What is known in part of a block is the last one.
    const lines = this.#lines;
    if (this.#known % BLOCK_BYTES !== 0) this.#before.pop();
    this.#before.push(lines + count);
    this.#known = end;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      const block = blockAt(this.#known);
      const told = await this.#read(block);
      const before = this.#known;
      if (this.#isStopped) return;
      if (this.#generation !== undefined && told.generation !== this.#generation) this.reset();
      else this.#take(block, told);
      this.#generation = told.generation;
      this.#countHere();
      if (this.#known === before) this.#askLater();
      this.#changed();
    } catch (error) {
      // Lines of another file are not those of this one.
      if (error instanceof BytesGoneError) this.stop();
      else this.#askLater();
    } finally {
      this.#isAsking = false;
    }
    this.advance();
  }

  #askLater(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.advance();
    }, RETRY_MS);
  }

  #take(block: number, { position, counts }: BlockCounts): void {
    // What is in the page may reach further by now.
    if (position <= this.#known) return;
    this.#before.length = block + 1;
    for (const count of counts) this.#before.push(this.#lines + count);
    this.#known = position;
  }
}

/** Makes a function that has the server count the line feeds of a file. */
export function readCountsOf(request: RequestFile): ReadCounts {
  return async (block) => {
    const query = new URLSearchParams({ [VIEW_QUERY]: INDEX_VIEW, [IndexQueryName.block]: String(block) });
    const answer = await request(query.toString(), { signal: AbortSignal.timeout(COUNT_TIMEOUT_MS) });
    const generation = answer.headers.get(IndexHeader.generation);
    if (!answer.ok || generation === null || numberIn(answer, IndexHeader.blockBytes) !== BLOCK_BYTES) {
      discardBody(answer);
      throw new Error(`the server does not count lines: it answered ${answer.status}`);
    }
    const view = new DataView(await answer.arrayBuffer());
    return {
      generation,
      position: numberIn(answer, IndexHeader.position),
      counts: Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true)),
    };
  };
}

function numberIn({ headers }: Response, name: string): number {
  return Number(headers.get(name) ?? Number.NaN);
}

function blockAt(position: number): number {
  return Math.floor(position / BLOCK_BYTES);
}
