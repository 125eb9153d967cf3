import type { FileStat } from '../../storage/file-io.ts';
import type { ExpiringStream, ExpiryIndex } from '../../storage/records/expiry-index.ts';
import type { Report } from '../../storage/report.ts';
import { PathConflictError, ResourceNotFoundError, StreamGoneError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { expiryMs } from './stream-expiry.ts';
import type { StreamLifecycle } from './stream-lifecycle.ts';
import type { StreamStore } from './stream-store.ts';

/** How many streams are looked at in one sweep. */
const MAX_LOOKS = 10_000;

/** Deletes the streams that have outlived their time and that nobody asks for: a part of all at a time. */
export class ExpirySweep {
  readonly #index: ExpiryIndex;
  readonly #streams: StreamLifecycle;
  readonly #store: StreamStore;
  readonly #report: Report;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** @param intervalMs time between two sweeps */
  constructor(
    index: ExpiryIndex,
    streams: StreamLifecycle,
    store: StreamStore,
    report: Report,
    intervalMs: number,
  ) {
    this.#index = index;
    this.#streams = streams;
    this.#store = store;
    this.#report = report;
    this.#intervalMs = intervalMs;
  }

  /** Sweeps from now on. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#running ??= this.#sweep();
    }, this.#intervalMs).unref();
  }

  /** Sweeps no more. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#running;
    await this.#index.close().catch(() => undefined);
  }

  /** Never rejects. */
  async #sweep(): Promise<void> {
    try {
      for (const stream of await this.#index.next(MAX_LOOKS)) {
        if (this.#isClosed) break;
        await this.#expire(stream);
      }
    } catch (error) {
      this.#report('streams that have outlived their time could not be looked for', {
        reason: String(error),
      });
    }
    this.#running = undefined;
  }

  async #expire({ fingerprint, path }: ExpiringStream): Promise<void> {
    try {
      // Which deletes it if its time has come.
      const file = await this.#streams.open(ResourcePath.parse(path));
      await file.close();
      const isThere = file.stat.fingerprint === fingerprint;
      const endMs = isThere ? await this.#endMs(file.stat) : undefined;
      if (endMs === undefined) await this.#index.remove(fingerprint);
      else await this.#index.postpone(fingerprint, endMs);
    } catch (error) {
      if (isElsewhere(error)) await this.#index.remove(fingerprint);
      else this.#report('a stream could not be looked at to delete it', { path, reason: String(error) });
    }
  }

  async #endMs(stat: FileStat): Promise<number | undefined> {
    const { state, accessedMs } = await this.#store.read(stat);
    return expiryMs(state, accessedMs);
  }
}

function isElsewhere(error: unknown): boolean {
  return (
    error instanceof ResourceNotFoundError ||
    error instanceof StreamGoneError ||
    error instanceof PathConflictError
  );
}
