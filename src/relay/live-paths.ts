import type { ResourcePath } from '../wire/resource-path.ts';

/** Wait after the first look that has brought nothing, in milliseconds. It doubles from one to the next. */
const MIN_WAIT_MS = 1000;

const MAX_WAIT_MS = 30_000;

/** A path that somebody reads live. */
export interface LivePath {
  readonly path: ResourcePath;
  /** The servers through which the request for it has come, this one included. */
  readonly via: string;
  /** Tells whether a look has brought anything. */
  looked(isNews: boolean): void;
}

/**
 * Paths that somebody reads live, whoever appends to them: an append to what is no stream ends at the upstream, and
 * another one may follow of which nobody tells this one.
 */
export class LivePaths {
  readonly #paths = new Map<string, Entry>();

  /** How many there are. */
  get count(): number {
    return this.#paths.size;
  }

  /**
   * Adds one more who reads a path.
   *
   * @returns to be called when that is over, once
   */
  add(path: ResourcePath, via: string): () => void {
    const entry = this.#paths.get(path.key) ?? new Entry(path, via);
    entry.readerCount++;
    this.#paths.set(path.key, entry);
    return () => {
      entry.readerCount--;
      if (entry.readerCount === 0) this.#paths.delete(path.key);
    };
  }

  /** Tells that a path was changed by way of this server: it is looked at soon. */
  changed({ key }: ResourcePath): void {
    this.#paths.get(key)?.looked(true);
  }

  /** Those at which may be looked again. */
  due(nowMs: number): LivePath[] {
    return [...this.#paths.values()].filter((entry) => entry.dueMs <= nowMs);
  }
}

class Entry implements LivePath {
  readonly path: ResourcePath;
  readonly via: string;
  readerCount = 0;
  dueMs = 0;
  #waitMs = MIN_WAIT_MS;

  constructor(path: ResourcePath, via: string) {
    this.path = path;
    this.via = via;
  }

  looked(isNews: boolean): void {
    this.dueMs = isNews ? 0 : performance.now() + this.#waitMs;
    this.#waitMs = isNews ? MIN_WAIT_MS : Math.min(2 * this.#waitMs, MAX_WAIT_MS);
  }
}
