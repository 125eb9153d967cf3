import type { ResendBuffer } from './resend-buffer.ts';

/** What was given to a stream to write and its buffer has had no room for. */
export class PendingWrites {
  #chunks: Uint8Array[] = [];
  /** Those before it are in the buffer. */
  #next = 0;
  #onAccepted: ((error?: Error) => void) | undefined;

  /**
   * Takes chunks. A stream gives no more before `onAccepted` is called.
   *
   * @param onAccepted called once, when all of them are in the buffer, or with why they will not be
   */
  set(chunks: Uint8Array[], onAccepted: (error?: Error) => void): void {
    this.#chunks = chunks;
    this.#next = 0;
    this.#onAccepted = onAccepted;
  }

  /** Moves as many bytes to the buffer as it has room for. Returns whether none are left. */
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

  /** Calls back. What is left is dropped. */
  settle(error?: Error): void {
    const onAccepted = this.#onAccepted;
    this.#onAccepted = undefined;
    this.#chunks = [];
    onAccepted?.(error);
  }
}
