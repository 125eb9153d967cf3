import type { FileStat } from '../../storage/file-io.ts';
import { isDamaged } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { DueFile, Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import { PathConflictError, ResourceNotFoundError, StreamGoneError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { expiryMs } from './stream-expiry.ts';
import type { StreamLifecycle } from './stream-lifecycle.ts';
import type { StreamStore } from './stream-store.ts';

/** How many streams are looked at in one sweep. */
const MAX_LOOKS = 10_000;

/** Time after which one is looked at again that could not be looked at. */
const RETRY_MS = 60_000;

/** Deletes the streams that have outlived their time and that nobody asks for. */
export class ExpirySweep {
  readonly #records: Records;
  readonly #streams: StreamLifecycle;
  readonly #store: StreamStore;
  readonly #report: Report;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** @param intervalMs time between two sweeps */
  constructor(
    records: Records,
    streams: StreamLifecycle,
    store: StreamStore,
    report: Report,
    intervalMs: number,
  ) {
    this.#records = records;
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
  }

  /** Never rejects. */
  async #sweep(): Promise<void> {
    try {
      for (const stream of await this.#records.due(Date.now(), MAX_LOOKS)) {
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

  async #expire({ fingerprint, path }: DueFile): Promise<void> {
    try {
      // Which deletes it if its time has come.
      const file = await this.#streams.open(ResourcePath.parse(path));
      await file.close();
      const isThere = file.stat.fingerprint === fingerprint;
      await this.#look(fingerprint, isThere ? await this.#endMs(file.stat) : undefined);
    } catch (error) {
      if (!isElsewhere(error)) {
        this.#report('a stream could not be looked at to delete it', { path, reason: String(error) });
      }
      // Whoever asks for one that was moved finds that it has expired.
      await this.#look(fingerprint, isElsewhere(error) ? undefined : Date.now() + RETRY_MS);
    }
  }

  /** @param atMs when somebody has to look again; undefined is never */
  #look(fingerprint: string, atMs: number | undefined): Promise<void> {
    const change = (draft: RecordDraft) => {
      const before = draft.get(fingerprint);
      if (before === undefined || isDamaged(before)) return;
      const { dueMs: _, ...record } = before;
      draft.set(fingerprint, { ...record, ...(atMs !== undefined && { dueMs: atMs }) });
    };
    return this.#records.write(change, { durable: false });
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
