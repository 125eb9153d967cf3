import type { ListedEntry } from '../response/list-row.ts';

/** How much of a listing is laid out at a time, in characters. */
export const PIECE_LENGTH = 64 * 1024;

/** How long the rest of a listing is kept for a reader that takes nothing, in milliseconds. */
const KEPT_MS = 1000;

/** What a listing has. */
export interface Listing {
  entries: readonly ListedEntry[];
  /** Whether there are more names. */
  truncated: boolean;
}

/** How a listing looks. */
export interface ListingForm {
  /** The content type. */
  type: string;
  /** What a browser may do with it; undefined for what it shows to nobody. */
  policy?: string;
  head: string;
  /** What is between two entries. */
  separator: string;
  row(entry: ListedEntry): string;
  tail(truncated: boolean): string;
}

/**
 * The text of a listing, laid out piece by piece as it is taken. For a reader that
 * stalls nothing is kept but the last name that it got: the directory is read
 * again when it goes on.
 */
export class ListingText {
  readonly #form: ListingForm;
  readonly #readAfter: (name: string) => Promise<Listing>;
  readonly #keptMs: number;
  /** What comes after the name that was laid out last, but for its first entries, which are out. */
  #listing: Promise<Listing> | undefined;
  #outCount = 0;
  #lastName = '';
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param readAfter reads the entries whose names come after this one
   * @param options.keptMs how long what is left is kept for a reader that takes nothing, in milliseconds. Default 1,000
   */
  constructor(
    form: ListingForm,
    readAfter: (name: string) => Promise<Listing>,
    { keptMs = KEPT_MS }: { keptMs?: number } = {},
  ) {
    this.#form = form;
    this.#readAfter = readAfter;
    this.#keptMs = keptMs;
    this.#listing = readAfter('');
    // Whoever takes a piece gets the failure.
    this.#listing.catch(() => undefined);
  }

  /** Settles when the directory has been read. */
  async ready(): Promise<void> {
    await this.#listing;
  }

  get head(): string {
    return this.#form.head;
  }

  /** Whether its last piece was taken. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether entries that are to come are in memory. */
  get isKept(): boolean {
    return this.#listing !== undefined;
  }

  /** What comes after the head. */
  async *pieces(): AsyncGenerator<string, void, undefined> {
    try {
      while (!this.#isOver) yield await this.#next();
    } finally {
      clearTimeout(this.#timer);
      this.#forget();
    }
  }

  async #next(): Promise<string> {
    clearTimeout(this.#timer);
    this.#listing ??= this.#readAfter(this.#lastName);
    const { entries, truncated } = await this.#listing;
    let piece = '';
    while (piece.length < PIECE_LENGTH) {
      const entry = entries[this.#outCount];
      if (entry === undefined) {
        this.#isOver = true;
        this.#listing = undefined;
        return piece + this.#form.tail(truncated);
      }
      piece += (this.#lastName === '' ? '' : this.#form.separator) + this.#form.row(entry);
      this.#lastName = entry.name;
      this.#outCount++;
    }
    this.#timer = setTimeout(() => this.#forget(), this.#keptMs).unref();
    return piece;
  }

  #forget(): void {
    this.#listing = undefined;
    this.#outCount = 0;
  }
}
