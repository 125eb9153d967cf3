import type { Quarantine } from '../storage/journal/quarantine.ts';
import { KeyedLock } from '../storage/keyed-lock.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import { type HttpfstreamError, ServerClosingError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import type { EntryHeader } from './log/entry.ts';
import type { LocalLog } from './log/local-log.ts';
import { LoneEntry } from './log/lone-entry.ts';
import { isolationOf, Resource, type ResourceOwner } from './resource.ts';
import { canExpire } from './streams/stream-expiry.ts';
import type { StreamStore } from './streams/stream-store.ts';
import { ahead, type LookedAt, lookAgain, type StreamView, viewOf } from './streams/stream-view.ts';

/** How many streams that nobody uses keep their files open. */
const MAX_IDLE = 256;

/** How long a path leads to where it led. */
const SEEN_MS = 1000;

/** Time after which those that nobody has used are let go: once to twice that. */
const IDLE_MS = 2000;

interface Holding {
  resource: Resource;
  users: number;
  /** Paths at which it was seen. */
  keys: Set<string>;
}

/** The streams that somebody uses, or whose records are behind the log. */
export class LiveResources implements ResourceOwner {
  readonly #log: LocalLog;
  readonly #store: StreamStore;
  readonly #quarantine: Quarantine<EntryHeader>;
  readonly #opening = new KeyedLock();
  readonly #holdings = new Map<string, Holding>();
  /** Those that nobody uses, the ones used last at the end. */
  readonly #idle = new Set<Resource>();
  /** Those that were used since the last look. */
  readonly #recent = new Set<Resource>();
  /** At which paths streams were seen, and when. */
  readonly #seen = new Map<string, { resource: Resource; atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(log: LocalLog, store: StreamStore, quarantine: Quarantine<EntryHeader>) {
    this.#log = log;
    this.#store = store;
    this.#quarantine = quarantine;
  }

  /** The stream of a file, if it is held. */
  held(fingerprint: string): Resource | undefined {
    return this.#holdings.get(fingerprint)?.resource;
  }

  /** All that are held. */
  *all(): Generator<Resource, void, undefined> {
    for (const { resource } of this.#holdings.values()) yield resource;
  }

  /** Holds a stream that is held once more, until {@link release}. */
  retain(resource: Resource): void {
    (this.#holdings.get(resource.fingerprint) as Holding).users++;
    this.#idle.delete(resource);
  }

  /**
   * Holds the stream of an open file until {@link release}.
   *
   * @param path the name under which it was opened
   * @param isThere false when it is not at that path any more
   */
  async acquire(file: StoredFile, path: ResourcePath, isThere = true): Promise<Resource> {
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
    const { fingerprint } = file.stat;
    const holding =
      this.#holdings.get(fingerprint) ??
      (await this.#opening.run(fingerprint, async () => {
        const held = this.#holdings.get(fingerprint);
        if (held !== undefined) return held;
        const made = { resource: await this.#make(file), users: 0, keys: new Set<string>() };
        this.#holdings.set(fingerprint, made);
        if (this.#isClosing) made.resource.shutDown();
        return made;
      }));
    holding.users++;
    this.#idle.delete(holding.resource);
    this.#recent.add(holding.resource);
    if (isThere) {
      holding.resource.seenAt(file.location);
      holding.keys.add(path.key);
      this.#seen.set(path.key, { resource: holding.resource, atMs: performance.now() });
    }
    // Another program may have appended since, or cut it.
    try {
      const known = holding.resource.committed;
      const { state } = holding.resource.isWriting
        ? holding.resource
        : await this.#look(await lookAgain(file));
      if (!holding.resource.isWriting) holding.resource.looked(known, state.size);
    } catch (error) {
      this.release(holding.resource);
      throw error;
    }
    return holding.resource;
  }

  upToDate(resource: Resource): void {
    this.#letGo(resource);
  }

  /** To be called once for each {@link acquire}. */
  release(resource: Resource): void {
    const holding = this.#holdings.get(resource.fingerprint) as Holding;
    holding.users--;
    this.#letGo(resource);
  }

  /**
   * Holds the stream at a path that is in use, without a look at the disk: that it is still
   * there was seen a moment ago, and each append looks again.
   */
  acquireUsed({ key }: ResourcePath): Resource | undefined {
    const seen = this.#seen.get(key);
    if (seen === undefined) return undefined;
    const { resource, atMs } = seen;
    const holding = this.#holdings.get(resource.fingerprint);
    const isSure =
      holding?.resource === resource &&
      (resource.isWriting || holding.users > 0) &&
      !resource.isGone &&
      !resource.isMisplaced &&
      !canExpire(resource.state) &&
      !this.#isClosing &&
      performance.now() - atMs < SEEN_MS;
    if (!isSure) {
      this.#seen.delete(key);
      return undefined;
    }
    holding.users++;
    this.#idle.delete(resource);
    this.#recent.add(resource);
    return resource;
  }

  /**
   * Whether anybody uses the stream of a file at the moment.
   *
   * @param options.own how many of its holds are the caller's. Default: none
   */
  isUsed(fingerprint: string, { own = 0 }: { own?: number } = {}): boolean {
    return (this.#holdings.get(fingerprint)?.users ?? 0) > own;
  }

  /**
   * What is to be seen of the stream of an open file, now.
   *
   * @throws what {@link assertWhole} throws
   */
  async view(file: LookedAt): Promise<StreamView> {
    this.assertWhole(file.stat.fingerprint);
    return this.#look(file);
  }

  /**
   * To be called before anybody is told what is in a file, or how much.
   *
   * @throws what appends are told, when only the log is sure to have what was acknowledged
   */
  assertWhole(fingerprint: string): void {
    const held = this.held(fingerprint);
    held?.assertWhole();
    const isolation = held === undefined ? this.#isolation(fingerprint) : undefined;
    if (isolation !== undefined) throw isolation;
  }

  /** Tells that a file was deleted, so that no start misses it. */
  async delete(resource: Resource): Promise<void> {
    const { journal } = this.#log;
    const { fingerprint: file, location } = resource;
    this.#log.checkpoints.forget(resource);
    await resource.gone();
    const { version, size: start } = resource.state;
    if (version > 0 && journal.heldSize > 0) {
      const entry = { file, path: location, version, start, length: 0, deleted: true } as const;
      // Without it a start takes the file for lost, and tells of it: nothing worse.
      await new LoneEntry(journal, entry).write().catch(() => undefined);
      // So that the log is shortened after it.
      this.#log.checkpoints.add(resource);
    }
  }

  /**
   * Forgets what is logged of a deleted file that is in quarantine. To be called when it cannot be there again after a
   * loss of power: it would lack that. Never rejects.
   */
  async forget({ fingerprint }: Resource): Promise<void> {
    const quarantine = this.#quarantine;
    const isHeld = quarantine.causeOf(fingerprint) !== undefined;
    // Else the next start tells of bytes that nobody misses: nothing worse.
    await quarantine.remove(fingerprint).catch(() => undefined);
    if (isHeld)
      await this.#log.journal.annulReplayed(({ file }) => file === fingerprint).catch(() => undefined);
  }

  /** Takes no more appends, makes all that is in the log safe beside the files, and lets them go. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#timer);
    const resources = Array.from(this.#holdings.values(), ({ resource }) => resource);
    for (const resource of resources) resource.shutDown();
    // So that the log has nothing more of them afterwards.
    await Promise.all(resources.map((resource) => resource.settled()));
    await this.#log.checkpoints.close();
    // What fails is in the log, and made good by the next start.
    await Promise.allSettled(Array.from(this.#holdings.values(), ({ resource }) => resource.closeFile()));
  }

  async #look(file: LookedAt): Promise<StreamView> {
    const { fingerprint } = file.stat;
    const held = this.held(fingerprint);
    if (held?.isWriting) return { state: held.state, names: held.names };
    const { state } = await this.#store.readOf(file);
    const known = held === undefined ? state : await ahead(held.state, state, file);
    // What a session has committed may not be in the look at the file yet.
    const feed = held?.isClaimed ? held.feed : undefined;
    const size = feed?.committed ?? known.size;
    return viewOf(file, { ...known, size });
  }

  /** Why the file of a stream that is not held may be behind the log. What comes into quarantine later is held until it leaves it. */
  #isolation(fingerprint: string): HttpfstreamError | undefined {
    const quarantine = this.#quarantine;
    return quarantine.has(fingerprint) ? isolationOf(quarantine.causeOf(fingerprint)) : undefined;
  }

  async #make(file: StoredFile): Promise<Resource> {
    const { location, stat } = file;
    const { fingerprint, generation } = stat;
    const { state, isDamaged } = await this.#store.readOf(file);
    return new Resource(this.#log, this, {
      fingerprint,
      location,
      generation,
      state,
      isolation: this.#isolation(fingerprint),
      isDamaged,
    });
  }

  /** Lets a stream go when it is not needed any more, or keeps it for a while. */
  #letGo(resource: Resource): void {
    const holding = this.#holdings.get(resource.fingerprint);
    if (
      this.#isClosing ||
      holding?.resource !== resource ||
      holding.users > 0 ||
      this.#log.checkpoints.has(resource)
    )
      return;
    if (resource.isGone) {
      this.#drop(resource);
      return;
    }
    this.#idle.add(resource);
    if (this.#idle.size > MAX_IDLE) this.#drop(this.#idle.values().next().value as Resource);
    this.#timer ??= setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }

  #drop(resource: Resource): void {
    this.#idle.delete(resource);
    this.#recent.delete(resource);
    const holding = this.#holdings.get(resource.fingerprint);
    for (const key of holding?.keys ?? []) this.#seen.delete(key);
    this.#holdings.delete(resource.fingerprint);
    // What it has brought is remembered, so that it does not matter whether this works.
    void resource.closeFile().catch(() => undefined);
  }

  /** Drops those that were idle the last time, too. */
  #dropIdle(): void {
    this.#timer = undefined;
    for (const resource of this.#idle) if (!this.#recent.has(resource)) this.#drop(resource);
    this.#recent.clear();
    if (this.#idle.size > 0) this.#timer = setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }
}
