import type { SyncNumbers } from '../../storage/journal/journal.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import { Slots } from '../slots.ts';

/**
 * How many syncs may be under way in the threads that Node has for files, which
 * are four: a disk that is slow to sync must not keep them all from reading and writing.
 */
const MAX_SYNCS = 2;

/** How many syncs may wait for their turn before what would bring more has to wait. */
const MAX_WAITING = 64;

/** How much longer the rest after a round of syncs is than the round, … */
const REST_SHARE = 9;

/** … up to this, in milliseconds. */
const MAX_REST_MS = 10_000;

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
  readonly #numbers: SyncNumbers | undefined;
  /** Written since their last turn. */
  #dirty = new Set<Syncable>();
  /** Those whose turn it is. */
  #due = new Set<Syncable>();
  readonly #slots = new Slots(MAX_SYNCS);
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param intervalMs time between two rounds of syncs; longer after a round that took long, see {@link restMs}
   * @param numbers where syncs are counted. Default: nowhere
   */
  constructor(intervalMs: number, numbers?: SyncNumbers) {
    this.#intervalMs = intervalMs;
    this.#numbers = numbers;
  }

  /** Makes what was written to a file survive a loss of power, at once. */
  sync(file: AppendFile): Promise<void> {
    return this.#slots.run(() => this.timed(file));
  }

  /** Syncs a file at once, and counts how long it took. */
  async timed(file: AppendFile): Promise<void> {
    const sinceMs = performance.now();
    await file.sync();
    this.#numbers?.observe(performance.now() - sinceMs);
  }

  /** Runs an action that waits for the disk, when not too many others do; what it returns or throws is passed on. */
  run<T>(action: () => Promise<T>): Promise<T> {
    return this.#slots.run(action);
  }

  /** Resolves when not too many syncs wait for their turn. */
  async waitForCapacity(): Promise<void> {
    while (this.#slots.waiting >= MAX_WAITING) await this.#slots.run(async () => {});
  }

  /** Notes that `file` was written. */
  touch(file: Syncable): void {
    this.#dirty.add(file);
    if (this.#timer === undefined && !this.#closed) this.#arm(this.#intervalMs);
  }

  /** Notes that `file` takes care of itself from now on. */
  forget(file: Syncable): void {
    this.#dirty.delete(file);
    this.#due.delete(file);
  }

  /** Stops for good, when nothing is to be synced any more. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#syncAll(), delayMs).unref();
  }

  async #syncAll(): Promise<void> {
    const startMs = performance.now();
    this.#due = this.#dirty;
    this.#dirty = new Set();
    for (const file of this.#due) await file.sync();
    this.#due.clear();
    this.#timer = undefined;
    if (this.#dirty.size === 0 || this.#closed) return;
    this.#arm(Math.max(this.#intervalMs, restMs(performance.now() - startMs)));
  }
}

/**
 * How long to rest after a round of syncs: nine times as long as it took, so that thousands of files cost a tenth of
 * the time, but no longer than ten seconds, unless the disk is so slow that it has half of its time for others only
 * then.
 */
function restMs(roundMs: number): number {
  return Math.max(roundMs, Math.min(REST_SHARE * roundMs, MAX_REST_MS));
}
