/**
 * Encodes committed bytes for the wire, as buffers to be written one after the other; none at all when they are not to
 * be sent like that.
 *
 * @param merged those of the parts that are several short messages. Default: none
 */
export type Encoder = (parts: readonly Buffer[], merged?: ReadonlySet<Buffer>) => readonly Buffer[];

const NONE: ReadonlySet<Buffer> = new Set();

/** More pieces than this are joined at once: each costs about as much as copying a few hundred bytes. */
const MAX_PIECES = 32;

/** Longest chunk, single parts that are longer aside: what a stalled follower holds on to. */
const CHUNK_BYTES = 256 * 1024;

/** What is said of a {@link Chunk}. */
export interface ChunkOptions {
  /** Those of its parts that are several short messages. Default: none. */
  merged?: ReadonlySet<Buffer> | undefined;
  /** Whether it ends where bytes may be cut. Default: true. */
  isWhole?: boolean;
}

/** A run of committed bytes that is still in memory. */
export class Chunk {
  /** Position of the first byte. */
  readonly start: number;
  /** Position after the last byte. */
  readonly end: number;
  /** Its bytes, as they were written. */
  readonly parts: readonly Buffer[];
  /** Those of the parts that are several short messages. */
  readonly merged: ReadonlySet<Buffer>;
  /** Whether it ends where bytes may be cut. */
  readonly isWhole: boolean;
  readonly #encoded = new Map<Encoder, readonly Buffer[]>();

  constructor(start: number, parts: readonly Buffer[], { merged = NONE, isWhole = true }: ChunkOptions = {}) {
    this.start = start;
    this.end = start + parts.reduce((bytes, part) => bytes + part.length, 0);
    this.parts = parts;
    this.merged = merged;
    this.isWhole = isWhole;
  }

  /**
   * The bytes from `position` on, encoded. The first follower that takes the
   * chunk gets it uncopied; when a second one comes it is joined to one buffer,
   * which all others share.
   */
  encodedFrom(position: number, encode: Encoder): readonly Buffer[] {
    if (position !== this.start) return this.#encodedWithin(position, encode);
    let encoded = this.#encoded.get(encode);
    if (encoded === undefined) encoded = encode(this.parts, this.merged);
    // None is not one that is empty.
    else if (encoded.length <= 1) return encoded;
    else encoded = [Buffer.concat(encoded)];
    if (encoded.length > MAX_PIECES) encoded = [Buffer.concat(encoded)];
    this.#encoded.set(encode, encoded);
    return encoded;
  }

  #encodedWithin(position: number, encode: Encoder): readonly Buffer[] {
    let start = this.start;
    for (const [index, part] of this.parts.entries()) {
      const end = start + part.length;
      if (position < end) {
        const cut = part.subarray(position - start);
        const parts = [cut, ...this.parts.slice(index + 1)];
        return encode(parts, mergedWith(this.merged, part, cut));
      }
      start = end;
    }
    return encode([]);
  }
}

/** Groups bytes that begin at `start` into chunks. */
export function* chunksOf(
  start: number,
  parts: readonly Buffer[],
  merged = NONE,
): Generator<Chunk, void, undefined> {
  // A chunk keeps no others in memory.
  const chunkOf = (own: readonly Buffer[]) =>
    new Chunk(at, own, {
      merged: merged.size === 0 ? NONE : new Set(own.filter((part) => merged.has(part))),
    });
  let at = start;
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  for (const part of parts) {
    if (gatheredBytes > 0 && gatheredBytes + part.length > CHUNK_BYTES) {
      yield chunkOf(gathered);
      at += gatheredBytes;
      gathered = [];
      gatheredBytes = 0;
    }
    gathered.push(part);
    gatheredBytes += part.length;
  }
  if (gatheredBytes > 0) yield chunkOf(gathered);
}

/** The merged parts when there is only this cut of a part any more. */
export function mergedWith(merged: ReadonlySet<Buffer>, part: Buffer, cut: Buffer): ReadonlySet<Buffer> {
  return merged.has(part) ? new Set([...merged, cut]) : merged;
}
