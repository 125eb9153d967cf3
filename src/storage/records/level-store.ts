import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import {
  type HttpfstreamError,
  OutcomeUnknownError,
  ServerClosingError,
  StorageBusyError,
  StorageFullError,
} from '../../wire/errors.ts';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import type { Report } from '../report.ts';
import { OWN_DIRECTORY_MODE } from '../root/own-directory.ts';
import { reasonOf } from '../storage-failure.ts';
import type { Reserve } from './reserve.ts';
import { isCorruption, storeFailure } from './store-failure.ts';
import {
  type Damage,
  forgetDamage,
  missingFile,
  noteDamage,
  readDamage,
  repairStore,
  type StoreRepair,
} from './store-repair.ts';
import { StoreSpace } from './store-space.ts';

/** What LevelDB gathers in memory, twice at most, before it becomes a file: also what it reads again when it opens. */
const WRITE_BUFFER_BYTES = 1024 * 1024;

/** Blocks of files that it keeps in memory, uncompressed. */
const CACHE_BYTES = 8 * 1024 * 1024;

/** Files that it keeps open, each with its index in memory. */
const MAX_OPEN_FILES = 64;

/** Time between two attempts to open it anew, when the first has failed. */
const RETRY_MS = 1000;

/** One change; those that are written together are made as a whole or not at all. */
export type StoreChange = { type: 'put'; key: string; value: string } | { type: 'del'; key: string };

/** Where a store lies, and what it may use. */
export interface LevelStoreOptions {
  /** Absolute; made if it is missing. */
  directory: string;
  /** Where a damaged one is copied to before it is repaired, absolute. */
  aside: string;
  reserve: Reserve;
  /** Told, once, when it is found to be damaged while it is in use. */
  report: Report;
}

/**
 * Texts by keys, on the disk, in order of the keys: a LevelDB. What is written together is there as a whole
 * after a crash, or not at all.
 *
 * After a write that failed LevelDB goes on, and acknowledges what the next start does not find: the torn end of its
 * log ends what is read of it. So that is closed and opened anew before anything else is written.
 */
export class LevelStore {
  readonly #directory: string;
  readonly #aside: string;
  readonly #report: Report;
  readonly #space: StoreSpace;
  /** The database; undefined while it is not open. */
  #database: ClassicLevel | undefined;
  #opening: Promise<void> | undefined;
  /** Whether a write has failed since it was opened: what is written after that would be lost. */
  #isTainted = false;
  /** Whether it is known to be damaged. */
  #isDamaged = false;
  /** What kept it from being opened. */
  #failure: HttpfstreamError | undefined;
  #failedAtMs = 0;
  /** Whether its own name survives a loss of power. */
  #isAnchored = false;
  #isClosed = true;

  constructor({ directory, aside, reserve, report }: LevelStoreOptions) {
    this.#directory = directory;
    this.#aside = aside;
    this.#report = report;
    this.#space = new StoreSpace(directory, reserve, 2 * WRITE_BUFFER_BYTES);
  }

  /**
   * Opens it; repairs it if it is seen to be damaged. What was repaired is repaired again by the next start, until
   * {@link settle}.
   *
   * @param options.verify whether all of it is read to see that, as it is if damage was met in use
   * @returns what was repaired
   * @throws {RootInUseError} when another process has it open
   * @throws what the disk does
   */
  async open({ verify }: { verify: boolean }): Promise<StoreRepair | undefined> {
    await this.#space.open();
    this.#isClosed = false;
    try {
      await makeDirectories(this.#directory, OWN_DIRECTORY_MODE);
      const damage = await this.#findDamage(verify);
      this.#isDamaged ||= damage !== undefined;
      const repair = damage && (await repairStore(this.#directory, this.#aside, damage));
      this.#database ??= await this.#openDatabase();
      await this.#space.keep();
      return repair;
    } catch (error) {
      this.#isClosed = true;
      throw await this.#failureOf(error);
    }
  }

  /** Notes that it is as it should be, if it was not. */
  async settle(): Promise<void> {
    if (!this.#isDamaged) return;
    try {
      await forgetDamage(this.#directory);
      this.#isDamaged = false;
    } catch (error) {
      throw this.#meaningOf(error);
    }
  }

  /**
   * To be awaited before it is read. After a failure it is opened anew, if that was not tried a moment ago.
   *
   * @returns undefined when there is nothing to wait for; resolves when that is over, and never rejects
   */
  readable(): Promise<void> | undefined {
    const isDue = this.#failure !== undefined && performance.now() - this.#failedAtMs >= RETRY_MS;
    if (isDue && this.#opening === undefined) void this.#openAnew().catch(ignore);
    return this.#opening;
  }

  /**
   * The value of a key; undefined when it has none.
   *
   * @throws {StorageBusyError} while it is opened anew after a failure
   * @throws what kept it from being opened, or read
   */
  get(key: string): string | undefined {
    const database = this.#assertOpen();
    try {
      return database.getSync(key);
    } catch (error) {
      throw this.#meaningOf(error);
    }
  }

  /**
   * Yields what has keys from `from` on, up to but not including `to`, in order. What is changed meanwhile is seen,
   * or not. While it is opened anew after a failure, that is waited for.
   *
   * @param limit how many at most
   * @throws what kept it from being opened, or read
   */
  async *entries(
    from: string,
    to: string,
    limit = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<[key: string, value: string], void, undefined> {
    let begin: { gte: string } | { gt: string } = { gte: from };
    let left = limit;
    for (;;) {
      await this.readable();
      const database = this.#assertOpen();
      try {
        for await (const entry of database.iterator({ ...begin, lt: to, limit: left })) {
          begin = { gt: entry[0] };
          left--;
          yield entry;
        }
        return;
      } catch (error) {
        // If it was closed meanwhile to be opened anew, that goes on behind the last one.
        if (this.#database === database) throw this.#meaningOf(error);
      }
    }
  }

  /**
   * Resolves when it may be written. After a failure it is opened anew.
   *
   * @throws what keeps it from being opened
   */
  async ready(): Promise<void> {
    await this.#opening;
    if (this.#database !== undefined && !this.#isTainted) return;
    await this.#space.assertForOpening();
    await this.#openAnew();
  }

  /**
   * Writes all of `changes` or nothing. Not while another write is under way.
   *
   * @param durable whether they must survive a loss of power
   * @throws {OutcomeUnknownError} when they are written, or may be, and may not survive a loss of power
   * @throws what the disk does, and then nothing is written
   */
  async write(changes: readonly StoreChange[], durable: boolean): Promise<void> {
    await this.ready();
    const bytes = bytesOf(changes);
    await this.#space.assertFor(bytes);
    try {
      await this.#batch(changes, bytes, durable);
    } catch (error) {
      await this.#writeAgain(changes, bytes, durable, error);
    }
    this.#space.keepSoon();
  }

  /**
   * To be called before something begins, which must not take the space that is kept for what is under way.
   *
   * @throws {StorageFullError} when the disk has no space but that
   */
  assertSpaceForNew(): Promise<void> {
    return this.#space.assertForNew();
  }

  /** Closes it, when no write is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#space.close();
    await this.#opening;
    const database = this.#database;
    this.#database = undefined;
    await database?.close();
  }

  async #batch(changes: readonly StoreChange[], bytes: number, durable: boolean): Promise<void> {
    this.#space.logged(bytes);
    await this.#assertOpen().batch([...changes], { sync: durable });
    if (!durable || this.#isAnchored) return;
    await syncDirectories(this.#directory, path.dirname(path.dirname(this.#directory)));
    this.#isAnchored = true;
  }

  /** Opens it anew, and tries once more: with the space that was kept, if the disk is full. */
  async #writeAgain(
    changes: readonly StoreChange[],
    bytes: number,
    durable: boolean,
    cause: unknown,
  ): Promise<void> {
    this.#isTainted = true;
    const failure = await this.#failureOf(cause);
    // Without space it could not be opened again. It is read as it is, and opened anew before the next write.
    if (failure instanceof StorageFullError && !(await this.#space.release()))
      throw unverified(failure, durable);
    await this.#openAnew().catch((error) => Promise.reject(unverified(error, durable)));
    try {
      await this.#batch(changes, bytes, durable);
    } catch (error) {
      this.#isTainted = true;
      await this.#openAnew().catch((reason) => Promise.reject(unverified(reason, durable)));
      if (!this.#has(changes)) throw await this.#failureOf(error);
      throw new OutcomeUnknownError('what was written may not survive a loss of power', { cause: error });
    }
  }

  /**
   * Whether a batch that failed is there all the same: what is whole in the log counts, also if the sync of it
   * failed.
   */
  #has(changes: readonly StoreChange[]): boolean {
    return changes.every((each) => this.get(each.key) === (each.type === 'put' ? each.value : undefined));
  }

  /** @throws what keeps it from being opened; then it is not open */
  async #openAnew(): Promise<void> {
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Never rejects. */
  async #reopen(): Promise<void> {
    const database = this.#database;
    this.#database = undefined;
    try {
      await database?.close();
      if (this.#isClosed) throw new ServerClosingError('the server is shutting down');
      this.#database = await this.#openDatabase();
      this.#failure = undefined;
      this.#isTainted = false;
    } catch (error) {
      this.#failure = await this.#failureOf(error);
      this.#failedAtMs = performance.now();
    }
  }

  async #openDatabase(): Promise<ClassicLevel> {
    await this.#space.opening();
    const database = new ClassicLevel(this.#directory, {
      keyEncoding: 'utf8',
      valueEncoding: 'utf8',
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
      maxOpenFiles: MAX_OPEN_FILES,
    });
    try {
      await database.open();
    } catch (error) {
      await database.close().catch(ignore);
      throw error;
    }
    this.#space.opened();
    return database;
  }

  /** @returns what is wrong with it, or was when its repair began; undefined when it is open */
  async #findDamage(verify: boolean): Promise<Damage | undefined> {
    const noted = await readDamage(this.#directory);
    this.#isDamaged = noted !== undefined;
    if (noted?.copy !== undefined) return noted;
    const reason =
      (await missingFile(this.#directory)) ??
      (await this.#tryToOpen()) ??
      (verify || noted !== undefined ? await this.#verify() : undefined);
    return reason === undefined ? undefined : { reason };
  }

  /** @returns what is wrong with it; undefined when it is open */
  async #tryToOpen(): Promise<string | undefined> {
    try {
      this.#database = await this.#openDatabase();
    } catch (error) {
      if (isCorruption(error)) return reasonOf(error);
      // To open it takes space, too.
      const isFull = (await this.#failureOf(error)) instanceof StorageFullError;
      if (!isFull || !(await this.#space.release())) throw error;
      this.#database = await this.#openDatabase();
    }
    return undefined;
  }

  /** @returns what is wrong with it, which is closed then; undefined when all of it can be read */
  async #verify(): Promise<string | undefined> {
    const database = this.#assertOpen();
    try {
      for await (const _ of database.iterator({ fillCache: false }));
      return undefined;
    } catch (error) {
      if (!isCorruption(error)) throw error;
      this.#database = undefined;
      await database.close();
      return reasonOf(error);
    }
  }

  #assertOpen(): ClassicLevel {
    if (this.#database !== undefined) return this.#database;
    if (this.#isClosed) throw new ServerClosingError('the server is shutting down');
    if (this.#failure !== undefined) throw this.#failure;
    throw new StorageBusyError('the store of records is being opened');
  }

  /** As {@link #meaningOf}, after a look whether the disk is full. */
  async #failureOf(error: unknown): Promise<HttpfstreamError> {
    await this.#space.look();
    return this.#meaningOf(error);
  }

  #meaningOf(error: unknown): HttpfstreamError {
    if (isCorruption(error) && !this.#isClosed && !this.#isDamaged) {
      this.#isDamaged = true;
      noteDamage(this.#directory, reasonOf(error));
      this.#report('the store of records is damaged: the next start repairs what can be read of it', {
        path: this.#directory,
        reason: reasonOf(error),
      });
    }
    return storeFailure(error, this.#directory, () => this.#space.isFull);
  }
}

function bytesOf(changes: readonly StoreChange[]): number {
  let bytes = 0;
  for (const each of changes) {
    bytes += Buffer.byteLength(each.key) + (each.type === 'put' ? Buffer.byteLength(each.value) : 0);
  }
  return bytes;
}

/**
 * What it means that a batch has failed, and cannot be looked for: it is whole in the log if only the sync has
 * failed.
 */
function unverified(failure: HttpfstreamError, durable: boolean): HttpfstreamError {
  if (!durable) return failure;
  return new OutcomeUnknownError('what was written may be there, or not', { cause: failure });
}

function ignore(): void {}
