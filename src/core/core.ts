import path from 'node:path';
import type { FileStat } from '../storage/file-io.ts';
import { Journal } from '../storage/journal/journal.ts';
import { Quarantine } from '../storage/journal/quarantine.ts';
import { import03 } from '../storage/records/import-0.3.ts';
import { Records } from '../storage/records/records.ts';
import { Reserve } from '../storage/records/reserve.ts';
import type { Report } from '../storage/report.ts';
import { Root } from '../storage/root/root.ts';
import { RootIdentity } from '../storage/root/root-identity.ts';
import { RootLock } from '../storage/root/root-lock.ts';
import { reasonOf } from '../storage/storage-failure.ts';
import { WriteTurns } from '../storage/write-turns.ts';
import { HttpfstreamError, PathConflictError, ResourceNotFoundError, StorageError } from '../wire/errors.ts';
import { RESERVED_SEGMENT, type ResourcePath } from '../wire/resource-path.ts';
import { Directories } from './directories.ts';
import { FileFinder } from './file-finder.ts';
import { type CoreLimits, Limits, NO_LIMITS } from './limits/limits.ts';
import { LiveOverview } from './live-overview.ts';
import { LiveResources } from './live-resources.ts';
import type { JournalHeader } from './log/file-entry.ts';
import { type Durability, LocalLog } from './log/local-log.ts';
import { Syncer } from './log/syncer.ts';
import { Numbers } from './numbers.ts';
import { Feeds } from './readers/feeds.ts';
import { Followers } from './readers/followers.ts';
import { finishRemovals, removeUnfinished } from './recovery/clean-up.ts';
import { type AdoptionListener, CopiedRoot } from './recovery/copied-root.ts';
import { Recovery } from './recovery/recovery.ts';
import { Resources } from './resources.ts';
import { AppendHistory } from './sessions/append-history.ts';
import { LiveNames } from './sessions/live-names.ts';
import { SessionRegistry } from './sessions/session-registry.ts';
import { ExpirySweep } from './streams/expiry-sweep.ts';
import { ForkTree } from './streams/fork-tree.ts';
import { StreamRemover } from './streams/stream-remover.ts';
import { StreamStore } from './streams/stream-store.ts';
import { Streams } from './streams/streams.ts';
import { Arrivals } from './watch/arrivals.ts';
import { DirectoryWatches } from './watch/directory-watches.ts';
import { FileWatch } from './watch/file-watch.ts';
import { PathWatch } from './watch/path-watch.ts';
import { RotatedFollowers } from './watch/rotated-followers.ts';

/** Longest time for which written bytes wait to be made durable while a session goes on. */
const SYNC_INTERVAL_MS = 1000;

/** Time between two sweeps for streams that have expired and that nobody asks for. */
const SWEEP_INTERVAL_MS = 30_000;

/** How many streams to which nobody appends may have their files open, by default. */
const MAX_OPEN_STREAMS = 1000;

/** Options of {@link Core}. */
export interface CoreOptions {
  /** When bytes count as safe. */
  durability: Durability;
  /** How long a session waits for an appender that was lost, in milliseconds. */
  graceMs: number;
  /** How much there may be of everything. Default: no limits. */
  limits?: CoreLimits;
  /**
   * How many streams to which nobody appends just now may have their files open because what is remembered of them is
   * behind, and how many because they were in use a moment ago. Default: 1,000.
   */
  maxOpenStreams?: number;
  /** Notified of what an operator should know. Default: nobody. */
  report?: Report;
}

/** Options of {@link Core.open}. */
export interface OpenOptions extends CoreOptions {
  /** Mode of the files that are made for users; the process's umask is taken from it. */
  fileMode: number;
  /** How long to wait for a root that another server uses, in milliseconds. Default: not at all. */
  waitRootMs?: number;
}

/** How a root is recovered, see {@link Core.recover}. */
export interface RecoverOptions {
  /** Called with the name of each thing that was removed. Default: nothing is. */
  removed?: (name: string) => void;
  /** Told of the files of a root that was copied. Default: these have nothing of what is remembered; that is reported. */
  adoption?: AdoptionListener;
  /** Called every second with how far it is. Default: `report` of the core. */
  progress?: Report;
  /** Whether all records are read to see whether they can be. Default: false. */
  verify?: boolean;
}

/** The composition root: everything that a root is served, or checked, with, and who is given what. */
export class Core {
  readonly root: Root;
  readonly records: Records;
  readonly store: StreamStore;
  /** Which root it is. */
  readonly identity: RootIdentity;
  readonly quarantine: Quarantine<JournalHeader>;
  /** Look-ups: the only ways to a file. */
  readonly resources: Resources;
  /** How streams come and go. */
  readonly streams: Streams;
  /** Who appends. */
  readonly sessions: SessionRegistry;
  /** Where followers join. */
  readonly followers: Followers;
  /** What is waited for. */
  readonly arrivals: Arrivals;
  /** What is in directories. */
  readonly directories: Directories;
  readonly directoryWatches: DirectoryWatches;
  /** What bounds what is stored, and how much of it is live. */
  readonly limits: Limits;
  /** What is live, for an operator. */
  readonly overview: LiveOverview;
  /** What is counted. */
  readonly numbers = new Numbers();
  readonly #report: Report;
  readonly #log: LocalLog;
  readonly #live: LiveResources;
  readonly #feeds: Feeds;
  readonly #rotated: RotatedFollowers;
  readonly #history: AppendHistory;
  readonly #sweep: ExpirySweep;
  #lock: RootLock | undefined;

  /** Call {@link serve}, or {@link recover}, before anything else. */
  constructor(root: Root, options: CoreOptions) {
    const {
      durability,
      graceMs,
      limits = NO_LIMITS,
      maxOpenStreams = MAX_OPEN_STREAMS,
      report = () => {},
    } = options;
    const isDurable = durability === 'disk';
    const turns = new WriteTurns();
    const paths = new PathWatch(root, turns);
    const watch = new FileWatch(root, turns, paths);
    const { numbers } = this;
    const syncer = new Syncer(SYNC_INTERVAL_MS, numbers.syncs);
    this.root = root;
    this.#report = report;
    const journal = new Journal<JournalHeader>(root.own('redo'), turns, isDurable, numbers.syncs);
    this.records = new Records({
      directory: root.own('records'),
      aside: root.own('aside'),
      reserve: new Reserve(root.own('reserve')),
      report,
      journal,
    });
    this.store = new StreamStore(this.records, isDurable);
    this.identity = new RootIdentity(root.own('identity'));
    this.quarantine = new Quarantine(root.own('quarantine'));
    this.arrivals = new Arrivals(root, paths, numbers);
    const { records, store, quarantine } = this;
    const history = new AppendHistory(records, { isDurable, graceMs });
    this.#history = history;
    const logging = {
      root,
      store,
      journal,
      records,
      quarantine,
      history,
      turns,
      syncer,
      durability,
      report,
      numbers,
      maxOpenStreams,
    };
    const log = new LocalLog(logging);
    this.#log = log;
    this.limits = new Limits({
      ...{ root, records, limits, report },
      counted: (fingerprint) => this.#live.get(fingerprint)?.room,
      exhausted: (error) => this.#exhausted(error),
    });
    this.#live = new LiveResources(log, store, quarantine, this.limits, maxOpenStreams);
    this.overview = new LiveOverview(this.#live);
    const forks = new ForkTree(root, records);
    const live = this.#live;
    const deleted = ({ identity, fingerprint }: FileStat) => {
      this.sessions.deleted(fingerprint);
      this.#rotated.forget(identity);
    };
    const remover = new StreamRemover({ root, records, store, live, syncer, isDurable, deleted }, forks);
    this.resources = new Resources({ root, records, store, live, remover, history });
    const { resources } = this;
    const made = (path: ResourcePath) => {
      live.madeAt(path);
      this.arrivals.notify(path);
    };
    const making = {
      root,
      records,
      store,
      limits: this.limits,
      live,
      resources,
      syncer,
      isDurable,
      made,
    };
    this.streams = new Streams(making, forks, remover);
    this.#feeds = new Feeds(this.#live, resources, watch);
    const liveNames = new LiveNames();
    this.sessions = new SessionRegistry({
      root,
      limits: this.limits,
      log,
      numbers,
      graceMs,
      live: this.#live,
      liveNames,
      feeds: this.#feeds,
      watch,
      history,
      resources,
      arrivals: this.arrivals,
    });
    this.#rotated = new RotatedFollowers(root, paths, this.#feeds, this.sessions, resources);
    this.followers = new Followers(resources, this.sessions, this.#feeds, this.#rotated);
    this.directories = new Directories(root, resources, this.followers);
    const { directories } = this;
    this.directoryWatches = new DirectoryWatches({ root, directories, liveNames });
    this.#sweep = new ExpirySweep(records, resources, store, report, SWEEP_INTERVAL_MS);
  }

  /**
   * Opens a root to serve it; makes the directory if it is missing, and waits for another server to release it.
   * {@link close} releases it.
   *
   * @throws {InvalidRootError} when it cannot be made, entered or written
   * @throws {RootInUseError} when another server uses it, still, after `waitRootMs`
   * @throws what {@link serve} throws
   */
  static async open(directory: string, options: OpenOptions): Promise<Core> {
    const { report = () => {}, waitRootMs = 0 } = options;
    const root = await Root.open(directory, options);
    const lock = await RootLock.acquire(root.own('lock'), {
      root: directory,
      report,
      waitMs: waitRootMs,
    });
    const core = new Core(root, options);
    core.#lock = lock;
    try {
      await core.serve();
      return core;
    } catch (error) {
      // What went wrong first is what has to be known; and nothing was served.
      await core.close().catch(() => undefined);
      await lock.release();
      throw error;
    }
  }

  /**
   * Finds out whether another server uses a root. Makes nothing.
   *
   * @throws {RootInUseError} when that is so
   */
  static assertFree(directory: string): Promise<void> {
    return RootLock.assertFree(path.join(directory, RESERVED_SEGMENT, 'lock'), directory);
  }

  /**
   * Recovers the root, and deletes from now on what has expired.
   *
   * @throws what {@link recover} throws
   */
  async serve(): Promise<void> {
    const count = await this.recover();
    if (count > 0) {
      this.#report('the server before this one was killed: its journal was replayed', { files: count });
    }
    await this.limits.quotas.start();
    this.#sweep.start();
    this.#history.serve();
  }

  /**
   * Opens the records, removes what a server that was killed was making, replays its journal, and finishes what it was
   * deleting. There is no time limit. After a failure nothing is lost: it can be done again by another core.
   *
   * @returns how many files the journal was about
   * @throws {StorageError} when something of the server's own cannot be used; it says what
   * @throws {StorageFullError} and what else the disk does
   */
  async recover(options: RecoverOptions = {}): Promise<number> {
    try {
      return await this.#recover(options);
    } catch (error) {
      throw unusable(path.dirname(this.root.own('records')), error);
    }
  }

  async #recover(options: RecoverOptions): Promise<number> {
    const report = this.#report;
    const { removed = () => {}, adoption: listener, progress = report, verify = false } = options;
    const { root, records, store, quarantine } = this;
    const repair = await records.open({ verify });
    if (repair !== undefined) {
      report('the store of records was damaged: what could be read of it goes on', {
        path: root.own('records'),
        ...repair,
      });
    }
    const { isDurable } = store;
    const finder = new FileFinder(root);
    const { journal, syncer } = this.#log;
    const recovery = new Recovery({
      ...{ root, records, store, journal, quarantine, syncer, finder, report, progress },
    });
    await recovery.replayRecords();
    await import03({ root, records, report, progress });
    await removeUnfinished({ root, records, isDurable, removed });
    const { identity } = this;
    const copied = listener && (await CopiedRoot.find({ root, records, identity, listener }));
    const count = await recovery.run(copied);
    await finishRemovals({ root, records, isDurable, finder: copied ?? finder, report });
    await copied?.adopt(quarantine);
    // Who checks it says so at the end.
    if (listener === undefined) await this.#identify();
    return count;
  }

  /**
   * Says which root this is, anew for each server: what lies in a backup of it is older then. Never rejects.
   */
  async #identify(): Promise<void> {
    try {
      const origin = await this.identity.read();
      if (origin === 'copied' || origin === 'adopting') {
        const message =
          'the root is a copy, and what is remembered is not that of all its files: httpfstream-server --check, run before the first start, gives it to them';
        this.#report(message, {});
      }
      await this.identity.claim();
    } catch (error) {
      const message = 'it cannot be written down which root this is: a copy of it is not known for one';
      this.#report(message, { path: this.root.own('identity'), reason: reasonOf(error) });
    }
  }

  /** How many bytes the journal holds. */
  get journalBytes(): number {
    return this.#log.journal.heldSize;
  }

  /** For how long what is remembered has been behind the journal, in milliseconds; 0 when it is not. */
  get checkpointAgeMs(): number {
    return this.#log.checkpoints.ageMs;
  }

  /**
   * Takes no new appends from now on, ends the sessions that nobody holds, and
   * waits until every feed has ended and its file is closed; to end the others
   * is for those who hold them. Then brings all records up to date, removes the journal, and releases
   * the root. After a recovery that failed the journal stays. Idempotent.
   *
   * @param beforeRelease called last: what the next server needs besides the root is to be free before that
   * @throws what the disk does; then the root is not released before the process ends, since something of it may be open
   */
  async close(beforeRelease: () => Promise<unknown> = async () => {}): Promise<void> {
    this.#live.shutDown();
    const settled = Promise.all([this.resources.close(), this.sessions.close()]);
    await this.#sweep.close();
    await this.#rotated.close();
    await settled;
    await this.#feeds.closed();
    await this.#live.close();
    await this.limits.close();
    await this.records.close();
    await this.#log.journal.close();
    this.#log.syncer.close();
    this.arrivals.close();
    await beforeRelease();
    await this.#lock?.release();
  }

  #exhausted(error: HttpfstreamError): void {
    this.sessions.loseAll(error);
  }
}

/** What keeps the server's own files from being used, in words for an operator: those for clients name nothing. */
function unusable(directory: string, error: unknown): unknown {
  const isNamed =
    error instanceof HttpfstreamError &&
    ![StorageError, PathConflictError, ResourceNotFoundError].some((kind) => error instanceof kind);
  if (isNamed || !(error instanceof Error && 'code' in error)) return error;
  return new StorageError(`cannot use what is in ${directory}: ${reasonOf(error)}`, { cause: error });
}
