import type { ResourcePath } from '../../wire/resource-path.ts';

/** What each costs besides its bytes, or without any: a block, a name, and what is remembered of it. */
const BLOCK_BYTES = 4096;

/** One of them. */
export interface CountedCopy {
  path: ResourcePath;
  bytes: number;
  /** When it was read last, on the clock of `performance`; 0 when that was before this process began. */
  readAtMs: number;
}

/** Which copies there are, in the order in which they were read last, and how many bytes these are. */
export class CopyLedger {
  readonly #isCounting: boolean;
  /** By path, those that were read last at the end. */
  readonly #copies = new Map<string, CountedCopy>();
  #bytes = 0;

  /** @param isCounting whether that is to be known at all */
  constructor(isCounting: boolean) {
    this.#isCounting = isCounting;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Those that were read longest ago first; what is read, or goes, meanwhile changes its place, or goes. */
  get copies(): IterableIterator<CountedCopy> {
    return this.#copies.values();
  }

  /** Whether one is counted. */
  knows({ key }: ResourcePath): boolean {
    return this.#copies.has(key);
  }

  /**
   * Notes that there is one, of so many bytes, as the one that was read last.
   *
   * @param readAtMs default: it is read now
   */
  has(path: ResourcePath, size: number, readAtMs = performance.now()): void {
    if (!this.#isCounting) return;
    this.dropped(path);
    const bytes = size + BLOCK_BYTES;
    this.#bytes += bytes;
    this.#copies.set(path.key, { path, bytes, readAtMs });
  }

  /** Notes how many bytes one has by now, if there is one. */
  grown(path: ResourcePath, size: number): void {
    const copy = this.#isCounting ? this.#copies.get(path.key) : undefined;
    if (copy === undefined) return;
    this.#bytes += size + BLOCK_BYTES - copy.bytes;
    copy.bytes = size + BLOCK_BYTES;
  }

  /** Notes that one is read, if there is one. */
  read({ key }: ResourcePath): void {
    const copy = this.#copies.get(key);
    if (copy === undefined) return;
    copy.readAtMs = performance.now();
    this.#copies.delete(key);
    this.#copies.set(key, copy);
  }

  /** Notes that one is gone, if there was one. */
  dropped({ key }: ResourcePath): void {
    this.#bytes -= this.#copies.get(key)?.bytes ?? 0;
    this.#copies.delete(key);
  }
}
