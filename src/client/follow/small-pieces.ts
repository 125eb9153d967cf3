/** Pieces below this length are joined while others wait: each would take some hundred bytes beside its own. */
const SMALL_BYTES = 4096;

/** Longest piece that is made of several. */
const JOINED_BYTES = 64 * 1024;

/** How long a small piece may be kept, in milliseconds. */
const PATIENCE_MS = 10;

/** Joins small pieces that come faster than they are read, so that what waits takes memory by its bytes. */
export class SmallPieces {
  readonly #push: (bytes: Buffer) => void;
  #kept: Buffer[] = [];
  #length = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param push gets all bytes, in order */
  constructor(push: (bytes: Buffer) => void) {
    this.#push = push;
  }

  /**
   * Takes the next bytes, and passes them on at once unless they are few.
   *
   * @param isLate whether others wait for the reader
   */
  add(bytes: Buffer, isLate: boolean): void {
    if (bytes.length >= SMALL_BYTES || !isLate) {
      this.flush();
      this.#push(bytes);
      return;
    }
    // Not a view, which would hold on to what it was cut from.
    this.#kept.push(Buffer.from(bytes));
    this.#length += bytes.length;
    if (this.#length >= JOINED_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), PATIENCE_MS);
  }

  /** Passes on what is kept. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#length === 0) return;
    const bytes = Buffer.concat(this.#kept);
    this.clear();
    this.#push(bytes);
  }

  /** Forgets what is kept. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#kept = [];
    this.#length = 0;
  }
}
