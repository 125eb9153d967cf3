const FIRST_BYTES = 64 * 1024;

/**
 * The bytes of a stream that may have to be sent again: a ring that holds what
 * lies between `start` and `end`, counted from the stream's beginning.
 */
export class ResendBuffer {
  readonly #maxBytes: number;
  #ring: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /** @param maxBytes how much it may hold; it takes memory only as it needs it */
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

  /** Copies as many bytes as there is room for. Returns how many that were. */
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
  view(position: number, maxBytes: number): Buffer {
    const at = position % this.#ring.length;
    return this.#ring.subarray(at, Math.min(at + maxBytes, at + this.#end - position, this.#ring.length));
  }

  /** Forgets the bytes below `position`; when none are left, most of the memory, too. */
  release(position: number): void {
    this.#start = Math.max(this.#start, position);
    if (this.#start === this.#end && this.#ring.length > FIRST_BYTES) this.clear();
  }

  /** Lets its memory go, and forgets what is not released. */
  clear(): void {
    this.#end = this.#start;
    this.#ring = Buffer.alloc(0);
  }

  #makeRoom(neededBytes: number): void {
    if (neededBytes <= this.#ring.length) return;
    let size = Math.max(FIRST_BYTES, this.#ring.length);
    while (size < neededBytes) size *= 2;
    const ring = Buffer.allocUnsafeSlow(Math.min(size, this.#maxBytes));
    for (let at = this.#start; at < this.#end; ) {
      const part = this.view(at, Math.min(ring.length - (at % ring.length), this.#end - at));
      part.copy(ring, at % ring.length);
      at += part.length;
    }
    this.#ring = ring;
  }
}
