import { LoneEntry } from '../storage/journal/lone-entry.ts';
import type { Quarantine } from '../storage/journal/quarantine.ts';
import { KeyedLock } from '../storage/keyed-lock.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import { type HttpfstreamError, ServerBusyError, ServerClosingError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { isolationOf } from './isolation.ts';
import type { Limits } from './limits/limits.ts';
import type { JournalHeader } from './log/file-entry.ts';
import type { LocalLog } from './log/local-log.ts';
import { Resource, type ResourceOwner } from './resource.ts';
import { canExpire } from './streams/stream-expiry.ts';
import type { StreamStore } from './streams/stream-store.ts';
import { ahead, type LookedAt, lookAgain, type StreamView, viewOf } from './streams/stream-view.ts';

/** How many idle resources are kept at most: their files are open. */
const MAX_IDLE = 256;

/** How long a path is trusted to lead to the same file. */
const SEEN_MS = 1000;

/** Time after which idle ones are evicted: once to twice that. */
const IDLE_MS = 2000;

interface Entry {
  resource: Resource;
  users: number;
}

/**
 * The one map of live resources, by fingerprint: those that are in use, those whose records are behind the journal,
 * and, for a while, idle ones.
 */
export class LiveResources implements ResourceOwner {
  readonly #log: LocalLog;
  readonly #store: StreamStore;
  readonly #quarantine: Quarantine<JournalHeader>;
  readonly #limits: Limits;
  readonly #maxIdle: number;
  readonly #opening = new KeyedLock();
  readonly #entries = new Map<string, Entry>();
  /** Those that nobody uses, the most recently used ones last. */
  readonly #idle = new Set<Resource>();
  /** Those that were used since the last eviction. */
  readonly #recent = new Set<Resource>();
  /** At which paths files were seen a moment ago, and when: the last one seen comes last. */
  readonly #seen = new Map<string, { resource: Resource; atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #isShutDown = false;
  #isClosed = false;

  /** @param maxOpen how many idle resources may have their files open */
  constructor(
    log: LocalLog,
    store: StreamStore,
    quarantine: Quarantine<JournalHeader>,
    limits: Limits,
    maxOpen: number,
  ) {
    this.#maxIdle = Math.min(MAX_IDLE, maxOpen);
    this.#log = log;
    this.#store = store;
    this.#quarantine = quarantine;
    this.#limits = limits;
  }

  /** The live resource of a file, if there is one. */
  get(fingerprint: string): Resource | undefined {
    return this.#entries.get(fingerprint)?.resource;
  }

  get maxFollowers(): number {
    return this.#limits.maxFollowers;
  }

  /** What keeps another one from becoming live. */
  shortage(): ServerBusyError | undefined {
    if (this.#entries.size < this.#limits.maxLive || this.#idle.size > 0) return undefined;
    return new ServerBusyError(
      'as many resources are in use as the server takes on at the same time',
      'live',
    );
  }

  /** All of them. */
  *all(): Generator<Resource> {
    for (const { resource } of this.#entries.values()) yield resource;
  }

  /** Counts one more user of a resource that is in use, until {@link release}. */
  retain(resource: Resource): void {
    (this.#entries.get(resource.fingerprint) as Entry).users++;
    this.#idle.delete(resource);
  }

  /**
   * The live resource of an open file, made if there is none, in use until {@link release}.
   *
   * @param path the name under which it was opened
   * @param options.isThere false when it is not at that path any more. Default: true
   * @param options.isToGo whether it is to be deleted: that is always possible. Default: false
   * @throws {ServerBusyError} when as many are live as may be
   */
  async acquire(
    file: StoredFile,
    path: ResourcePath,
    { isThere = true, isToGo = false }: { isThere?: boolean; isToGo?: boolean } = {},
  ): Promise<Resource> {
    if (this.#isClosed) throw new ServerClosingError('the server is shutting down');
    const { fingerprint } = file.stat;
    const entry =
      this.#entries.get(fingerprint) ??
      (await this.#opening.run(fingerprint, async () => {
        const found = this.#entries.get(fingerprint);
        if (found !== undefined) return found;
        if (!isToGo) this.#assertCapacity();
        const made = { resource: await this.#make(file), users: 0 };
        this.#entries.set(fingerprint, made);
        if (this.#isShutDown) made.resource.shutDown();
        return made;
      }));
    entry.users++;
    this.#idle.delete(entry.resource);
    this.#recent.add(entry.resource);
    if (isThere) {
      entry.resource.seenAt(file.location);
      this.#noteSeen(path, entry.resource);
    }
    // Another program may have appended since, or cut it.
    try {
      await this.#takeLook(entry.resource, file);
    } catch (error) {
      this.release(entry.resource);
      throw error;
    }
    return entry.resource;
  }

  /**
   * Counts what another program has appended to the file of a resource that is in use and that no session has, when
   * nothing is under way.
   */
  async refresh(resource: Resource, file: StoredFile): Promise<void> {
    const shared = file.share();
    this.retain(resource);
    try {
      // As long as it is open to be appended to, it counts as what was appended. The next append gets the failure of
      // a sync, or of what is to be taken back.
      await resource.quiesce().catch(() => undefined);
      await this.#takeLook(resource, shared);
    } finally {
      this.release(resource);
      await shared.close();
    }
  }

  /** Notes that another file has got a name. */
  madeAt({ key }: ResourcePath): void {
    this.#seen.delete(key);
  }

  upToDate(resource: Resource): void {
    this.#letGo(resource);
  }

  /** Who is there is told the same as who comes later. */
  closed({ feed, state }: Resource): void {
    if (feed === undefined) return;
    void this.#log.outcome(feed.file, state).then((outcome) => feed.end(outcome, 'stream'));
  }

  /** To be called once for each {@link acquire}, {@link acquireUsed} and {@link retain}. */
  release(resource: Resource): void {
    const entry = this.#entries.get(resource.fingerprint) as Entry;
    entry.users--;
    this.#letGo(resource);
  }

  /**
   * As {@link acquire}, of a resource that is in use at a path, without a look at the disk: that it is still there
   * was seen a moment ago. An append looks at the file, not at its name: one that was renamed gets it for that
   * moment.
   */
  acquireUsed(path: ResourcePath): Resource | undefined {
    const { key } = path;
    const seen = this.#seen.get(key);
    if (seen === undefined) return undefined;
    const { resource, atMs } = seen;
    const entry = this.#entries.get(resource.fingerprint);
    const isSure =
      entry?.resource === resource &&
      (resource.isWriting || entry.users > 0) &&
      !resource.isGone &&
      !resource.isMisplaced &&
      !canExpire(resource.state) &&
      !this.#isClosed &&
      performance.now() - atMs < SEEN_MS;
    if (!isSure) {
      this.#seen.delete(key);
      return undefined;
    }
    entry.users++;
    this.#idle.delete(resource);
    this.#recent.add(resource);
    return resource;
  }

  /**
   * Whether the resource of a file is in use.
   *
   * @param options.own how many of its users are the caller. Default: none
   */
  isUsed(fingerprint: string, { own = 0 }: { own?: number } = {}): boolean {
    return (this.#entries.get(fingerprint)?.users ?? 0) > own;
  }

  /**
   * What counts of an open file, now.
   *
   * @throws what {@link assertWhole} throws
   */
  async view(file: LookedAt): Promise<StreamView> {
    this.assertWhole(file.stat.fingerprint);
    return this.#look(file);
  }

  /**
   * To be called before anybody learns what is in a file, or how much.
   *
   * @throws what appends get, when only the journal is sure to have what was acknowledged
   */
  assertWhole(fingerprint: string): void {
    const live = this.get(fingerprint);
    live?.assertWhole();
    const isolation = live === undefined ? this.#isolation(fingerprint) : undefined;
    if (isolation !== undefined) throw isolation;
  }

  /** Notes that a file was deleted, so that no start misses it. */
  async delete(resource: Resource): Promise<void> {
    const { journal } = this.#log;
    const { fingerprint: file, location } = resource;
    this.#log.checkpoints.forget(resource);
    // A session counts its own end.
    if (!resource.isClaimed) this.#log.numbers.ends.deleted++;
    await resource.gone();
    const { version, size: start } = resource.state;
    if (version > 0 && journal.heldSize > 0) {
      const entry = { file, path: location, version, start, length: 0, deleted: true } as const;
      // Without it a start reports the file as lost: nothing worse.
      await new LoneEntry(journal, entry).write().catch(() => undefined);
      // So that the journal is shortened after it.
      this.#log.checkpoints.add(resource);
    }
  }

  /**
   * Forgets what the journal has of a deleted file that is in quarantine. To be called when it cannot be there again
   * after a loss of power: it would lack that. Never rejects.
   */
  async forget({ fingerprint }: Resource): Promise<void> {
    const quarantine = this.#quarantine;
    const isHeld = quarantine.causeOf(fingerprint) !== undefined;
    // Else the next start reports bytes as lost that were deleted: nothing worse.
    await quarantine.remove(fingerprint).catch(() => undefined);
    if (isHeld)
      await this.#log.journal.annulReplayed(({ file }) => file === fingerprint).catch(() => undefined);
  }

  /** Takes no more single appends; whoever reads live, but through a session, is notified. */
  shutDown(): void {
    this.#isShutDown = true;
    for (const { resource } of this.#entries.values()) resource.shutDown();
  }

  /** After {@link shutDown}: brings all records up to date with the journal, and closes the files. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const resources = Array.from(this.#entries.values(), ({ resource }) => resource);
    // So that nothing more of them comes into the journal afterwards.
    await Promise.all(resources.map((resource) => resource.settled()));
    await this.#log.checkpoints.close();
    // What fails is in the journal, and replayed by the next start.
    await Promise.allSettled(Array.from(this.#entries.values(), ({ resource }) => resource.closeFile()));
  }

  /** Lets a resource know what a look at its file says now, unless somebody appends: then it knows better. */
  async #takeLook(resource: Resource, file: StoredFile): Promise<void> {
    if (resource.isWriting) return;
    const known = resource.committed;
    const { state } = await this.#look(await lookAgain(file));
    if (!resource.isWriting) resource.looked(known, state.size);
  }

  async #look(file: LookedAt): Promise<StreamView> {
    const { fingerprint } = file.stat;
    const live = this.get(fingerprint);
    if (live?.isWriting) return { state: live.state, names: live.names };
    const { state } = await this.#store.readOf(file);
    const known = live === undefined ? state : await ahead(live.state, state, file);
    // What a session has committed may not be in the look at the file yet.
    const feed = live?.isClaimed ? live.feed : undefined;
    const size = feed?.committed ?? known.size;
    return viewOf(file, { ...known, size });
  }

  /**
   * Why the file of a stream that is not live may be behind the journal. One that comes into quarantine later is live
   * until it leaves it.
   */
  #isolation(fingerprint: string): HttpfstreamError | undefined {
    const quarantine = this.#quarantine;
    return quarantine.has(fingerprint) ? isolationOf(quarantine.causeOf(fingerprint)) : undefined;
  }

  #noteSeen({ key }: ResourcePath, resource: Resource): void {
    this.#forgetSeen();
    this.#seen.delete(key);
    this.#seen.set(key, { resource, atMs: performance.now() });
    this.#timer ??= setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }

  /** Forgets what was seen too long ago to count. */
  #forgetSeen(): void {
    const sinceMs = performance.now() - SEEN_MS;
    for (const [key, { atMs }] of this.#seen) {
      if (atMs > sinceMs) return;
      this.#seen.delete(key);
    }
  }

  async #make(file: StoredFile): Promise<Resource> {
    const { location, stat } = file;
    const { fingerprint, generation, changedMs } = stat;
    const { state, isDamaged } = await this.#store.readOf(file);
    const { size } = state;
    const knownBytes = this.#store.knownBytes(fingerprint, location);
    return new Resource(this.#log, this, {
      fingerprint,
      location,
      generation,
      state,
      room: this.#limits.roomOf(fingerprint, location, { size, knownBytes, changedMs }),
      isolation: this.#isolation(fingerprint),
      isDamaged,
    });
  }

  /** Evicts an idle one for one that is to come. */
  #assertCapacity(): void {
    const shortage = this.shortage();
    if (shortage !== undefined) throw shortage;
    const [idle] = this.#idle;
    if (idle !== undefined && this.#entries.size >= this.#limits.maxLive) this.#drop(idle);
  }

  /** Evicts a resource that is not needed any more, or keeps it as an idle one for a while. */
  #letGo(resource: Resource): void {
    const entry = this.#entries.get(resource.fingerprint);
    if (
      this.#isClosed ||
      entry?.resource !== resource ||
      entry.users > 0 ||
      this.#log.checkpoints.has(resource)
    )
      return;
    if (resource.isGone) {
      this.#drop(resource);
      return;
    }
    this.#idle.add(resource);
    if (this.#idle.size > this.#maxIdle) this.#drop(this.#idle.values().next().value as Resource);
    this.#timer ??= setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }

  #drop(resource: Resource): void {
    this.#idle.delete(resource);
    this.#recent.delete(resource);
    this.#entries.delete(resource.fingerprint);
    // Its record is up to date, so that it does not matter whether this works.
    void resource.closeFile().catch(() => undefined);
  }

  /** Evicts those that were idle the last time, too. */
  #dropIdle(): void {
    this.#timer = undefined;
    this.#forgetSeen();
    for (const resource of this.#idle) if (!this.#recent.has(resource)) this.#drop(resource);
    this.#recent.clear();
    const isMore = this.#idle.size > 0 || this.#seen.size > 0;
    if (isMore && !this.#isClosed) this.#timer = setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }
}
