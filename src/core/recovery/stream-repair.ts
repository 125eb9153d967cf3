import type { JournalEntry } from '../../storage/journal/entry.ts';
import { setAside } from '../../storage/records/aside.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Report } from '../../storage/report.ts';
import type { Root } from '../../storage/root/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { RepairFile } from '../../storage/stored-file.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import type { Finder } from '../file-finder.ts';
import type { FileEntry } from '../log/file-entry.ts';
import type { Syncer } from '../log/syncer.ts';
import type { StreamStore } from '../streams/stream-store.ts';
import { Salvage } from './salvage.ts';
import { StreamReplay } from './stream-replay.ts';

/** What streams are put right with. */
export interface RepairOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  syncer: Syncer;
  finder: Finder;
  report: Report;
}

/** Puts one stream right, with the entries that the journal has of it, one after the other. */
export class StreamRepair {
  readonly fingerprint: string;
  readonly #options: RepairOptions;
  readonly #salvage: Salvage;
  /** Where its file was last, as a path below the root. */
  #path: string;
  /** Entries that were not replayed yet. */
  #remaining = 0;
  /** Number of the session up to which what sessions have brought is moot. */
  #mootUpTo = 0;
  /** Where its file is; undefined when it is nowhere, or was not looked for yet. */
  #location: string | undefined;
  /** Whether what is there is another file, of which it is to be found out whether it is a copy. */
  #isCopied = false;
  #differs = false;
  #replay: StreamReplay | undefined;
  /** The version up to which its file was known to have everything. */
  #knownVersion = 0;
  #isDeleted = false;
  /** Whether it was deleted, or is nowhere and was being deleted, so that nobody misses it. */
  #isForgotten = false;
  #hasBegun = false;
  #file: RepairFile | undefined;
  #failure: HttpfstreamError | undefined;
  /** Settles when what was asked for by now is done. Never rejects. */
  #last: Promise<void> = Promise.resolve();

  /** @param path of its file below the root, as an entry says */
  constructor(fingerprint: string, path: string, options: RepairOptions) {
    this.fingerprint = fingerprint;
    this.#path = path;
    this.#options = options;
    this.#salvage = new Salvage(options.root);
  }

  get path(): string {
    return this.#location ?? this.#path;
  }

  /** What keeps it from being put right. */
  get failure(): HttpfstreamError | undefined {
    return this.#failure;
  }

  /** Whether the last thing that is known of it is that the server has deleted it. */
  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** Whether it is a copy that differs, when all is replayed: see {@link StreamReplay.differs}. */
  get differs(): boolean {
    return this.#differs;
  }

  /** Counts an entry that is to be replayed. */
  announce({ path, deleted, moot }: FileEntry): void {
    this.#path = path;
    this.#isDeleted = deleted === true;
    this.#mootUpTo = Math.max(this.#mootUpTo, moot ?? 0);
    this.#remaining++;
  }

  /**
   * Replays the next entry; after the last one everything is safe and remembered. Never rejects.
   *
   * @returns whether it was the last one
   */
  async make(entry: JournalEntry<FileEntry>): Promise<boolean> {
    this.#remaining--;
    const isLast = this.#remaining === 0;
    await this.#inTurn(() => this.#make(entry));
    if (isLast) await this.#inTurn(() => this.#finish());
    return isLast;
  }

  /** Closes its file until it is needed again. Never rejects. */
  rest(): Promise<void> {
    return this.#inTurn(() => this.#closeFile());
  }

  /** Closes everything, wherever it is. Never rejects. */
  async close(): Promise<void> {
    await this.rest();
    await this.#salvage.close();
  }

  async #begin(): Promise<void> {
    const { root, records, store, finder } = this.#options;
    this.#hasBegun = true;
    const remembered = store.location(this.fingerprint);
    const locations = [this.#path, ...(remembered ? [remembered] : [])];
    this.#location = await finder.find(this.fingerprint, locations);
    this.#isForgotten = this.#location === undefined && this.#isDeleted;
    if (!this.#isForgotten) this.#location ??= await finder.findAnywhere(this.fingerprint);
    if (this.#location === undefined && records.isBeingRemoved(this.fingerprint)) {
      // It may be that there was no time for the entry that says so.
      this.#isForgotten = true;
      // Else a loss of power might bring the file back, without what the journal has of it.
      if (store.isDurable) await root.syncNames(this.#path, { isRemoved: true });
    }
    if (this.#location === undefined) this.#knownVersion = store.version(this.fingerprint);
    else {
      const { stat } = await this.#open(this.#location);
      this.#isCopied = stat.fingerprint !== this.fingerprint;
      const { state } = await store.read({ ...stat, fingerprint: this.fingerprint });
      // That a copy is shorter does not mean that it was cut.
      const { generation: _, ...known } = state;
      const { generation } = records.get(this.fingerprint)?.stream ?? {};
      const named = { ...known, ...(generation !== undefined && { generation }) };
      this.#replay = new StreamReplay(this.#isCopied ? named : state, stat.size, this.#isCopied);
    }
  }

  async #make(entry: JournalEntry<FileEntry>): Promise<void> {
    if (this.#failure !== undefined) return;
    if (!this.#hasBegun) await this.#begin();
    const { deleted, moot, run } = entry.header;
    // After a loss of power what was deleted may be there again, with all that it had.
    if (this.#isForgotten || deleted || moot !== undefined) return;
    if (run !== undefined) {
      if (run > this.#mootUpTo) await this.#makeRun(entry);
      return;
    }
    if (this.#location === undefined) {
      if (entry.header.version > this.#knownVersion) await this.#salvage.take(entry);
      return;
    }
    const replay = this.#replay as StreamReplay;
    await replay.make(entry, await this.#open(this.#location));
    if (replay.isTorn) await this.#salvage.take(entry);
  }

  /** What a session has brought belongs to the file: without it nobody misses it. */
  async #makeRun({ header, payload }: JournalEntry<FileEntry>): Promise<void> {
    if (this.#location === undefined) return;
    const replay = this.#replay as StreamReplay;
    await replay.makeRun(header.start, payload, await this.#open(this.#location));
    if (this.#isCopied && replay.isTorn) await this.#salvage.take({ header, payload });
  }

  async #finish(): Promise<void> {
    try {
      if (this.#failure !== undefined) return;
      if (this.#location !== undefined) await this.#save(this.#replay as StreamReplay, this.#location);
      await this.#reportSalvaged();
    } finally {
      this.#replay = undefined;
      await this.#salvage.close();
      await this.#closeFile();
    }
  }

  async #save(replay: StreamReplay, location: string): Promise<void> {
    const { store, syncer } = this.#options;
    const file = await this.#open(location);
    this.#differs = this.#isCopied && replay.differs;
    const { unfinished } = replay;
    const isCut = unfinished !== undefined && !this.#isCopied;
    if (isCut) await this.#cut(file, unfinished);
    // Else the system has it, as it had when the appends were answered.
    if (store.isDurable && (isCut || replay.hasChanged || replay.hasRuns)) await syncer.sync(file);
    if (!replay.hasChanged) return;
    await store.save(this.fingerprint, location, replay.state);
  }

  /** Cuts off what was under way. It is kept: nobody knows whether another program has written some of it. */
  async #cut(file: RepairFile, position: number): Promise<void> {
    const aside = await setAside(this.#options.root, file, position);
    const message = 'an append was under way: what is there of it was set aside';
    this.#options.report(message, { path: this.path, position, aside });
  }

  async #reportSalvaged(): Promise<void> {
    const { position } = this.#salvage;
    if (position === undefined) return;
    const aside = await this.#salvage.publish(this.path, this.fingerprint);
    this.#options.report(this.#whyLost(), { path: this.path, position, ...(aside && { aside }) });
  }

  #whyLost(): string {
    if (this.#isCopied) {
      return 'the file was copied at another time than the journal: what that has from this position on does not fit';
    }
    return this.#replay
      ? 'the journal is damaged: appends after this position are lost'
      : 'the file of appends in the journal is not to be found: they are lost from this position on';
  }

  async #open(location: string): Promise<RepairFile> {
    this.#file ??= await this.#options.root.openRepair(location);
    return this.#file;
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(action).catch((error) => {
      this.#failure ??= storageFailure(error);
    });
    return this.#last;
  }
}
