import type { Journal } from '../../storage/journal/journal.ts';
import type { Quarantine } from '../../storage/journal/quarantine.ts';
import { setAside } from '../../storage/records/aside.ts';
import type { Records } from '../../storage/records/records.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import type { AppendFile, StoredFile } from '../../storage/stored-file.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import { ResourceGoneError, ResourceNotFoundError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ResourceRoom } from '../limits/room.ts';
import type { Numbers } from '../numbers.ts';
import type { AppendHistory } from '../sessions/append-history.ts';
import type { StreamStore } from '../streams/stream-store.ts';
import { type Checkpointed, Checkpoints } from './checkpoints.ts';
import type { JournalHeader } from './file-entry.ts';
import type { FileSync } from './file-sync.ts';
import type { Syncer } from './syncer.ts';

/**
 * When bytes count as safe: once the system has them (`os`: they survive a
 * crash of this process), or once the disk has (`disk`: and a loss of power).
 */
export type Durability = 'os' | 'disk';

/** A resource, as its log sees it. */
export interface LogTarget extends Checkpointed {
  /** How much may be appended. */
  readonly room: ResourceRoom;
  /** Whether what was written to its file is safe there. */
  readonly sync: FileSync;
  /** The position below which bytes are in the file and count. */
  readonly committed: number;
  /**
   * Called when `parts` are in the file at `start`, and count.
   *
   * @param merged those of the parts that are several short messages. Default: none
   */
  applied(start: number, parts: readonly Buffer[], merged?: ReadonlySet<Buffer>): void;
  /** Called when there is more to be seen by readers, bytes or not. */
  changed(): void;
  /** Called when its file is not where it was seen last. It may be somewhere else. */
  misplaced(): void;
}

/** What a {@link LocalLog} is made of. */
export interface LocalLogOptions {
  journal: Journal<JournalHeader>;
  records: Records;
  root: Root;
  store: StreamStore;
  quarantine: Quarantine<JournalHeader>;
  /** How the last session of each file has ended. */
  history: AppendHistory;
  turns: WriteTurns;
  syncer: Syncer;
  durability: Durability;
  report: Report;
  numbers: Numbers;
  /** How many streams may be behind; see {@link Checkpoints}. */
  maxOpenStreams: number;
}

/**
 * Where bytes become true: files on this machine's disk, and the journal, shared by all of them, of what a crash
 * must not lose and they do not say.
 */
export class LocalLog {
  readonly journal: Journal<JournalHeader>;
  readonly checkpoints: Checkpoints;
  readonly turns: WriteTurns;
  readonly syncer: Syncer;
  readonly durability: Durability;
  readonly numbers: Numbers;
  readonly #root: Root;
  readonly #store: StreamStore;
  readonly #history: AppendHistory;
  readonly #report: Report;
  #sessions = 0;

  constructor(options: LocalLogOptions) {
    const { root, store, journal, records, quarantine, history, turns, syncer, durability, report, numbers } =
      options;
    this.journal = journal;
    this.checkpoints = new Checkpoints(journal, records, quarantine, report, options.maxOpenStreams);
    this.turns = turns;
    this.syncer = syncer;
    this.durability = durability;
    this.numbers = numbers;
    this.#root = root;
    this.#store = store;
    this.#history = history;
    this.#report = report;
  }

  /**
   * Opens the file of a resource for single appends. Of one that was written behind the stream's back
   * what belongs to it stays.
   *
   * @param known what is known of the stream
   * @returns the file, and how much of it belongs to the stream
   * @throws {ResourceGoneError} when another file is where it was
   * @throws {ResourceNotFoundError} when nothing is
   * @throws what {@link AppendHistory.settle} throws
   */
  async open(target: LogTarget, known: StreamState): Promise<{ file: AppendFile; size: number }> {
    const file = await this.#openWhereSeen(target);
    try {
      const stat = await file.look();
      await this.#history.settle(file, stat.size);
      const { state } = await this.#store.read(stat);
      const owned = Math.max(Math.min(known.size, stat.size), state.size);
      if (owned < stat.size) {
        const aside = await setAside(this.#root, file, owned);
        const detail = { path: target.location, position: owned, aside };
        this.#report('bytes of which no producer knows were set aside', detail);
      }
      return { file, size: owned };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** As {@link AppendHistory.outcome}. */
  outcome(file: StoredFile, state: StreamState): Promise<Outcome> {
    return this.#history.outcome(file, state);
  }

  /** Numbers a session: the later one has the higher number. */
  nextSession(): number {
    return ++this.#sessions;
  }

  /** Replaces what is remembered of the stream of a resource. */
  save(target: LogTarget, state: StreamState): Promise<void> {
    return this.#store.save(target.fingerprint, target.location, state, () => target.isGone);
  }

  /** Remembers the content type that an append has given the file of a resource, or that it has none. */
  saveFileType(target: LogTarget, fileType: string | undefined): Promise<void> {
    return this.#store.saveFileType(target.fingerprint, target.location, fileType, () => target.isGone);
  }

  async #openWhereSeen(target: LogTarget): Promise<AppendFile> {
    try {
      const file = await this.#root.openAppendAt(target.location);
      if (file.stat.fingerprint === target.fingerprint) return file;
      await file.close();
      throw new ResourceGoneError('the file was made anew');
    } catch (error) {
      if (error instanceof ResourceGoneError || error instanceof ResourceNotFoundError) target.misplaced();
      throw error;
    }
  }
}
