import type { HttpfstreamError } from '../../errors.ts';
import type { RedoLog } from '../../storage/redo-log.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { Report } from './recovery.ts';
import type { Stream } from './stream.ts';
import type { StreamRecord } from './stream-record.ts';

/** Quiet time after which sidecars are brought up to date, … */
const IDLE_MS = 1000;

/** … and longest time for which one is behind. */
const MAX_AGE_MS = 10_000;

/** How large the log becomes before that, … */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** … and how many streams it is about: what a start after a crash has to put right. */
const MAX_STREAMS = 500;

/** How many streams may be behind before others have to wait: those that are keep their files open. */
const MAX_BEHIND = 1000;

/** How many streams are brought up to date at a time. */
const PARALLEL = 4;

/** Brings sidecars up to date with the log now and then, so that the log stays short. */
export class Checkpoints {
  readonly #log: RedoLog<StreamRecord>;
  readonly #done: (stream: Stream) => void;
  readonly #report: Report;
  /** Those of which the log has more than the sidecar, … */
  #behind = new Set<Stream>();
  /** … and those whose turn it is. */
  #due = new Set<Stream>();
  /** When the first and the last of them came, in terms of `performance.now()`. */
  #firstMs = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** What went wrong with the last run. */
  #failure: HttpfstreamError | undefined;

  /** @param done called when a stream's sidecar has all that the log had */
  constructor(log: RedoLog<StreamRecord>, done: (stream: Stream) => void, report: Report) {
    this.#log = log;
    this.#done = done;
    this.#report = report;
  }

  /** Tells that the log has more of a stream than its sidecar. */
  add(stream: Stream): void {
    this.#lastMs = performance.now();
    if (this.#behind.size === 0) this.#firstMs = this.#lastMs;
    this.#behind.add(stream);
    if (this.#isClosed) return;
    const isDue = this.#behind.size >= MAX_STREAMS || this.#log.size >= MAX_LOG_BYTES;
    if (isDue) this.#start();
    else this.#arm(IDLE_MS);
  }

  /**
   * Resolves when not too many are behind.
   *
   * @throws what keeps them behind
   */
  async room(): Promise<void> {
    while (this.#behind.size + this.#due.size >= MAX_BEHIND && !this.#isClosed) {
      this.#start();
      await this.#running;
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Whether a stream's sidecar is behind. */
  has(stream: Stream): boolean {
    return this.#behind.has(stream) || this.#due.has(stream);
  }

  /** Tells that a stream is no more. */
  forget(stream: Stream): void {
    this.#behind.delete(stream);
    this.#due.delete(stream);
  }

  /** Brings everything up to date, and empties the log. What cannot be is left for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running;
    await this.#run();
  }

  #arm(delayMs: number): void {
    this.#timer ??= setTimeout(() => this.#look(), delayMs).unref();
  }

  /** Starts if it is quiet, or has not been for too long. */
  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    const restMs = Math.min(this.#lastMs + IDLE_MS, this.#firstMs + MAX_AGE_MS) - nowMs;
    if (restMs > 0) this.#arm(restMs);
    else this.#start();
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let failure: HttpfstreamError | undefined;
    try {
      const upTo = await this.#log.rotate();
      this.#due = this.#behind;
      this.#behind = new Set();
      const streams = [...this.#due].values();
      const bringUpToDate = async () => {
        for (const stream of streams) failure = (await this.#checkpoint(stream)) ?? failure;
      };
      await Promise.all(Array.from({ length: PARALLEL }, bringUpToDate));
      if (failure === undefined) await this.#log.drop(upTo);
    } catch (error) {
      failure = storageFailure(error);
    }
    // The log keeps what it has, and the next run tries again.
    if (failure !== undefined && this.#failure === undefined) {
      this.#report('the redo log cannot be shortened: a stream cannot be brought up to date', {
        reason: String(failure.cause ?? failure),
      });
    }
    this.#failure = failure;
    this.#running = undefined;
    if (this.#behind.size > 0 && !this.#isClosed) this.#arm(IDLE_MS);
  }

  /** Returns what went wrong. */
  async #checkpoint(stream: Stream): Promise<HttpfstreamError | undefined> {
    if (!this.#due.has(stream)) return undefined;
    try {
      await stream.checkpoint();
      this.#due.delete(stream);
      this.#done(stream);
      return undefined;
    } catch (error) {
      this.#due.delete(stream);
      if (stream.isGone) return undefined;
      this.#behind.add(stream);
      return storageFailure(error);
    }
  }
}
