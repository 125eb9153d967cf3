/**
 * Encodes committed bytes for the wire, as buffers to be written one after the other.
 *
 * @param isMerged whether they were short messages. Default: each part was one by itself
 */
export type Encoder = (parts: readonly Buffer[], isMerged?: boolean) => readonly Buffer[];

/** More pieces than this are joined at once: each costs about as much as copying a few hundred bytes. */
const MAX_PIECES = 32;

/** Longest chunk, single parts that are longer aside: what a stalled follower holds on to. */
const CHUNK_BYTES = 256 * 1024;

/** A run of committed bytes that is still in memory. */
export class Chunk {
  /** Position of the first byte. */
  readonly start: number;
  /** Position after the last byte. */
  readonly end: number;
  /** Its bytes, as they were written. */
  readonly parts: readonly Buffer[];
  /** Whether they were short messages, some of which may be in one part. */
  readonly isMerged: boolean;
  /** Whether it ends where bytes may be cut. */
  readonly isWhole: boolean;
  readonly #encoded = new Map<Encoder, readonly Buffer[]>();

  constructor(start: number, parts: readonly Buffer[], isMerged = false, isWhole = true) {
    this.start = start;
    this.end = start + parts.reduce((bytes, part) => bytes + part.length, 0);
    this.parts = parts;
    this.isMerged = isMerged;
    this.isWhole = isWhole;
  }

  /**
   * The bytes from `position` on, encoded. The first follower that takes the
   * chunk gets it uncopied; when a second one comes it is joined to one buffer,
   * which all others share.
   */
  encodedFrom(position: number, encode: Encoder): readonly Buffer[] {
    if (position !== this.start) return encode(this.#partsFrom(position), this.isMerged);
    let encoded = this.#encoded.get(encode);
    if (encoded === undefined) encoded = encode(this.parts, this.isMerged);
    else if (encoded.length === 1) return encoded;
    else encoded = [Buffer.concat(encoded)];
    if (encoded.length > MAX_PIECES) encoded = [Buffer.concat(encoded)];
    this.#encoded.set(encode, encoded);
    return encoded;
  }

  #partsFrom(position: number): Buffer[] {
    const parts: Buffer[] = [];
    let start = this.start;
    for (const part of this.parts) {
      if (position < start + part.length) parts.push(part.subarray(Math.max(0, position - start)));
      start += part.length;
    }
    return parts;
  }
}

/** Groups bytes that begin at `start` into chunks. */
export function* chunksOf(
  start: number,
  parts: readonly Buffer[],
  isMerged?: boolean,
): Generator<Chunk, void, undefined> {
  let at = start;
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  for (const part of parts) {
    if (gatheredBytes > 0 && gatheredBytes + part.length > CHUNK_BYTES) {
      yield new Chunk(at, gathered, isMerged);
      at += gatheredBytes;
      gathered = [];
      gatheredBytes = 0;
    }
    gathered.push(part);
    gatheredBytes += part.length;
  }
  if (gatheredBytes > 0) yield new Chunk(at, gathered, isMerged);
}
