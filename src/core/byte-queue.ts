/** Pieces below this length are copied together: each would cost a few hundred bytes beside its own. */
const SMALL_BYTES = 4096;

/** Longest block that small pieces are copied to. */
const MAX_BLOCK_BYTES = 64 * 1024;

/** What has waited. */
export interface Taken {
  parts: Buffer[];
  /** Those of them that are several short pieces; undefined: none. */
  merged: ReadonlySet<Buffer> | undefined;
}

/**
 * Bytes that wait, in order. However small the pieces are in which they come,
 * the memory that they take is within a small factor of their length.
 */
export class ByteQueue {
  readonly #shortBytes: number;
  #parts: Buffer[] = [];
  #length = 0;
  #merged: Set<Buffer> | undefined;
  /** What small pieces are copied to, how much of it is full, and where the last part of it begins. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  #partStart = 0;
  #isPartMerged = false;

  /** @param shortBytes pieces below this length are merged, as far as they are small; a longer one stays a part */
  constructor(shortBytes = SMALL_BYTES) {
    this.#shortBytes = shortBytes;
  }

  /** How many bytes wait. */
  get length(): number {
    return this.#length;
  }

  /**
   * Takes bytes, which are the queue's own from now on.
   *
   * @param isMerged whether they are several short pieces already. Default: one piece
   */
  push(bytes: Buffer, isMerged = false): void {
    if (bytes.length === 0) return;
    // The first one is alone, more often than not.
    const isWhole = bytes.length >= SMALL_BYTES || this.#length === 0;
    if (isWhole) this.#pushWhole(onItsOwn(bytes), isMerged);
    else this.#copy(bytes, isMerged);
    this.#length += bytes.length;
  }

  /** Takes all that waits out of it. */
  take(): Taken {
    this.#closeBlock();
    const taken = { parts: this.#parts, merged: this.#merged };
    this.#parts = [];
    this.#merged = undefined;
    this.#length = 0;
    return taken;
  }

  #pushWhole(bytes: Buffer, isMerged: boolean): void {
    this.#closeBlock();
    this.#add(bytes, isMerged);
  }

  #add(part: Buffer, isMerged: boolean): void {
    this.#parts.push(part);
    if (!isMerged) return;
    this.#merged ??= new Set();
    this.#merged.add(part);
  }

  #copy(bytes: Buffer, isMerged: boolean): void {
    const isShort = isMerged || bytes.length < this.#shortBytes;
    if (this.#block !== undefined && this.#blockBytes + bytes.length > this.#block.length) this.#closeBlock();
    // Not from Node's pool, which it would keep in memory.
    this.#block ??= Buffer.allocUnsafeSlow(blockBytes(this.#length + bytes.length));
    if (!isShort) this.#closePart();
    this.#isPartMerged = isMerged || this.#blockBytes > this.#partStart;
    this.#blockBytes += bytes.copy(this.#block, this.#blockBytes);
    if (!isShort) this.#closePart();
  }

  #closePart(): void {
    const part = this.#block?.subarray(this.#partStart, this.#blockBytes);
    if (part !== undefined && part.length > 0) this.#add(part, this.#isPartMerged);
    this.#partStart = this.#blockBytes;
  }

  #closeBlock(): void {
    this.#closePart();
    this.#block = undefined;
    this.#blockBytes = 0;
    this.#partStart = 0;
  }
}

/**
 * The bytes, without a longer buffer in memory, from which they were cut: a copy of what is less than half of it.
 * Node's pool, from which small ones come, is not longer than that matters.
 */
export function onItsOwn(bytes: Buffer): Buffer {
  return bytes.buffer.byteLength <= Math.max(2 * bytes.length, Buffer.poolSize) ? bytes : Buffer.from(bytes);
}

/** Grows with what waits, so that no more than that is unused of the last block. */
function blockBytes(waitingBytes: number): number {
  return Math.min(MAX_BLOCK_BYTES, Math.max(SMALL_BYTES, waitingBytes));
}
