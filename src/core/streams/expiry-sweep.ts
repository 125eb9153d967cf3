import type { FileStat } from '../../storage/file-io.ts';
import { isDamaged } from '../../storage/records/file-record.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import { type DueFile, NOT_DURABLE, type Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import { reasonOf } from '../../storage/storage-failure.ts';
import { PathConflictError, ResourceNotFoundError, StreamGoneError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { Permit } from '../permit.ts';
import type { Resources } from '../resources.ts';
import { expiryMs } from './stream-expiry.ts';
import type { StreamStore } from './stream-store.ts';

/** How many streams are looked at in one sweep. */
const MAX_LOOKS = 10_000;

/** Time after which one is looked at again that could not be looked at, or that somebody uses. */
const RETRY_MS = 60_000;

/**
 * How many sweeps in a row must miss a file before nobody looks for it any more: it may have been renamed for a
 * moment.
 */
const MAX_MISSES = 3;

/** Deletes the streams that have expired and that nobody asks for. */
export class ExpirySweep {
  readonly #records: Records;
  readonly #resources: Resources;
  readonly #store: StreamStore;
  readonly #report: Report;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** How often in a row each file was not where it was, of those that the last sweep has missed. */
  #misses: ReadonlyMap<string, number> = new Map();

  /** @param intervalMs time between two sweeps */
  constructor(
    records: Records,
    resources: Resources,
    store: StreamStore,
    report: Report,
    intervalMs: number,
  ) {
    this.#records = records;
    this.#resources = resources;
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
    const misses = new Map<string, number>();
    try {
      for (const stream of await this.#records.due(Date.now(), MAX_LOOKS)) {
        if (this.#isClosed) break;
        if (!(await this.#expire(stream))) await this.#miss(stream, misses);
      }
    } catch (error) {
      this.#report('expired streams could not be looked for', { reason: reasonOf(error) });
    }
    this.#misses = misses;
    this.#running = undefined;
  }

  /** @returns whether it was there, or may have been */
  async #expire({ fingerprint, path }: DueFile): Promise<boolean> {
    try {
      // Which deletes it if it has expired.
      const file = await this.#resources.open(Permit.own(ResourcePath.parse(path)));
      await file.close();
      if (file.stat.fingerprint !== fingerprint) return false;
      await this.#look(fingerprint, await this.#endMs(file.stat));
    } catch (error) {
      if (isElsewhere(error)) return false;
      this.#report('a stream could not be looked at to delete it', { path, reason: reasonOf(error) });
      await this.#look(fingerprint, Date.now() + RETRY_MS);
    }
    return true;
  }

  /** Whoever asks for one that was moved for good finds that it has expired. */
  async #miss({ fingerprint }: DueFile, misses: Map<string, number>): Promise<void> {
    const count = (this.#misses.get(fingerprint) ?? 0) + 1;
    // Of one whose deletion may not survive a loss of power all is kept.
    if (count < MAX_MISSES || this.#records.isBeingRemoved(fingerprint)) misses.set(fingerprint, count);
    else await this.#look(fingerprint, undefined);
  }

  /** @param atMs when somebody has to look again; undefined is never */
  #look(fingerprint: string, atMs: number | undefined): Promise<void> {
    const change = (draft: RecordDraft) => {
      const before = draft.get(fingerprint);
      if (before === undefined || isDamaged(before)) return;
      const { dueMs: _, ...record } = before;
      draft.set(fingerprint, { ...record, ...(atMs !== undefined && { dueMs: atMs }) });
    };
    return this.#records.write(change, NOT_DURABLE);
  }

  async #endMs(stat: FileStat): Promise<number | undefined> {
    const { state, accessedMs } = await this.#store.read(stat);
    const endMs = expiryMs(state, accessedMs);
    // One that somebody reads stays: it must not be the first of those that are due for as long as that lasts.
    return endMs !== undefined && endMs <= Date.now() ? Date.now() + RETRY_MS : endMs;
  }
}

function isElsewhere(error: unknown): boolean {
  return (
    error instanceof ResourceNotFoundError ||
    error instanceof StreamGoneError ||
    error instanceof PathConflictError
  );
}
