import { Pace } from '../../storage/root/pace.ts';
import type { Root } from '../../storage/root/root.ts';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Directories, ResourceEntry } from '../directories.ts';
import type { Permit } from '../permit.ts';
import type { LiveNames } from '../sessions/live-names.ts';

/** How often it is told what has changed. */
const FLUSH_MS = 250;

/** How often it is looked which files are appended to. */
const LOOK_MS = 1000;

/** How many names are told of one by one; with more, everything is to be looked at anew, … */
const MAX_NAMES = 256;

/** … which is not told more often than this. */
const ALL_MS = 5000;

/** At how many that are appended to it is looked each time: all have their turn. */
const MAX_LIVE_LOOKS = 200;

/** What is at a name that may have changed; `entry` is undefined when nothing is. */
export interface DirectoryChange {
  name: string;
  entry: ResourceEntry | undefined;
}

/** Who wants to know what changes in a directory. */
export interface DirectoryListener {
  /** Called four times a second at most. */
  changed(changes: readonly DirectoryChange[]): void;
  /** Called in its place when too much has changed: anything may be another by now. */
  changedAll(): void;
  /** Called once, when the directory is not there any more. */
  gone(): void;
}

/** What directories are watched with. */
export interface DirectoryWatchesDependencies {
  root: Root;
  directories: Directories;
  /** Says what is appended to. */
  liveNames: LiveNames;
}

/**
 * Tells what changes in directories: what the system notifies of (names that come and go, files that are written by whomever),
 * and how appends stand, which it does not know. One timer, which runs only while anybody wants to know.
 */
export class DirectoryWatches {
  readonly #dependencies: DirectoryWatchesDependencies;
  readonly #watched = new Map<string, WatchedDirectory>();
  #timer: NodeJS.Timeout | undefined;
  /** Whether a round is under way. */
  #isLooking = false;

  constructor(dependencies: DirectoryWatchesDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Tells what changes in a directory from now on.
   *
   * @returns to be called when nobody wants to know any more
   * @throws {ResourceNotFoundError} when there is no such directory
   */
  async watch({ path }: Permit<'list'>, listener: DirectoryListener): Promise<() => void> {
    const identity = await this.#identityOf(path);
    const { key } = path;
    let watched = this.#watched.get(key);
    if (watched?.isOf(identity) !== true) {
      // Another one was here before: who wanted to know of that is told so.
      void watched?.look();
      watched = new WatchedDirectory(this.#dependencies, path, identity);
      this.#watched.set(key, watched);
    }
    watched.listeners.add(listener);
    this.#timer ??= setInterval(() => void this.#lookAround(), LOOK_MS).unref();
    void watched.look();
    const joined = watched;
    return () => this.#leave(joined, listener);
  }

  /** @throws what {@link watch} would throw */
  async assertMayWatch({ path }: Permit<'list'>): Promise<void> {
    await this.#identityOf(path);
  }

  async #identityOf(path: ResourcePath): Promise<string> {
    const { kind, identity } = await this.#dependencies.root.stat(path);
    if (kind !== 'directory') throw new ResourceNotFoundError('there is no directory at this path');
    return identity;
  }

  #leave(watched: WatchedDirectory, listener: DirectoryListener): void {
    watched.listeners.delete(listener);
    if (watched.listeners.size > 0) return;
    watched.close();
    if (this.#watched.get(watched.path.key) === watched) this.#watched.delete(watched.path.key);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks at all of them, one round at a time. Who comes meanwhile has had a look, or has it in the next one. */
  async #lookAround(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const pace = new Pace();
      for (const watched of [...this.#watched.values()]) {
        await watched.look();
        await pace.rest();
      }
    } finally {
      this.#isLooking = false;
    }
  }
}

/** A directory that somebody wants to know about. */
class WatchedDirectory {
  readonly path: ResourcePath;
  readonly listeners = new Set<DirectoryListener>();
  readonly #dependencies: DirectoryWatchesDependencies;
  readonly #identity: string;
  readonly #stop: (() => void) | undefined;
  /** Whether the system has notified of anything since the last look. */
  #isNotified = false;
  /** Whether it had not of a change that the last look saw. */
  #wasSilent = false;
  /** Names at which something may have changed. */
  readonly #names = new Set<string>();
  /** What was told last of those that are appended to, which may change without a change of the file. */
  readonly #live = new Map<string, string>();
  #hasTooMany = false;
  #timer: NodeJS.Timeout | undefined;
  #isFlushing = false;
  #isClosed = false;
  #mtimeNs: bigint | undefined;
  #toldAllMs = Number.NEGATIVE_INFINITY;

  constructor(dependencies: DirectoryWatchesDependencies, path: ResourcePath, identity: string) {
    this.#dependencies = dependencies;
    this.path = path;
    this.#identity = identity;
    this.#stop = dependencies.root.entries.watch(path, (name) => {
      this.#isNotified = true;
      this.#note(name);
    });
  }

  /** Whether it tells of the directory with this identity, and still does. */
  isOf(identity: string): boolean {
    return !this.#isClosed && this.#identity === identity;
  }

  /** Looks whether it is still there, and at what the system does not notify of. Nothing once it is closed. */
  async look(): Promise<void> {
    if (this.#isClosed) return;
    const { root, liveNames } = this.#dependencies;
    for (const name of liveNames.in(this.path)) if (!this.#live.has(name)) this.#note(name);
    const stat = await root.stat(this.path).catch(() => undefined);
    if (this.#isClosed) return;
    if (stat?.identity !== this.#identity) {
      this.close();
      for (const listener of this.listeners) listener.gone();
      return;
    }
    const hasChanged = this.#mtimeNs !== undefined && this.#mtimeNs !== stat.mtimeNs;
    // It may just be under way; on network file systems, say, it never comes.
    const isSilent = this.#wasSilent && !this.#isNotified;
    if (isSilent || (this.#stop === undefined && hasChanged)) this.#noteAll();
    this.#wasSilent = this.#stop !== undefined && hasChanged && !this.#isNotified;
    this.#isNotified = false;
    this.#mtimeNs = stat.mtimeNs;
    for (const [name, said] of [...this.#live].slice(0, MAX_LIVE_LOOKS)) {
      this.#live.delete(name);
      this.#live.set(name, said);
      this.#note(name);
    }
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#stop?.();
    clearTimeout(this.#timer);
  }

  #note(name: string): void {
    this.#names.add(name);
    if (this.#names.size > MAX_NAMES) this.#noteAll();
    else this.#schedule();
  }

  #noteAll(): void {
    this.#hasTooMany = true;
    this.#names.clear();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isFlushing || this.#isClosed) return;
    const allInMs = this.#hasTooMany ? this.#toldAllMs + ALL_MS - performance.now() : 0;
    this.#timer ??= setTimeout(() => void this.#flush(), Math.max(FLUSH_MS, allInMs)).unref();
  }

  async #flush(): Promise<void> {
    this.#timer = undefined;
    this.#isFlushing = true;
    const names = [...this.#names];
    this.#names.clear();
    if (this.#hasTooMany) {
      this.#hasTooMany = false;
      this.#toldAllMs = performance.now();
      for (const listener of this.listeners) listener.changedAll();
    }
    const changes: DirectoryChange[] = [];
    for (const name of names) {
      const change = await this.#lookAt(name);
      if (change !== undefined) changes.push(change);
    }
    this.#isFlushing = false;
    if (this.#isClosed) return;
    if (changes.length > 0) for (const listener of this.listeners) listener.changed(changes);
    if (this.#names.size > 0 || this.#hasTooMany) this.#schedule();
  }

  /** Undefined when all listeners know how it stands. */
  async #lookAt(name: string): Promise<DirectoryChange | undefined> {
    const entry = await this.#dependencies.directories.entry(this.path, name).catch(() => undefined);
    const said = entry && `${entry.stat.fingerprint} ${entry.size} ${entry.standing?.state}`;
    const isKnown = said !== undefined && said === this.#live.get(name);
    const isLive = entry?.standing?.state === 'live' || entry?.standing?.state === 'waiting';
    if (isLive) this.#live.set(name, said as string);
    else this.#live.delete(name);
    return isKnown ? undefined : { name, entry };
  }
}
