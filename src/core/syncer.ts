/** Something whose written bytes can be made durable. */
export interface Syncable {
  /** Never rejects: what fails is its own affair. */
  sync(): Promise<void>;
}

/**
 * Makes recently written files durable now and then: one timer for all of
 * them, armed only while one was written, and one file at a time, so that the
 * disk's slowness never takes the threads that writing needs.
 */
export class Syncer {
  readonly #intervalMs: number;
  /** Written since their last turn. */
  #dirty = new Set<Syncable>();
  /** Those whose turn it is. */
  #due = new Set<Syncable>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param intervalMs longest time between a write and the sync that covers it, the disk's own time aside */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Tells that `file` was written. */
  touch(file: Syncable): void {
    this.#dirty.add(file);
    if (this.#timer === undefined && !this.#closed) this.#arm();
  }

  /** Tells that `file` takes care of itself from now on. */
  forget(file: Syncable): void {
    this.#dirty.delete(file);
    this.#due.delete(file);
  }

  /** Stops for good. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = setTimeout(() => void this.#syncAll(), this.#intervalMs).unref();
  }

  async #syncAll(): Promise<void> {
    this.#due = this.#dirty;
    this.#dirty = new Set();
    for (const file of this.#due) await file.sync();
    this.#due.clear();
    this.#timer = undefined;
    if (this.#dirty.size > 0 && !this.#closed) this.#arm();
  }
}
