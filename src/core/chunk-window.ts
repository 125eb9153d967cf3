import type { Chunk } from './chunk.ts';

/** How many of the newest bytes stay in memory for the followers of one feed. */
const WINDOW_BYTES = 1024 * 1024;

/** Most chunks that stay in memory: small ones cost more than their bytes. */
const MAX_CHUNKS = 256;

/** The newest committed chunks of a feed, in order and without a gap. */
export class ChunkWindow {
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
