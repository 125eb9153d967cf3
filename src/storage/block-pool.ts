/** How much is read ahead for every reader: what one that takes nothing holds on to. */
export const SMALL_BLOCK_BYTES = 64 * 1024;

/** What all readers together may hold beyond that. */
const SHARED_BYTES = 16 * 1024 * 1024;

/**
 * Memory in which readers of files are ahead of their clients. Large blocks are
 * quicker, because each is a trip to another thread; but thousands that have
 * stalled must not hold one each.
 */
export class BlockPool {
  #freeBytes = SHARED_BYTES;

  /**
   * Lends to one reader.
   *
   * @param maxBytes its largest block
   */
  lend(maxBytes: number): BlockLoan {
    return new BlockLoan(this, maxBytes);
  }

  /** Called by loans: whether so much is free, which then it is no more. */
  take(bytes: number): boolean {
    if (bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  /** Called by loans. */
  giveBack(bytes: number): void {
    this.#freeBytes += bytes;
  }
}

/** What one reader may read at a time: more each time, as long as others leave enough. */
export class BlockLoan {
  /** How much needs no loan, and is every reader's. */
  readonly smallBytes = SMALL_BLOCK_BYTES;
  readonly #pool: BlockPool;
  readonly #maxBytes: number;
  #nextBytes = SMALL_BLOCK_BYTES;
  #lentBytes = 0;

  /** Made by {@link BlockPool.lend}. */
  constructor(pool: BlockPool, maxBytes: number) {
    this.#pool = pool;
    this.#maxBytes = maxBytes;
  }

  /** How large the next block may be, in bytes. To be called when the one before was taken: that a reader does take. */
  next(): number {
    this.release();
    const beyondBytes = Math.min(this.#nextBytes, this.#maxBytes) - SMALL_BLOCK_BYTES;
    if (this.#pool.take(beyondBytes)) {
      this.#lentBytes = beyondBytes;
      this.#nextBytes = Math.min(2 * this.#nextBytes, this.#maxBytes);
    }
    return SMALL_BLOCK_BYTES + this.#lentBytes;
  }

  /**
   * Lends so many bytes more, beyond a small block, if others leave enough. Whoever calls it uses what it has as it
   * likes.
   */
  extend(bytes: number): boolean {
    if (!this.#pool.take(bytes)) return false;
    this.#lentBytes += bytes;
    return true;
  }

  /** Gives so many bytes back, or what is lent if that is less. */
  reduce(bytes: number): void {
    const reducedBytes = Math.min(bytes, this.#lentBytes);
    this.#pool.giveBack(reducedBytes);
    this.#lentBytes -= reducedBytes;
  }

  /** Gives back what is lent. Idempotent. */
  release(): void {
    this.reduce(this.#lentBytes);
  }
}
