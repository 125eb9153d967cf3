import type { StoredFile } from '../../storage/stored-file.ts';
import { lastBytes, withoutLast } from './characters.ts';
import { Chunk, mergedWith } from './chunk.ts';
import { type Cutting, pieceOf } from './cutting.ts';

/** Longest rest that waits in memory to become whole: any character's. A longer one is read again. */
const MAX_REST_BYTES = 3;

/** What is read first to find out where the committed bytes may be cut: mostly at their end. */
const FIRST_SEARCH_BYTES = 64;
const SEARCH_BYTES = 64 * 1024;

const NOTHING: Buffer = Buffer.alloc(0);

/** The newest committed bytes of a feed, cut for one kind of sink. */
export class PieceWindow {
  readonly cutting: Cutting;
  readonly #pieces = new ChunkWindow();
  /** How many followers take its pieces. */
  followers = 0;
  #end: number | undefined;
  #rest = NOTHING;
  /** Whether the last piece was not whole. */
  #isWithin = false;
  /** Set while {@link find} looks, … */
  #search: Promise<void> | undefined;
  /** … for how many, … */
  #seekers = 0;
  /** … and where it goes on: the last place to cut below a position up to which was looked. */
  #known = { cut: 0, searched: 0 };
  /** How many bytes are committed, as far as it knows. */
  #committed = 0;

  /** @param committed how many bytes are committed by now, of which it has none */
  constructor(cutting: Cutting, committed: number) {
    this.cutting = cutting;
    this.advance(committed);
  }

  /**
   * Up to which position pieces are to be had, from here or from the file; undefined when {@link find} must find out.
   */
  get end(): number | undefined {
    return this.#end;
  }

  /** What is committed behind `end`, if it is short and known: the beginning of a character. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** The piece that holds the byte at `position`, if it is still in memory. */
  at(position: number): Chunk | undefined {
    return this.#pieces.at(position);
  }

  /** Drops all bytes. */
  clear(): void {
    this.#pieces.clear();
  }

  /** Notes that more is committed, without the bytes. */
  advance(committed: number): void {
    if (this.#end !== undefined) this.#known = { cut: this.#end, searched: this.#committed };
    this.#committed = committed;
    const isCut = this.cutting.openBytes === undefined || committed === 0;
    this.#end = isCut ? committed : undefined;
    this.#rest = NOTHING;
    this.#isWithin = false;
  }

  /** Adds what was committed last. Yields when each piece is to be had, and the next one is not. */
  *push(chunk: Chunk): Generator<void, void, undefined> {
    const parts = this.#rest.length === 0 ? chunk.parts : [this.#rest, ...chunk.parts];
    const bytes = this.#rest.length + chunk.end - chunk.start;
    const start = chunk.end - bytes;
    const open = this.cutting.openBytes?.(parts) ?? 0;
    const isNext = start === this.#end;
    this.#rest = NOTHING;
    this.#committed = chunk.end;
    if (open < bytes && isNext) {
      const whole = open === 0 && bytes === chunk.end - chunk.start ? chunk : undefined;
      yield* this.#cut(whole ?? wholeOf(start, parts, open, chunk.merged));
    } else if (open < bytes) {
      // What it goes on with is in the file, and a short one may be the rest of a character.
      this.#end = bytes > MAX_REST_BYTES ? chunk.end - open : undefined;
      this.#isWithin = false;
      yield;
    }
    const isKnown = this.#end === chunk.end - open;
    if (isKnown && open > 0 && open <= MAX_REST_BYTES) this.#rest = lastBytes(parts).subarray(-open);
  }

  /**
   * Finds out up to where there are pieces. Those who want it at the same time share the search.
   *
   * @param committed how many bytes are committed
   * @throws what {@link StoredFile.read} throws
   */
  find(file: StoredFile, committed: () => number): Promise<void> {
    this.#seekers++;
    this.#search ??= this.#find(file, committed).finally(() => {
      this.#search = undefined;
    });
    return this.#search;
  }

  /**
   * To be called once for each {@link find}: when that has settled, or is not wanted any more. Without any that is
   * wanted the search stops.
   */
  abandon(): void {
    this.#seekers--;
  }

  /**
   * The last place to cut at or below `position`, which {@link find} was called for: more may have come since.
   *
   * @param isOver whether nobody wants it any more
   * @throws what {@link StoredFile.read} throws
   */
  async lastCut(file: StoredFile, position: number, isOver: () => boolean): Promise<number> {
    if (this.#end !== undefined && this.#end <= position) return this.#end;
    const { cut } = this.#known;
    const start = cut <= position ? cut : 0;
    return this.#lastCut(file, { end: position, start, otherwise: start }, isOver);
  }

  *#cut(chunk: Chunk): Generator<void, void, undefined> {
    const { maxBytes } = this.cutting;
    if (maxBytes === Number.POSITIVE_INFINITY) {
      yield this.#add(chunk);
      return;
    }
    const bytes = chunk.parts.length === 1 ? (chunk.parts[0] as Buffer) : Buffer.concat(chunk.parts);
    for (let at = 0; at < bytes.length; ) {
      const block = bytes.subarray(at, at + maxBytes);
      const isLast = at + block.length === bytes.length;
      const piece = pieceOf(block, this.cutting, { isWhole: isLast, isWithin: this.#isWithin });
      const start = chunk.start + at;
      at += piece.bytes.length;
      this.#isWithin = !piece.isWhole;
      yield this.#add(new Chunk(start, [piece.bytes], { isWhole: piece.isWhole }));
    }
  }

  #add(piece: Chunk): void {
    this.#pieces.push(piece);
    this.#end = piece.end;
  }

  async #find(file: StoredFile, committed: () => number): Promise<void> {
    let { cut: end, searched } = this.#known;
    searched = Math.max(end, searched - FIRST_SEARCH_BYTES);
    const isOver = () => this.#end !== undefined || this.#seekers === 0;
    while (this.#end === undefined) {
      const size = committed();
      end = await this.#lastCut(file, { end: size, start: searched, otherwise: end }, isOver);
      if (this.#end !== undefined || this.#seekers === 0) return;
      if (size === committed()) {
        this.#end = end;
        return;
      }
      // What has come since has no place to cut by itself.
      searched = Math.max(end, size - FIRST_SEARCH_BYTES);
    }
  }

  /** The last place to cut between `start` and `end`; `otherwise` if there is none. */
  async #lastCut(
    file: StoredFile,
    { end, start, otherwise }: { end: number; start: number; otherwise: number },
    isOver: () => boolean,
  ): Promise<number> {
    let length = FIRST_SEARCH_BYTES;
    for (let at = end; at > start; length = SEARCH_BYTES) {
      const from = Math.max(start, at - length);
      const block = await file.read(from, at - from);
      // Cut by another program: who reads it finds that out.
      if (block.length < at - from || isOver()) return end;
      const open = this.cutting.openBytes?.([block]) ?? 0;
      if (open < block.length) return at - open;
      at = from;
    }
    return otherwise;
  }
}

/** The chunk of these parts but for the open bytes at their end. */
function wholeOf(
  start: number,
  parts: readonly Buffer[],
  openBytes: number,
  merged: ReadonlySet<Buffer>,
): Chunk {
  const whole = withoutLast(parts, openBytes);
  const [last, cut] = [parts[whole.length - 1], whole.at(-1)] as [Buffer, Buffer];
  return new Chunk(start, whole, { merged: mergedWith(merged, last, cut) });
}

/** How many of the newest bytes stay in memory for the followers of one feed. */
const WINDOW_BYTES = 1024 * 1024;

/** Most chunks that stay in memory: small ones cost more than their bytes. */
const MAX_CHUNKS = 256;

/** The newest committed chunks of a feed, in order and without a gap. */
class ChunkWindow {
  readonly #chunks: Chunk[] = [];

  /** Adds the next chunk; the oldest ones make room. */
  push(chunk: Chunk): void {
    const chunks = this.#chunks;
    if (chunks.at(-1)?.end !== chunk.start) this.clear();
    chunks.push(chunk);
    // In batches, because taking one from the front moves all the others.
    let surplus = chunks.length > 2 * MAX_CHUNKS ? chunks.length - MAX_CHUNKS : 0;
    while (chunk.end - (chunks[surplus] as Chunk).end >= WINDOW_BYTES) surplus++;
    if (surplus > 0) chunks.splice(0, surplus);
  }

  /** The chunk that holds the byte at `position`, if it is still in memory. */
  at(position: number): Chunk | undefined {
    // Followers that keep up ask for the newest.
    for (let i = this.#chunks.length - 1; i >= 0; i--) {
      const chunk = this.#chunks[i] as Chunk;
      if (chunk.start <= position) return position < chunk.end ? chunk : undefined;
    }
    return undefined;
  }

  /** Drops all bytes. */
  clear(): void {
    this.#chunks.length = 0;
  }
}
