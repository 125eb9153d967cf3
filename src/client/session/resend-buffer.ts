/** The size of the ring when it is first used. */
const INITIAL_BYTES = 64 * 1024;

/**
 * The bytes of an append that may have to be sent again: a ring that holds those from
 * `start` to `end`, which are positions counted from the beginning of the append.
 */
export class ResendBuffer {
  readonly #maxBytes: number;
  #ring = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** @param maxBytes how much it may hold; memory is allocated as it is needed */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Position of the first byte that is held. */
  get start(): number {
    return this.#start;
  }

  /** Position after the last byte that is held. */
  get end(): number {
    return this.#end;
  }

  /** Copies as many bytes as there is room for, and returns how many. */
  push(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#maxBytes - (this.#end - this.#start));
    this.#makeRoom(this.#end - this.#start + count);
    for (let copied = 0; copied < count; ) {
      const at = this.#end % this.#ring.length;
      const length = Math.min(count - copied, this.#ring.length - at);
      this.#ring.set(bytes.subarray(copied, copied + length), at);
      copied += length;
      this.#end += length;
    }
    return count;
  }

  /** Up to `maxBytes` of what is held from `position` on: a view, good until those bytes are released. */
  view(position: number, maxBytes: number): Uint8Array {
    const at = position % this.#ring.length;
    return this.#ring.subarray(at, Math.min(at + maxBytes, at + this.#end - position, this.#ring.length));
  }

  /** Drops the bytes below `position`; frees the memory when none are left, unless it is little. */
  release(position: number): void {
    this.#start = Math.max(this.#start, position);
    if (this.#start === this.#end && this.#ring.length > INITIAL_BYTES) this.clear();
  }

  /** Frees the memory, and drops what is not released. */
  clear(): void {
    this.#end = this.#start;
    this.#ring = new Uint8Array(0);
  }

  #makeRoom(neededBytes: number): void {
    if (neededBytes <= this.#ring.length) return;
    let size = Math.max(INITIAL_BYTES, this.#ring.length);
    while (size < neededBytes) size *= 2;
    const ring = new Uint8Array(Math.min(size, this.#maxBytes));
    for (let at = this.#start; at < this.#end; ) {
      const part = this.view(at, Math.min(ring.length - (at % ring.length), this.#end - at));
      ring.set(part, at % ring.length);
      at += part.length;
    }
    this.#ring = ring;
  }
}

/** Chunks that were written to a stream and for which the buffer has no room yet. */
export class PendingWrites {
  #chunks: Uint8Array[] = [];
  /** Index of the first chunk that is not in the buffer. */
  #next = 0;
  #onAccepted: ((error?: Error) => void) | undefined;

  /**
   * Takes chunks. Node's writables pass no more before `onAccepted` is called.
   *
   * @param onAccepted called once: by {@link settle}
   */
  set(chunks: Uint8Array[], onAccepted: (error?: Error) => void): void {
    this.#chunks = chunks;
    this.#next = 0;
    this.#onAccepted = onAccepted;
  }

  /** Moves as many bytes to the buffer as it has room for, and returns whether none are left. */
  moveTo(buffer: ResendBuffer): boolean {
    for (; this.#next < this.#chunks.length; this.#next++) {
      const chunk = this.#chunks[this.#next] as Uint8Array;
      const count = buffer.push(chunk);
      if (count === chunk.length) continue;
      this.#chunks[this.#next] = chunk.subarray(count);
      return false;
    }
    this.#chunks = [];
    return true;
  }

  /** Calls back, with the error if there is one. What is left is dropped. */
  settle(error?: Error): void {
    const onAccepted = this.#onAccepted;
    this.#onAccepted = undefined;
    this.#chunks = [];
    onAccepted?.(error);
  }
}
