import type { Journal } from '../../storage/journal/journal.ts';
import type { Quarantine } from '../../storage/journal/quarantine.ts';
import type { Records, RecordsListener } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import { reasonOf, storageFailure } from '../../storage/storage-failure.ts';
import { type HttpfstreamError, StorageFullError } from '../../wire/errors.ts';
import type { JournalHeader } from './file-entry.ts';

/** Quiet time after which what is remembered of streams is brought up to date, … */
const IDLE_MS = 1000;

/** … and longest time for which one is behind. */
const MAX_AGE_MS = 10_000;

/** How large the journal becomes before that, … */
const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/** How many streams are brought up to date at a time: what is remembered of them goes to the disk together. */
const PARALLEL = 32;

/** How often in a row a stream may fail to be brought up to date before it is put in quarantine. */
const MAX_TRIES = 3;

/** How many streams are in quarantine at most: if more fail, it is not because of them. */
export const MAX_QUARANTINED = 64;

/** How much the journal holds at most, if it cannot be shortened. */
export const MAX_HELD_BYTES = 256 * 1024 * 1024;

/**
 * Something of which the journal has more than the disk is sure to have elsewhere: a stream, or the file of a
 * session.
 */
export interface Checkpointed {
  /** Of its file. */
  readonly fingerprint: string;
  /** Path of the file below the root. */
  readonly location: string;
  /** Whether it was deleted, so that what the journal has of it is not needed any more. */
  readonly isGone: boolean;
  /** Whether the disk has lost what was written, and only the journal is sure to have it. */
  readonly isLost: boolean;
  /** Whether a session appends to it, which has its file open as long as it lasts, and not because it is behind. */
  readonly isClaimed: boolean;
  /** Makes safe elsewhere all that the journal has of it by now. */
  checkpoint(): Promise<void>;
  /** Takes no appends until {@link release}: it cannot be brought up to date. Resolves when none is under way. */
  isolate(cause: HttpfstreamError): Promise<void>;
  /** Takes appends again. */
  release(): void;
  /** Called when all that the journal had of it is safe elsewhere. */
  upToDate(): void;
}

/**
 * Brings what is remembered of streams up to date with the journal now and then, so that the journal stays
 * short. A stream of which that fails again and again, because its file cannot be
 * synced for instance, is put in quarantine: what the journal has of it is copied, it
 * takes no appends, and the journal is dropped for all others.
 */
export class Checkpoints implements RecordsListener {
  readonly #journal: Journal<JournalHeader>;
  readonly #records: Records;
  readonly #quarantine: Quarantine<JournalHeader>;
  readonly #report: Report;
  readonly #maxBehind: number;
  /** Whether the journal has more of the records than their store. */
  #areRecordsBehind = false;
  /** Those of which the journal has more than is remembered, … */
  #behind = new Set<Checkpointed>();
  /** … and those whose turn it is. */
  #due = new Set<Checkpointed>();
  /** How often in a row it has failed for a stream. */
  readonly #tries = new Map<Checkpointed, number>();
  /** Those in quarantine. */
  readonly #isolated = new Set<Checkpointed>();
  /** When the first and the last of them came, in terms of `performance.now()`. */
  #firstMs = 0;
  #lastMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** What went wrong with the last run. */
  #failure: HttpfstreamError | undefined;

  /**
   * @param report notified of what cannot be brought up to date
   * @param maxBehind how many streams may be behind before others have to wait: those that are keep their files open.
   *   From half as many on they are brought up to date
   */
  constructor(
    journal: Journal<JournalHeader>,
    records: Records,
    quarantine: Quarantine<JournalHeader>,
    report: Report,
    maxBehind: number,
  ) {
    this.#maxBehind = maxBehind;
    this.#journal = journal;
    this.#records = records;
    this.#quarantine = quarantine;
    this.#report = report;
    records.attach(this);
  }

  /** Notes that the journal has more of a stream than is remembered. */
  add(stream: Checkpointed): void {
    this.#noteTime();
    const isNew = !this.#behind.has(stream);
    this.#behind.add(stream);
    if (this.#isClosed) return;
    const areMany = isNew && this.#keptOpen(this.#behind) >= this.#maxBehind / 2;
    const isDue = areMany || this.#journal.size >= MAX_JOURNAL_BYTES;
    if (isDue) this.#start();
    else this.#arm(IDLE_MS);
  }

  /** Called when the journal has more of the records than their store. */
  recordsAreBehind(): void {
    this.#noteTime();
    this.#areRecordsBehind = true;
    if (this.#isClosed) return;
    if (this.#journal.size >= MAX_JOURNAL_BYTES) this.#start();
    else this.#arm(IDLE_MS);
  }

  /**
   * Resolves when not too many are behind.
   *
   * @throws what keeps them behind
   */
  async waitForCapacity(): Promise<void> {
    while (this.#keptOpen(this.#behind) + this.#keptOpen(this.#due) >= this.#maxBehind && !this.#isClosed) {
      this.#start();
      await this.#running;
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** @throws what keeps the journal from being shortened, when it has become too long */
  assertCapacity(): void {
    if (this.#failure !== undefined && this.#journal.heldSize >= MAX_HELD_BYTES) throw this.#failure;
  }

  /** For how long anything has been behind, in milliseconds; 0 when nothing is. */
  get ageMs(): number {
    const isBehind = this.#areRecordsBehind || this.#behind.size > 0;
    return isBehind ? performance.now() - this.#firstMs : 0;
  }

  /** Whether less of a stream is remembered than the journal has. */
  has(stream: Checkpointed): boolean {
    return this.#behind.has(stream) || this.#due.has(stream) || this.#isolated.has(stream);
  }

  /** Notes that a stream was deleted. */
  forget(stream: Checkpointed): void {
    this.#behind.delete(stream);
    this.#due.delete(stream);
    this.#tries.delete(stream);
    this.#isolated.delete(stream);
  }

  /** Brings everything up to date, and empties the journal. What cannot be is left for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running;
    await this.#run();
  }

  #noteTime(): void {
    this.#lastMs = performance.now();
    if (this.#behind.size === 0 && !this.#areRecordsBehind) this.#firstMs = this.#lastMs;
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
      for (const stream of this.#isolated) await this.#tryToRelease(stream);
      const upTo = await this.#journal.rotate();
      this.#areRecordsBehind = false;
      const failed = await this.#bringUpToDate();
      await this.#isolate(failed);
      [failure] = failed.values();
      // What was brought up to date has written most of it already.
      await this.#records.flush();
      if (failure === undefined) await this.#journal.drop(upTo);
    } catch (error) {
      failure = storageFailure(error);
      this.#areRecordsBehind = true;
    }
    // The journal keeps what it has, and the next run tries again.
    if (failure !== undefined && this.#failure === undefined) {
      this.#report('the journal cannot be shortened: what it has cannot be brought up to date', {
        reason: reasonOf(failure),
      });
    }
    this.#failure = failure;
    this.#running = undefined;
    const isDone =
      this.#behind.size === 0 && !this.#areRecordsBehind && [...this.#isolated].every(({ isLost }) => isLost);
    if (!isDone && !this.#isClosed) this.#arm(IDLE_MS);
  }

  /** Returns those for which that failed, and what went wrong. */
  async #bringUpToDate(): Promise<Map<Checkpointed, HttpfstreamError>> {
    const failed = new Map<Checkpointed, HttpfstreamError>();
    this.#due = this.#behind;
    this.#behind = new Set();
    const streams = [...this.#due].values();
    const bringAll = async () => {
      for (const stream of streams) {
        if (!this.#due.has(stream)) continue;
        const failure = await stream.checkpoint().then(() => undefined, storageFailure);
        this.#due.delete(stream);
        if (failure === undefined) {
          this.#tries.delete(stream);
          stream.upToDate();
        } else if (!stream.isGone) {
          this.#behind.add(stream);
          failed.set(stream, failure);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, bringAll));
    return failed;
  }

  /** Puts those in quarantine that have failed too often; they are taken out of `failed`. */
  async #isolate(failed: Map<Checkpointed, HttpfstreamError>): Promise<void> {
    for (const [stream, failure] of failed) {
      // On a full disk the journal does not grow either.
      const isTry = !(failure instanceof StorageFullError);
      if (isTry) this.#tries.set(stream, (this.#tries.get(stream) ?? 0) + 1);
    }
    const isHopeless = (stream: Checkpointed) => stream.isLost || (this.#tries.get(stream) ?? 0) >= MAX_TRIES;
    const hopeless = [...failed].filter(([stream]) => isHopeless(stream));
    if (hopeless.length === 0 || this.#isolated.size + hopeless.length > MAX_QUARANTINED) return;
    try {
      for (const [stream, failure] of hopeless) await stream.isolate(failure);
      // Only now: nothing more of them comes into the journal.
      const upTo = await this.#journal.rotate();
      const files = new Set(hopeless.map(([{ fingerprint }]) => fingerprint));
      await this.#quarantine.add(files, this.#journal.entries(upTo));
    } catch (error) {
      for (const [stream] of hopeless) stream.release();
      throw error;
    }
    for (const [stream, failure] of hopeless) {
      this.forget(stream);
      failed.delete(stream);
      this.#isolated.add(stream);
      this.#report(
        'a stream cannot be brought up to date: it takes no appends until it can, or after a restart',
        {
          path: stream.location,
          reason: reasonOf(failure),
        },
      );
    }
  }

  async #tryToRelease(stream: Checkpointed): Promise<void> {
    if (stream.isLost) return;
    try {
      await stream.checkpoint();
      await this.#quarantine.remove(stream.fingerprint);
    } catch {
      return;
    }
    this.#isolated.delete(stream);
    stream.release();
    stream.upToDate();
    this.#report('a stream is up to date, and takes appends again', { path: stream.location });
  }

  /** How many have their files open because they are behind. */
  #keptOpen(behind: ReadonlySet<Checkpointed>): number {
    // Counting takes the longer the more there are.
    if (behind.size < this.#maxBehind / 2) return behind.size;
    let count = 0;
    for (const { isClaimed } of behind) if (!isClaimed) count++;
    return count;
  }
}
