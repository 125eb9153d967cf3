import { randomBytes } from 'node:crypto';
import type { Journal } from '../journal/journal.ts';
import { LoneEntry } from '../journal/lone-entry.ts';
import { writeAside } from './aside.ts';
import { type FileRecord, parseRecord, parseTombstone, type Tombstone } from './file-record.ts';
import { LevelStore, type LevelStoreOptions, type StoreChange } from './level-store.ts';
import { RecordDraft } from './record-draft.ts';
import { countFiles, growthBy, indexAnew } from './record-indexes.ts';
import {
  COUNT_KEY,
  dueFile,
  dueKey,
  fileKey,
  JOURNALED_KEY,
  nameIn,
  quotaKey,
  rangeDue,
  rangeOf,
  removalKey,
  tombstoneKey,
  upstreamKey,
} from './record-keys.ts';
import type { StoreRepair } from './store-repair.ts';
import type { StreamLink } from './stream-state.ts';

/** How many writes go to the disk together at most, … */
const MAX_TOGETHER = 1000;

/** … and how many characters, but for the write with which they are reached: the others go with the next. */
const MAX_LENGTH = 1024 * 1024;

/** How many keys the journal may be ahead of the store, … */
const MAX_AHEAD = 1000;

/** … with how many characters of them in one entry, … */
const MAX_ENTRY_LENGTH = 128 * 1024;

/** … while it holds no more than this, as it does if it cannot be shortened. */
const MAX_JOURNAL_BYTES = 64 * 1024 * 1024;

/** Makes the changes that belong together, in line. What it throws refuses them all. */
export type RecordsChange = (draft: RecordDraft) => void;

/** A file that may have expired. */
export interface DueFile {
  fingerprint: string;
  /** Path below the root, where it was when its record was written. */
  path: string;
}

/** How changes are written. */
export interface WriteOptions {
  /** Whether they must survive a loss of power when that resolves. */
  durable: boolean;
  /**
   * Whether something begins with them, which must not take the space that is kept for what is under way. Default:
   * false.
   */
  isNew?: boolean;
  /**
   * Whether they go to the journal first, and to the store with others later: cheap, for what changes often. Default:
   * false.
   */
  journaled?: boolean;
}

/** For changes that must survive a loss of power, … */
export const DURABLE: WriteOptions = { durable: true };

/** … and for those that need not: a start would make them again, or nobody misses them. */
export const NOT_DURABLE: WriteOptions = { durable: false };

/** Changes of records as the journal has them: new values by keys; null takes the key away. */
export interface RecordsEntry {
  /** Of none: the journal has these beside what it has of files. */
  file: '';
  /** One higher than of the entry before. */
  number: number;
  records: readonly (readonly [key: string, value: string | null])[];
}

/** What {@link Records} are kept in. */
export interface RecordsOptions extends LevelStoreOptions {
  /** Has what the store is to get later, until {@link Records.flush}. */
  journal: Pick<Journal<RecordsEntry>, 'append' | 'annul' | 'isDurable' | 'heldSize'>;
}

/** Who sees to it that the store gets what the journal has. */
export interface RecordsListener {
  /** Called when the journal has more than the store: {@link Records.flush} is to come. */
  recordsAreBehind(): void;
}

interface Waiting extends WriteOptions {
  change: RecordsChange;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * What is remembered of files beside their bytes: one store for all of it. Records are read in line; changes of
 * them are made together or not at all, one batch after the other. What comes while one is written goes
 * to the disk together with the next, each by itself made or refused.
 *
 * What changes often is written to the journal, and then is ahead of the store: known here, and made in the store
 * with whatever is written there next. The store knows up to which entry of the journal it has everything, so that a
 * start makes the others.
 */
export class Records {
  readonly #store: LevelStore;
  readonly #aside: string;
  readonly #journal: RecordsOptions['journal'];
  #listener: RecordsListener | undefined;
  /** What the journal has and the store has not, by keys; undefined is a key that goes. */
  readonly #ahead = new Map<string, string | undefined>();
  /** Number of the last entry in the journal, … */
  #number = 0;
  /** … and of the last one up to which the store has everything. */
  #storedNumber = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor({ journal, ...options }: RecordsOptions) {
    this.#store = new LevelStore(options);
    this.#aside = options.aside;
    this.#journal = journal;
  }

  /** Says who is notified. */
  attach(listener: RecordsListener): void {
    this.#listener = listener;
  }

  /**
   * To be called first.
   *
   * @param options.verify whether all of the store is read to see whether it is damaged. Default: false
   * @returns what was repaired, if the store was damaged
   * @throws {RootInUseError} when another process has it open
   * @throws what the disk does
   */
  async open({ verify = false }: { verify?: boolean } = {}): Promise<StoreRepair | undefined> {
    const repair = await this.#store.open({ verify });
    this.#storedNumber = Number(this.#store.get(JOURNALED_KEY) ?? 0);
    this.#number = this.#storedNumber;
    if (repair !== undefined) await indexAnew(this.#store);
    // With the next write: on a full disk, too, a start is to succeed.
    if (this.#store.get(COUNT_KEY) === undefined)
      this.#ahead.set(COUNT_KEY, String(await countFiles(this.#store)));
    await this.#store.settle();
    return repair;
  }

  /** To be awaited before it is read, see {@link LevelStore.readable}. */
  readable(): Promise<void> | undefined {
    return this.#store.readable();
  }

  /**
   * What is remembered of a file; see {@link isDamaged}. Undefined when nothing is.
   *
   * @throws {StorageBusyError} while the store is opened anew after a failure, see {@link readable}
   * @throws what the disk does
   */
  get(fingerprint: string): FileRecord | undefined {
    const text = this.#valueOf(fileKey(fingerprint));
    return text === undefined ? undefined : parseRecord(text);
  }

  /** The tombstone at a path, if there is one. Throws as {@link get}. */
  tombstone(resourcePath: string): Tombstone | undefined {
    const text = this.#valueOf(tombstoneKey(resourcePath));
    return text === undefined ? undefined : parseTombstone(text);
  }

  /**
   * The forks of a file, or of what has left a tombstone: those that live, or of which forks live. Throws as
   * {@link get}.
   */
  forks(source: StreamLink): readonly StreamLink[] {
    return new RecordDraft((key) => this.#valueOf(key)).forks(source);
  }

  /**
   * How many bytes are stored at the paths that a pattern matches, as it was remembered last; undefined when it was not.
   * Throws as {@link get}.
   */
  quotaBytes(pattern: string): number | undefined {
    const bytes = Number(this.#valueOf(quotaKey(pattern)) ?? Number.NaN);
    return Number.isSafeInteger(bytes) ? bytes : undefined;
  }

  /** Of how many files something is remembered; undefined while that cannot be read. */
  get count(): number | undefined {
    try {
      return Number(this.#valueOf(COUNT_KEY));
    } catch {
      return undefined;
    }
  }

  /** Whether the removal of a file has begun, and not all is done that belongs to it. Throws as {@link get}. */
  isBeingRemoved(fingerprint: string): boolean {
    return this.#valueOf(removalKey(fingerprint)) !== undefined;
  }

  /**
   * When the server at a URL, from which files come, was known last to be an httpfstream server, in milliseconds since
   * 1970. Throws as {@link get}.
   */
  upstreamKnownMs(url: string): number | undefined {
    const text = this.#valueOf(upstreamKey(url));
    return text === undefined ? undefined : Number(text);
  }

  /**
   * Makes changes, all or none. After a crash they are there, if this has resolved.
   *
   * @param change called in line, when those that came before are written
   * @throws {StorageFullError} of what is new, when the disk is full
   * @throws {OutcomeUnknownError} when they are made, or may be, and may not survive a loss of power
   * @throws what `change` throws, or the disk does, and then none is made
   */
  write(change: RecordsChange, options: WriteOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...options, change, resolve, reject });
      // What comes in the same turn of the event loop goes together.
      this.#writing ??= new Promise<void>((begin) => setImmediate(begin)).then(() => this.#writeAll());
    });
  }

  /**
   * Makes changes that the journal has, unless the store has them already. In order; before anything else is changed.
   * They are ahead of the store until {@link flush}.
   *
   * @throws what the disk does
   */
  async replay({ number, records }: RecordsEntry): Promise<void> {
    if (number <= this.#number) return;
    this.#number = number;
    for (const [key, value] of records) this.#ahead.set(key, value ?? undefined);
    if (this.#ahead.size >= MAX_AHEAD) await this.flush();
  }

  /**
   * Resolves when the store has all that the journal has by now, as safely.
   *
   * @throws what the disk does
   */
  async flush(): Promise<void> {
    if (this.#ahead.size > 0 || this.#writing !== undefined) await this.write(() => {}, NOT_DURABLE);
  }

  /**
   * The files that may have expired at a time, those that are due for longest first, `limit` at most. Waits as
   * {@link files}.
   */
  async due(nowMs: number, limit: number): Promise<DueFile[]> {
    const due: DueFile[] = [];
    const stale: string[] = [];
    // What cannot be written is known all the same; on a full disk what has expired is what frees space.
    await this.flush().catch(() => undefined);
    for await (const [key] of this.#store.entries(...rangeDue(nowMs), limit)) {
      const fingerprint = dueFile(key);
      await this.readable();
      const { path: location = '', dueMs } = this.get(fingerprint) ?? {};
      // Of a record that is damaged nobody knows.
      if (dueMs !== undefined && dueKey(dueMs, fingerprint) === key)
        due.push({ fingerprint, path: location });
      else stale.push(key);
    }
    if (stale.length > 0) await this.write((draft) => draft.deleteKeys(stale), NOT_DURABLE);
    return due;
  }

  /** Yields what is remembered of all files. While the store is opened anew after a failure, that is waited for. */
  async *files(): AsyncGenerator<{ fingerprint: string; record: FileRecord }, void, undefined> {
    await this.flush();
    for await (const [key, value] of this.#store.entries(...rangeOf('file'))) {
      yield { fingerprint: nameIn(key), record: parseRecord(value) };
    }
  }

  /** Yields all tombstones, each with its path; one that is damaged as undefined. Waits as {@link files}. */
  async *tombstones(): AsyncGenerator<{ path: string; tombstone: Tombstone | undefined }, void, undefined> {
    await this.flush();
    for await (const [key, value] of this.#store.entries(...rangeOf('tombstone'))) {
      yield { path: nameIn(key), tombstone: parseTombstone(value) };
    }
  }

  /** Yields the files whose removal has begun, and not all is done that belongs to it. */
  async *removals(): AsyncGenerator<DueFile, void, undefined> {
    await this.flush();
    for await (const [key, value] of this.#store.entries(...rangeOf('removal'))) {
      yield { fingerprint: nameIn(key), path: value };
    }
  }

  /**
   * Copies what is remembered of a file, whatever it is, to where an operator finds it.
   *
   * @returns where that is, absolute
   */
  copyAside(fingerprint: string): Promise<string> {
    return this.#copyAside(fileKey(fingerprint), fingerprint);
  }

  /** As {@link copyAside}, of the tombstone at a path. */
  copyTombstoneAside(resourcePath: string): Promise<string> {
    return this.#copyAside(tombstoneKey(resourcePath), `tombstone-${randomBytes(6).toString('hex')}`);
  }

  /** Closes the store when what was to be written by now is. Idempotent. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    // What fails is in the journal.
    await this.flush().catch(() => undefined);
    await this.#store.close();
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeTogether();
    this.#writing = undefined;
  }

  /** Makes the changes that wait, as many as go together. Never rejects. */
  async #writeTogether(): Promise<void> {
    const waiting = this.#waiting.splice(0, MAX_TOGETHER);
    const unready = await this.#store.ready().then(() => undefined, asValue);
    const isNew = waiting.some((each) => each.isNew);
    const full = isNew ? await this.#store.assertSpaceForNew().then(() => undefined, asValue) : undefined;
    const changes = new Map<string, string | undefined>();
    const made: Waiting[] = [];
    let length = 0;
    let grown = 0;
    const read = (key: string) => (changes.has(key) ? changes.get(key) : this.#valueOf(key));
    for (const [i, each] of waiting.entries()) {
      if (length >= MAX_LENGTH) {
        this.#waiting.unshift(...waiting.slice(i));
        break;
      }
      try {
        if (unready !== undefined) throw unready;
        if (each.isNew && full !== undefined) throw full;
        const draft = new RecordDraft(read);
        each.change(draft);
        // If that cannot be, it is not replaced, and nobody else is refused for that.
        for (const fingerprint of draft.damaged) await this.copyAside(fingerprint);
        grown += growthBy(draft.changes, read);
        for (const [key, value] of draft.changes) {
          changes.set(key, value);
          length += key.length + (value?.length ?? 0);
        }
        made.push(each);
      } catch (error) {
        each.reject(error);
      }
    }
    try {
      if (grown !== 0) changes.set(COUNT_KEY, String(Number(this.#valueOf(COUNT_KEY)) + grown));
      const isForJournal = length <= MAX_ENTRY_LENGTH && made.every((each) => this.#mayGoToJournal(each));
      const isInJournal = isForJournal && (await this.#putIntoJournal(changes));
      const mustLast = made.some(({ durable }) => durable);
      if (!isInJournal) await this.#putIntoStore(changes, mustLast);
      for (const { resolve } of made) resolve();
    } catch (error) {
      for (const { reject } of made) reject(error);
    }
  }

  /**
   * Writes changes to the journal, after which they are ahead of the store. Never rejects.
   *
   * @returns false when it does not have them, or may not
   */
  async #putIntoJournal(changes: ReadonlyMap<string, string | undefined>): Promise<boolean> {
    if (changes.size === 0) return true;
    const areMany = this.#ahead.size + changes.size > MAX_AHEAD;
    if (areMany || this.#journal.heldSize >= MAX_JOURNAL_BYTES) return false;
    const records = Array.from(changes, ([key, value]) => [key, value ?? null] as const);
    this.#number++;
    try {
      await new LoneEntry(this.#journal, { file: '', number: this.#number, records }).write();
    } catch {
      // The store takes them, and knows then that it has all up to this number.
      return false;
    }
    for (const [key, value] of changes) this.#ahead.set(key, value);
    this.#listener?.recordsAreBehind();
    return true;
  }

  /** Writes changes to the store, with what the journal is ahead. */
  async #putIntoStore(changes: ReadonlyMap<string, string | undefined>, durable: boolean): Promise<void> {
    const all = new Map([...this.#ahead, ...changes]);
    const isBehind = this.#number > this.#storedNumber;
    if (isBehind) all.set(JOURNALED_KEY, String(this.#number));
    if (all.size === 0) return;
    // What the journal has safely is as safe in the store, before the journal is shortened.
    const mustLast = durable || (isBehind && this.#journal.isDurable);
    try {
      await this.#store.write(Array.from(all, storeChange), mustLast);
    } catch (error) {
      // It is there all the same if its outcome is unknown: what was ahead must not be written over what comes next.
      if (isBehind && this.#isStored(this.#number)) this.#caughtUp();
      throw error;
    }
    this.#caughtUp();
  }

  #mayGoToJournal({ journaled = false, durable }: WriteOptions): boolean {
    return journaled && (this.#journal.isDurable || !durable);
  }

  /** Whether the store has all that the journal has up to a number. */
  #isStored(number: number): boolean {
    try {
      return this.#store.get(JOURNALED_KEY) === String(number);
    } catch {
      return false;
    }
  }

  #caughtUp(): void {
    this.#ahead.clear();
    this.#storedNumber = this.#number;
  }

  /** What is at a key. */
  #valueOf(key: string): string | undefined {
    return this.#ahead.has(key) ? this.#ahead.get(key) : this.#store.get(key);
  }

  #copyAside(key: string, label: string): Promise<string> {
    return writeAside(this.#aside, `${label}.json`, this.#store.get(key) ?? '');
  }
}

function storeChange([key, value]: [string, string | undefined]): StoreChange {
  return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
}

function asValue(error: unknown): unknown {
  return error;
}
