/** Pieces below this length are copied together: each would cost a few hundred bytes beside its own. */
const SMALL_BYTES = 4096;

/** Longest block that small pieces are copied to. */
const MAX_BLOCK_BYTES = 64 * 1024;

/**
 * Bytes that wait, in order. However small the pieces are in which they come,
 * the memory that they take is within a small factor of their length.
 */
export class ByteQueue {
  readonly #maxMergedBytes: number;
  #parts: Buffer[] = [];
  #length = 0;
  /** What small pieces are copied to, how much of it is full, and where the last part of it begins. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  #partStart = 0;

  /** @param maxMergedBytes longest part that is made of several pieces */
  constructor(maxMergedBytes = MAX_BLOCK_BYTES) {
    this.#maxMergedBytes = maxMergedBytes;
  }

  /** How many bytes wait. */
  get length(): number {
    return this.#length;
  }

  /** Takes bytes, which are the queue's own from now on. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (bytes.length >= SMALL_BYTES) this.#pushWhole(bytes);
    // The first one is alone, more often than not; it must not keep the buffer that it was cut from in memory.
    else if (this.#length === 0) this.#pushWhole(ownsItsMemory(bytes) ? bytes : Buffer.from(bytes));
    else this.#copy(bytes);
    this.#length += bytes.length;
  }

  /** Takes all that waits out of it. */
  take(): Buffer[] {
    this.#closeBlock();
    const parts = this.#parts;
    this.#parts = [];
    this.#length = 0;
    return parts;
  }

  #pushWhole(bytes: Buffer): void {
    this.#closeBlock();
    this.#parts.push(bytes);
  }

  #copy(bytes: Buffer): void {
    if (this.#block !== undefined && this.#blockBytes + bytes.length > this.#block.length) this.#closeBlock();
    // Not from Node's pool, which it would keep in memory.
    this.#block ??= Buffer.allocUnsafeSlow(blockBytes(this.#length + bytes.length));
    if (this.#blockBytes - this.#partStart + bytes.length > this.#maxMergedBytes) this.#closePart();
    this.#blockBytes += bytes.copy(this.#block, this.#blockBytes);
  }

  #closePart(): void {
    const part = this.#block?.subarray(this.#partStart, this.#blockBytes);
    if (part !== undefined && part.length > 0) this.#parts.push(part);
    this.#partStart = this.#blockBytes;
  }

  #closeBlock(): void {
    this.#closePart();
    this.#block = undefined;
    this.#blockBytes = 0;
    this.#partStart = 0;
  }
}

function ownsItsMemory(bytes: Buffer): boolean {
  return bytes.buffer.byteLength <= 2 * bytes.length;
}

/** Grows with what waits, so that no more than that is unused of the last block. */
function blockBytes(waitingBytes: number): number {
  return Math.min(MAX_BLOCK_BYTES, Math.max(SMALL_BYTES, waitingBytes));
}
