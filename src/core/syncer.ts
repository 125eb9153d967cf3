import type { AppendFile } from '../storage/append-file.ts';
import type { SyncThreads } from '../storage/journal/sync-threads.ts';
import { Slots } from './slots.ts';

/**
 * How many syncs may be under way in the threads that Node has for files, which
 * are four: a disk that is slow to sync must not keep them all from reading and writing.
 */
const MAX_SYNCS = 2;

/** Something whose written bytes can be made durable. */
export interface Syncable {
  /** Never rejects: what fails is its own affair. */
  sync(): Promise<void>;
}

/**
 * Makes files durable: recently written ones now and then, with one timer that
 * is armed only while one was written, and one file at a time; others at once.
 */
export class Syncer {
  readonly #intervalMs: number;
  /** Written since their last turn. */
  #dirty = new Set<Syncable>();
  /** Those whose turn it is. */
  #due = new Set<Syncable>();
  readonly #threads: SyncThreads | undefined;
  readonly #slots = new Slots(MAX_SYNCS);
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param intervalMs longest time between a write and the sync that covers it, the disk's own time aside
   * @param threads sync in place of Node's threads, where many wait for it
   */
  constructor(intervalMs: number, threads?: SyncThreads) {
    this.#intervalMs = intervalMs;
    this.#threads = threads;
  }

  /** Makes what was written to a file survive a loss of power, at once. */
  sync(file: AppendFile): Promise<void> {
    const threads = this.#threads;
    if (threads === undefined) return this.#slots.run(() => file.sync());
    return file.sync((fd) => threads.fdatasync(fd));
  }

  /** Runs an action that waits for the disk, when not too many others do; what it returns or throws is passed on. */
  run<T>(action: () => Promise<T>): Promise<T> {
    return this.#slots.run(action);
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

  /** Stops for good, when nothing is to be synced any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#threads?.close();
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
