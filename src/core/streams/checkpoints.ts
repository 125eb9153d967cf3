import type { RedoLog } from '../../storage/redo-log.ts';
import type { Stream } from './stream.ts';
import type { StreamRecord } from './stream-record.ts';

/** Longest time for which a stream's sidecar is behind the log. */
const INTERVAL_MS = 1000;

/** How large the log becomes before that, … */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** … and how many streams it is about: what a start after a crash has to put right. */
const MAX_STREAMS = 1000;

/** How many streams are brought up to date at a time. */
const PARALLEL = 4;

/** Brings sidecars up to date with the log now and then, so that the log stays short. */
export class Checkpoints {
  readonly #log: RedoLog<StreamRecord>;
  readonly #done: (stream: Stream) => void;
  /** Those of which the log has more than the sidecar, … */
  #behind = new Set<Stream>();
  /** … and those whose turn it is. */
  #due = new Set<Stream>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** @param done called when a stream's sidecar has all that the log had */
  constructor(log: RedoLog<StreamRecord>, done: (stream: Stream) => void) {
    this.#log = log;
    this.#done = done;
  }

  /** Tells that the log has more of a stream than its sidecar. */
  add(stream: Stream): void {
    this.#behind.add(stream);
    if (this.#isClosed) return;
    const isDue = this.#behind.size >= MAX_STREAMS || this.#log.size >= MAX_LOG_BYTES;
    if (isDue) this.#start();
    else this.#arm();
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

  /** Never rejects. */
  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let isWhole = true;
    try {
      const upTo = await this.#log.rotate();
      this.#due = this.#behind;
      this.#behind = new Set();
      const streams = this.#due.values();
      const bringUpToDate = async () => {
        for (const stream of streams) isWhole = (await this.#checkpoint(stream)) && isWhole;
      };
      await Promise.all(Array.from({ length: PARALLEL }, bringUpToDate));
      if (isWhole) await this.#log.drop(upTo);
    } catch {
      // The log is as it was, and the next run tries again.
    }
    this.#running = undefined;
    if (this.#behind.size > 0 && !this.#isClosed) this.#arm();
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => this.#start(), INTERVAL_MS).unref();
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #checkpoint(stream: Stream): Promise<boolean> {
    try {
      await stream.checkpoint();
      this.#due.delete(stream);
      this.#done(stream);
      return true;
    } catch {
      this.#due.delete(stream);
      this.#behind.add(stream);
      return stream.isGone;
    }
  }
}
