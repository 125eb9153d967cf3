/** Block `n` holds the bytes from `n * BLOCK_BYTES` on. */
export const BLOCK_BYTES = 256 * 1024;

const MAX_BLOCKS = 64;

/** How much is kept, in bytes: 16 MiB. */
export const KEPT_BYTES = MAX_BLOCKS * BLOCK_BYTES;

/** Reads the bytes of the file from `from` to before `to`; rejects when it cannot get all of them. */
export type ReadBytes = (from: number, to: number) => Promise<Uint8Array<ArrayBuffer>>;

/** One run of known bytes within a block: those at `from` to before `to`, counted from the block's beginning. */
interface Block {
  bytes: Uint8Array<ArrayBuffer>;
  from: number;
  to: number;
}

/**
 * The bytes of one file that the page has by now: what came live, and what was read for a look at another place. What
 * has not been used for longest goes, and is read again when it is needed.
 */
export class BlockStore {
  readonly #read: ReadBytes;
  readonly #maxBlocks: number;
  /** In the order of their use. */
  readonly #blocks = new Map<number, Block>();
  readonly #loading = new Map<number, Promise<void>>();
  #size = 0;

  constructor(read: ReadBytes, maxBlocks = MAX_BLOCKS) {
    this.#read = read;
    this.#maxBlocks = maxBlocks;
  }

  /** How many bytes the file has, as far as the page was told. */
  get size(): number {
    return this.#size;
  }

  /** Takes bytes that came live; `position` is that of the first. */
  append(position: number, bytes: Uint8Array): void {
    this.#store(position, bytes);
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  /** Takes note that the file has at least so many bytes. */
  extend(size: number): void {
    this.#size = Math.max(this.#size, size);
  }

  /** A copy of the bytes from `from` to before `to`; undefined unless all of them are here. */
  slice(from: number, to: number): Uint8Array<ArrayBuffer> | undefined {
    const copy = new Uint8Array(Math.max(to - from, 0));
    for (let position = from; position < to; ) {
      const index = Math.floor(position / BLOCK_BYTES);
      const start = index * BLOCK_BYTES;
      const end = Math.min(to, start + BLOCK_BYTES);
      const block = this.#use(index);
      if (block === undefined || block.from > position - start || block.to < end - start) return undefined;
      copy.set(block.bytes.subarray(position - start, end - start), position - from);
      position = end;
    }
    return copy;
  }

  /** A copy of the bytes that are here before `to`, as far as there is no gap, and none before `from`. */
  sliceBefore(to: number, from: number): Uint8Array<ArrayBuffer> {
    let start = to;
    while (start > from) {
      const index = Math.floor((start - 1) / BLOCK_BYTES);
      const { from: first, to: end } = this.#blocks.get(index) ?? { from: 0, to: 0 };
      const wanted = start - index * BLOCK_BYTES;
      if (first >= wanted || end < wanted) break;
      start = index * BLOCK_BYTES + first;
    }
    return this.slice(Math.max(start, from), to)!;
  }

  /**
   * Reads what is missing of the bytes from `from` to before `to`, whole blocks at a time.
   * @throws what reading throws
   */
  async load(from: number, to: number): Promise<void> {
    const last = Math.ceil(Math.min(to, this.#size) / BLOCK_BYTES);
    const waits: Promise<void>[] = [];
    for (let index = Math.floor(Math.max(from, 0) / BLOCK_BYTES); index < last; index++) {
      const loading = this.#loading.get(index);
      if (loading !== undefined) waits.push(loading);
      // What is read does not take the place of what is wanted with it.
      else if (this.#has(index)) this.#use(index);
      else {
        const first = index;
        while (index + 1 < last && !this.#loading.has(index + 1) && !this.#has(index + 1)) index++;
        waits.push(this.#loadBlocks(first, index + 1));
      }
    }
    await Promise.all(waits);
  }

  #loadBlocks(first: number, last: number): Promise<void> {
    const position = first * BLOCK_BYTES;
    const loading = this.#read(position, Math.min(last * BLOCK_BYTES, this.#size))
      .then((bytes) => this.#store(position, bytes))
      .finally(() => {
        for (let index = first; index < last; index++) this.#loading.delete(index);
      });
    for (let index = first; index < last; index++) this.#loading.set(index, loading);
    return loading;
  }

  /** Whether all that the file has of a block is here. */
  #has(index: number): boolean {
    const block = this.#blocks.get(index);
    return (
      block !== undefined &&
      block.from === 0 &&
      block.to >= Math.min(BLOCK_BYTES, this.#size - index * BLOCK_BYTES)
    );
  }

  #store(position: number, bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length; ) {
      const index = Math.floor((position + taken) / BLOCK_BYTES);
      const from = position + taken - index * BLOCK_BYTES;
      const run = bytes.subarray(taken, taken + BLOCK_BYTES - from);
      const block = this.#use(index) ?? this.#make(index, from);
      block.bytes.set(run, from);
      const to = from + run.length;
      // Runs that do not touch leave a hole between them: the older one is forgotten.
      const touches = from <= block.to && to >= block.from;
      block.from = touches ? Math.min(block.from, from) : from;
      block.to = touches ? Math.max(block.to, to) : to;
      taken += run.length;
    }
  }

  /** Finds a block, which is then the last to go. */
  #use(index: number): Block | undefined {
    const block = this.#blocks.get(index);
    if (block === undefined) return undefined;
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    return block;
  }

  #make(index: number, from: number): Block {
    const [oldest] = this.#blocks.keys();
    const evicts = oldest !== undefined && this.#blocks.size >= this.#maxBlocks;
    // A flood fills many blocks a second: their memory is used again.
    const bytes = evicts ? this.#blocks.get(oldest)!.bytes : new Uint8Array(BLOCK_BYTES);
    if (evicts) this.#blocks.delete(oldest);
    const block = { bytes, from, to: from };
    this.#blocks.set(index, block);
    return block;
  }
}
