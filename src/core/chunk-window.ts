import { Chunk } from './chunk.ts';

/** How many of the newest bytes stay in memory for the followers of one feed. */
const WINDOW_BYTES = 1024 * 1024;

/** How many bytes go to a follower with one write at most: what a stalled one holds on to. */
const CHUNK_BYTES = 256 * 1024;

/** The newest committed chunks of a feed, in order and without a gap. */
export class ChunkWindow {
  #chunks: Chunk[] = [];
  #end = 0;

  /** Adds bytes at `start`. Call `trim` when those who keep up have taken them. */
  push(start: number, parts: readonly Buffer[]): void {
    if (start !== this.#end) this.clear();
    let at = start;
    let gathered: Buffer[] = [];
    let gatheredBytes = 0;
    for (const part of parts) {
      if (gatheredBytes > 0 && gatheredBytes + part.length > CHUNK_BYTES) {
        this.#chunks.push(new Chunk(at, gathered));
        at += gatheredBytes;
        gathered = [];
        gatheredBytes = 0;
      }
      gathered.push(part);
      gatheredBytes += part.length;
    }
    if (gatheredBytes > 0) this.#chunks.push(new Chunk(at, gathered));
    this.#end = at + gatheredBytes;
  }

  /** The chunk that holds the byte at `position`, if it is still in memory. */
  at(position: number): Chunk | undefined {
    const chunks = this.#chunks;
    const first = chunks[0];
    if (first === undefined || position < first.start || position >= this.#end) return undefined;
    // Followers that keep up ask for the newest.
    for (let i = chunks.length - 1; i >= 0; i--) {
      const chunk = chunks[i] as Chunk;
      if (chunk.start <= position) return chunk;
    }
    return undefined;
  }

  /** Lets all bytes go. */
  clear(): void {
    this.#chunks = [];
  }

  /** Lets the oldest bytes go, down to the size of the window. */
  trim(): void {
    let surplus = 0;
    while (
      surplus < this.#chunks.length - 1 &&
      this.#end - (this.#chunks[surplus] as Chunk).end >= WINDOW_BYTES
    ) {
      surplus++;
    }
    if (surplus > 0) this.#chunks.splice(0, surplus);
  }
}
