import type { FileState } from './file-io.ts';
import type { AppendFile } from './stored-file.ts';
import { IN_LINE_BYTES } from './stored-file.ts';

/** Bytes that are written in line in one turn at most, whoever writes them; … */
const TURN_BYTES = 2 * 1024 * 1024;

/** … so many at least are counted for each write, which takes time, too. */
const MIN_WRITE_BYTES = 1024;

/** How long the writes of one turn may take together before everybody else has a turn. */
const TURN_MS = 10;

/** A write in line that takes longer than this says that the disk is slow: … */
const SLOW_MS = 10;

/**
 * … nothing is written in line for so long, or for so long after a thread was held up as much, and for twice that if
 * it is slow again soon after, …
 */
const SLOW_FOR_MS = 1000;

/** … up to this: then it is tried again. */
const MAX_SLOW_FOR_MS = 60_000;

/** Who writes at the end of a turn. */
export interface TurnWriter {
  /** Called once for each {@link WriteTurns.schedule}, at the end of the turn of the event loop. Must not throw. */
  flush(): void;
}

/**
 * When, and by whom, files are written: what comes in one turn of the event loop is written in line at its end, which
 * costs less than any trip to a thread. Much at once goes by Node's threads, and so does everything for a while once
 * the disk was slow: the event loop must not wait for it.
 */
export class WriteTurns {
  /** In order; those that come while the others write have their turn, too. */
  readonly #due = new Set<TurnWriter>();
  #isScheduled = false;
  /** Bytes that were written in line in this turn. */
  #turnBytes = 0;
  /** When it was slow in line the last time. */
  #slowSinceMs = 0;
  #slowUntilMs = 0;
  #slowForMs = SLOW_FOR_MS;

  /**
   * Lets `writer` write at the end of this turn; of the next one, or later in this one, when it is at an end already.
   */
  schedule(writer: TurnWriter): void {
    this.#due.add(writer);
    this.#arm();
  }

  /** Whether so many bytes are to be written in line. */
  isInLine(bytes: number): boolean {
    const areMany = bytes > IN_LINE_BYTES || this.#turnBytes + bytes > TURN_BYTES;
    return !areMany && performance.now() >= this.#slowUntilMs;
  }

  /**
   * Runs what waits for the disk in line, and finds out how slow that is.
   *
   * @throws what `action` throws
   */
  inLine<T>(action: () => T): T {
    const startMs = performance.now();
    try {
      return action();
    } finally {
      const endMs = performance.now();
      if (endMs - startMs > SLOW_MS) this.#slowDown(endMs);
    }
  }

  /**
   * Runs what is not to be run in line; while the disk is slow, finds out whether it still is.
   *
   * @throws what `action` throws
   */
  async byThread<T>(action: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    try {
      return await action();
    } finally {
      const endMs = performance.now();
      const isSlow = endMs - startMs > SLOW_MS && startMs < this.#slowUntilMs;
      if (isSlow) {
        const latestMs = this.#slowSinceMs + MAX_SLOW_FOR_MS;
        this.#slowUntilMs = Math.max(this.#slowUntilMs, Math.min(endMs + SLOW_FOR_MS, latestMs));
      }
    }
  }

  /**
   * Writes at the end of a file, in line.
   *
   * @returns what the file is like then
   * @throws what the disk does; some of it may be written
   */
  write(file: AppendFile, parts: readonly Buffer[]): FileState {
    if (this.#turnBytes === 0) {
      setImmediate(() => {
        this.#turnBytes = 0;
      });
    }
    let bytes = 0;
    for (const { length } of parts) bytes += length;
    this.#turnBytes += Math.max(bytes, MIN_WRITE_BYTES);
    return this.inLine(() => file.writeInLine(parts));
  }

  #arm(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const startMs = performance.now();
    for (const writer of this.#due) {
      this.#due.delete(writer);
      writer.flush();
      if (this.#due.size > 0 && performance.now() - startMs > TURN_MS) {
        this.#arm();
        return;
      }
    }
  }

  #slowDown(nowMs: number): void {
    const isAgain = nowMs < this.#slowUntilMs + this.#slowForMs;
    this.#slowForMs = isAgain ? Math.min(2 * this.#slowForMs, MAX_SLOW_FOR_MS) : SLOW_FOR_MS;
    this.#slowSinceMs = nowMs;
    this.#slowUntilMs = nowMs + this.#slowForMs;
  }
}
