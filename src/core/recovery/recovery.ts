import type { JournalEntry } from '../../storage/journal/entry.ts';
import type { Journal, Replay } from '../../storage/journal/journal.ts';
import type { Quarantine } from '../../storage/journal/quarantine.ts';
import type { DamageListener } from '../../storage/journal/segments.ts';
import { copyAside } from '../../storage/records/aside.ts';
import { nameIn } from '../../storage/records/record-keys.ts';
import type { Records, RecordsEntry } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import { reasonOf, storageFailure } from '../../storage/storage-failure.ts';
import { type HttpfstreamError, StorageBusyError, StorageFullError } from '../../wire/errors.ts';
import type { Finder } from '../file-finder.ts';
import { MAX_QUARANTINED } from '../log/checkpoints.ts';
import type { FileEntry, JournalHeader } from '../log/file-entry.ts';
import type { Syncer } from '../log/syncer.ts';
import type { StreamStore } from '../streams/stream-store.ts';
import type { CopiedRoot } from './copied-root.ts';
import { StreamRepair } from './stream-repair.ts';

/** How many entries are replayed at a time. */
const PARALLEL = 32;

/** How many files are kept open for the next entry. */
const MAX_OPEN = 128;

/** Time between two reports of how far it is. */
const PROGRESS_MS = 1000;

/** What a root is recovered with. */
export interface RecoveryOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  journal: Journal<JournalHeader>;
  quarantine: Quarantine<JournalHeader>;
  syncer: Syncer;
  finder: Finder;
  /** Notified of what could not be replayed. */
  report: Report;
  /** Called every second with how far it is. */
  progress: Report;
}

/**
 * Replays what the journal has and files or their records do not, after a server that
 * was killed, and empties the journal. There is no time limit. The journal is
 * read twice, as a stream: memory is for what streams become, not for their bytes.
 * Until all is safe nothing is removed, so that after a failure it can be run again.
 */
export class Recovery {
  readonly #options: RecoveryOptions;
  #copied: CopiedRoot | undefined;
  #replay: Replay<JournalHeader> | undefined;
  /** Names in the keys of records that were changed: fingerprints of files, mostly. */
  readonly #changed = new Set<string>();
  readonly #streams = new Map<string, StreamRepair>();
  /** Those whose files are open, the ones used last at the end. */
  readonly #open = new Set<StreamRepair>();
  /** Entries that are being replayed. */
  readonly #underWay = new Set<Promise<void>>();
  /** The journals that are damaged, and from which position on. */
  readonly #damaged = new Map<string, number>();
  #step = 'looking at the journal';
  #doneCount = 0;
  #bytes = 0;
  #totalBytes = 0;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Makes the changes of records that the journal has. To be called first: what changes records after it builds on
   * them.
   *
   * @throws what the disk does
   */
  async replayRecords(): Promise<void> {
    const { journal, records } = this.#options;
    this.#replay = await journal.replay();
    // Read for this, to be announced, and to be replayed.
    this.#totalBytes = 3 * this.#replay.size;
    for await (const { header } of this.#replay.entries((bytes) => this.#haveRead(bytes))) {
      if (!isOfRecords(header)) continue;
      await records.replay(header);
      for (const [key] of header.records) this.#changed.add(nameIn(key));
    }
    await records.flush();
  }

  /**
   * @param copied where the files are, if the root was copied
   * @returns how many files the journal was about
   * @throws what keeps streams from being brought up to date, if it is more than some files
   */
  async run(copied?: CopiedRoot): Promise<number> {
    this.#copied = copied;
    const timer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
    try {
      return await this.#run();
    } catch (error) {
      throw storageFailure(error);
    } finally {
      clearInterval(timer);
      await Promise.all(this.#underWay);
      for (const stream of this.#streams.values()) await stream.close();
    }
  }

  async #run(): Promise<number> {
    const { journal, quarantine } = this.#options;
    await quarantine.load();
    const damaged = (name: string, position: number) => void this.#damaged.set(name, position);
    for await (const { header } of this.#entries(damaged)) {
      if (!isOfRecords(header)) this.#streamOf(header).announce(header);
    }
    for (const { fingerprint, path, isDeleted } of this.#streams.values()) {
      if (isDeleted) this.#copied?.withdraw(fingerprint);
      else this.#copied?.claim(fingerprint, path);
    }
    await this.#keepDamaged();
    this.#step = 'bringing streams up to date';
    for await (const { header, payload } of this.#entries()) {
      if (!isOfRecords(header)) await this.#make({ header, payload });
    }
    await Promise.all(this.#underWay);
    // Before the journal is gone, which alone shows that.
    for (const { fingerprint, differs } of this.#streams.values()) {
      if (differs) await this.#copied?.distrust(fingerprint);
    }
    this.#step = 'emptying the journal';
    const isSpare = await this.#isolateFailed();
    for (const file of quarantine.files) if (!this.#hasFailed(file)) await quarantine.remove(file);
    if (isSpare) await journal.dropReplayed();
    // The others go on: what it has of them must not come back at the next start.
    else await journal.annulReplayed(({ file }) => !this.#hasFailed(file));
    return new Set([...this.#changed, ...this.#streams.keys()]).size;
  }

  /** What is in quarantine was journaled before everything else of its file. */
  async *#entries(damaged?: DamageListener): AsyncGenerator<JournalEntry<JournalHeader>, void, undefined> {
    yield* this.#options.quarantine.all(damaged);
    yield* (this.#replay as Replay<JournalHeader>).entries((bytes) => this.#haveRead(bytes), damaged);
  }

  #haveRead(bytes: number): void {
    this.#bytes += bytes;
  }

  #streamOf({ file, path }: FileEntry): StreamRepair {
    const finder = this.#copied ?? this.#options.finder;
    const stream = this.#streams.get(file) ?? new StreamRepair(file, path, { ...this.#options, finder });
    this.#streams.set(file, stream);
    return stream;
  }

  /** Begins to replay an entry; many streams are under way at a time. */
  async #make(entry: JournalEntry<FileEntry>): Promise<void> {
    if (this.#underWay.size >= PARALLEL) await Promise.race(this.#underWay);
    const stream = this.#streamOf(entry.header);
    const made = stream.make(entry).then((isLast) => {
      this.#underWay.delete(made);
      this.#open.delete(stream);
      if (isLast) this.#doneCount++;
      else this.#keepOpen(stream);
    });
    this.#underWay.add(made);
  }

  #keepOpen(stream: StreamRepair): void {
    this.#open.add(stream);
    if (this.#open.size <= MAX_OPEN) return;
    const longest = this.#open.values().next().value as StreamRepair;
    this.#open.delete(longest);
    void longest.rest();
  }

  /**
   * The others are not to wait for a few that cannot be brought up to date.
   *
   * @returns whether the journal is not needed for them any more
   */
  async #isolateFailed(): Promise<boolean> {
    const { quarantine } = this.#options;
    const failed = [...this.#streams.values()].filter(({ failure }) => failure !== undefined);
    if (failed.length === 0) return true;
    const others = failed.filter(({ failure }) => !(failure instanceof StorageFullError));
    const general =
      others.find(({ failure }) => failure instanceof StorageBusyError) ?? others[MAX_QUARANTINED];
    if (general !== undefined) throw general.failure;
    // A disk that is full has no room for copies of what they lack.
    if (others.length < failed.length) return this.#keepJournalFor(failed);
    try {
      const entries = (this.#replay as Replay<JournalHeader>).entries(ignore);
      await quarantine.add(new Set(failed.map(({ fingerprint }) => fingerprint)), entries);
    } catch (error) {
      if (error instanceof StorageFullError) return this.#keepJournalFor(failed);
      throw error;
    }
    for (const stream of failed) this.#reportFailed(stream);
    return true;
  }

  /** Keeps the journal for them, so that all else goes on. */
  #keepJournalFor(failed: readonly StreamRepair[]): false {
    for (const stream of failed) {
      this.#options.quarantine.addWithoutJournal(stream.fingerprint, stream.failure as HttpfstreamError);
      this.#reportFailed(stream);
    }
    return false;
  }

  #reportFailed({ path, failure }: StreamRepair): void {
    const message =
      'a stream cannot be brought up to date: it takes no appends until it can, at a later start';
    this.#options.report(message, { path, reason: reasonOf(failure) });
  }

  /** Keeps the journals that are damaged for operators: they go when they were replayed, as far as that can be done. */
  async #keepDamaged(): Promise<void> {
    const { root, report } = this.#options;
    for (const [name, position] of this.#damaged) {
      const kept = await copyAside(root, name).then(
        (aside) => ({ aside }),
        (error) => ({ reason: reasonOf(error) }),
      );
      const message =
        'a journal is damaged: what it has from this position on, and files do not have, is lost';
      report(message, { path: name, position, ...kept });
    }
  }

  #hasFailed(file: string): boolean {
    return this.#streams.get(file)?.failure !== undefined;
  }

  #reportProgress(): void {
    this.#options.progress(`the server before this one was killed: ${this.#step}`, {
      streams: this.#doneCount,
      ofStreams: this.#streams.size,
      bytes: this.#bytes,
      ofBytes: this.#totalBytes,
    });
  }
}

function isOfRecords(header: JournalHeader): header is RecordsEntry {
  return 'records' in header;
}

function ignore(): void {}
