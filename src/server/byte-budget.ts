/** Bytes that may be in memory together. */
export class ByteBudget {
  #left: number;

  /** @param bytes how many in all */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes some, to be given back. False when there are not so many left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives back what was taken. */
  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}
