import fs from 'node:fs';
import path from 'node:path';
import type { FileSystems } from './file-systems.ts';

/**
 * Of how many changes of contents that are no news the system may notify in a directory until {@link
 * NameWatches.resume}: to be told what one has written oneself costs as much as writing it.
 */
const MAX_OLD_NEWS = 100;

/**
 * What has changed: with `name` something was made there, moved there or away, or deleted; with `content` what is there
 * was written, cut, or given other rights; with `way` a directory that leads there has come or gone, or is another one.
 */
export type Change = 'name' | 'content' | 'way';

/** Who is notified of changes. */
export interface ChangeListener {
  /** Whether it must be notified of everything, also where this server writes all the time. */
  readonly needsAll: boolean;
  /**
   * Called when something has changed. After `way`, {@link NameWatch.renew} is to be called before anybody looks.
   *
   * @returns whether that may be news, and not what this server has written
   */
  changed(what: Change): boolean;
}

/**
 * Tells when names appear and go: one watch of the system for each directory on the way to them, as far as there are
 * any, for all who watch there. It is no more than a hint: not every file system tells, and a system watches only so
 * many.
 */
export class NameWatches {
  readonly #root: string;
  readonly #maxDirectories: number;
  /** Those on the way to what is watched that are there, by their paths below the root. */
  readonly #directories = new Map<string, DirectoryWatch>();
  readonly #shared: Shared;

  /**
   * @param root absolute
   * @param maxDirectories how many directories are watched at most
   */
  constructor(root: string, fileSystems: FileSystems, maxDirectories: number) {
    this.#root = root;
    this.#maxDirectories = maxDirectories;
    this.#shared = { fileSystems, open: new Set(), paused: new Set(), hasPaused: false, turn: 0, era: 0 };
  }

  /**
   * Notifies `listener` soon after something has changed at a name, until the watch is closed.
   *
   * @param segments the names that lead there from the root
   */
  watch(segments: readonly string[], listener: ChangeListener): NameWatch {
    const watch = new NameWatch(this, segments, listener);
    this.lookAnew();
    watch.renew();
    return watch;
  }

  /**
   * From now on each directory is looked at once more, by whoever is the first to be renewed. All others take what was
   * found: thousands may be on their way through the same one.
   */
  lookAnew(): void {
    this.#shared.era++;
  }

  /**
   * Lets the system notify again of directories in which too much has changed for that.
   *
   * @returns whether there were any since the last time: of what has changed there meanwhile nobody is notified
   */
  resume(): boolean {
    this.lookAnew();
    const { paused, hasPaused } = this.#shared;
    this.#shared.hasPaused = false;
    this.#shared.turn++;
    for (const directory of [...paused]) {
      paused.delete(directory);
      this.look(directory);
    }
    return hasPaused;
  }

  /** Adds a watch to those who are told of a directory on their way. */
  enter(watch: NameWatch, depth: number): DirectoryWatch {
    const key = watch.segments.slice(0, depth).join('/');
    const directory =
      this.#directories.get(key) ?? new DirectoryWatch(key, path.join(this.#root, key), depth, this.#shared);
    this.#directories.set(key, directory);
    directory.add(watch);
    return directory;
  }

  /** Takes it away. */
  leave(watch: NameWatch, directory: DirectoryWatch): void {
    directory.delete(watch);
    if (directory.isUsed) return;
    directory.close();
    this.#directories.delete(directory.key);
  }

  /** Looks which directory is there, and watches that. */
  look(directory: DirectoryWatch): Found {
    return directory.look(this.#shared.open.size < this.#maxDirectories);
  }

  /**
   * What is at a name, if its directory is there; what may be changed by other names is a symlink, or has more of its
   * kind.
   */
  lookAt(segments: readonly string[]): Found {
    try {
      const stat = fs.lstatSync(path.join(this.#root, ...segments), { throwIfNoEntry: false });
      const hasOthers = stat?.isSymbolicLink() || (stat?.isFile() && stat.nlink > 1);
      return { isThere: stat !== undefined, isNotified: !hasOthers };
    } catch {
      return { isThere: true, isNotified: false };
    }
  }
}

/** The watch of a name, and of the way to it. */
export class NameWatch {
  readonly segments: readonly string[];
  /** See {@link ChangeListener}. */
  readonly needsAll: boolean;
  readonly #watches: NameWatches;
  readonly #listener: ChangeListener;
  /** The directories on the way that are there, from the root down. */
  #way: readonly DirectoryWatch[] = [];
  #isNotified = false;
  #isMissing = false;

  constructor(watches: NameWatches, segments: readonly string[], listener: ChangeListener) {
    this.#watches = watches;
    this.segments = segments;
    this.needsAll = listener.needsAll;
    this.#listener = listener;
  }

  /**
   * Whether the system tells all that changes there; it does not tell what becomes of what symlinks lead to, or other
   * hard links.
   */
  get isNotified(): boolean {
    return this.#isNotified;
  }

  /** Whether nothing was there, not even a symlink, when it was renewed. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Watches the directories that are on the way now. */
  renew(): void {
    const { length } = this.segments;
    let isNotified = true;
    const way = [...this.#way];
    let depth = 0;
    for (; depth < length; depth++) {
      // Before anybody looks what is in it.
      const directory = way[depth] ?? this.#watches.enter(this, depth);
      way[depth] = directory;
      const found = this.#watches.look(directory);
      isNotified &&= found.isNotified;
      if (!found.isThere) break;
    }
    // A symlink on the way, or what cannot be looked at, is no end of it.
    const found =
      depth === length ? this.#watches.lookAt(this.segments) : { isThere: !isNotified, isNotified };
    this.#isNotified = isNotified && found.isNotified;
    this.#isMissing = !found.isThere;
    this.#keep(way, depth);
  }

  /** Tells of a change in a directory that is so many names deep. */
  changed(depth: number, what: Change): boolean {
    return this.#listener.changed(depth === this.segments.length - 1 ? what : 'way');
  }

  /** Idempotent. */
  close(): void {
    this.#keep(this.#way, 0);
  }

  /** Keeps so many directories of a way, in a list that is no longer than that: there are many watches. */
  #keep(way: readonly DirectoryWatch[], depth: number): void {
    this.#way = way.slice(0, depth);
    for (const directory of way.slice(depth)) this.#watches.leave(this, directory);
  }
}

/** What is at the path of a directory. */
interface Found {
  /** Whether there is one. */
  isThere: boolean;
  /** Whether the system tells when that changes, and what changes in it. */
  isNotified: boolean;
}

/** What all directories have in common. */
interface Shared {
  readonly fileSystems: FileSystems;
  /** Those of which the system tells. */
  readonly open: Set<DirectoryWatch>;
  /** Those of which it does not until {@link NameWatches.resume}, though they count as notified. */
  readonly paused: Set<DirectoryWatch>;
  /** Whether there were any since that was called. */
  hasPaused: boolean;
  /** How often it was called. */
  turn: number;
  /** Another one whenever what was found may not be so any more. */
  era: number;
}

const UNKNOWN: Found = { isThere: false, isNotified: false };

/** The watch of what is at the path of a directory. */
class DirectoryWatch {
  readonly key: string;
  readonly #location: string;
  readonly #depth: number;
  readonly #shared: Shared;
  /** By names in it: mostly there is one of each. */
  readonly #watches = new Map<string, NameWatch | Set<NameWatch>>();
  #watcher: fs.FSWatcher | undefined;
  /** Which directory is watched, … */
  #identity: Identity | undefined;
  /** … or was, until it was paused. */
  #isWatched = false;
  #found = UNKNOWN;
  /** When that was. */
  #foundIn: number | undefined;
  /** How many of those who watch here need to be notified of everything. */
  #needingAll = 0;
  /** Of how many changes of contents that are no news the system has notified in a turn. */
  #oldNews = 0;
  #countedIn: number | undefined;

  constructor(key: string, location: string, depth: number, shared: Shared) {
    this.key = key;
    this.#location = location;
    this.#depth = depth;
    this.#shared = shared;
  }

  /** Whether anybody watches here. */
  get isUsed(): boolean {
    return this.#watches.size > 0;
  }

  add(watch: NameWatch): void {
    if (watch.needsAll) this.#needingAll++;
    // Whoever comes is about to look.
    if (watch.needsAll && this.#shared.paused.delete(this)) this.#foundIn = undefined;
    const name = this.#nameOf(watch);
    const others = this.#watches.get(name);
    if (others === undefined) this.#watches.set(name, watch);
    else if (others instanceof Set) others.add(watch);
    else this.#watches.set(name, new Set([others, watch]));
  }

  delete(watch: NameWatch): void {
    if (watch.needsAll) this.#needingAll--;
    const name = this.#nameOf(watch);
    const watches = this.#watches.get(name);
    if (watches instanceof Set) watches.delete(watch);
    if (watches === watch || (watches instanceof Set && watches.size === 0)) this.#watches.delete(name);
  }

  /**
   * Finds out what is there, and watches it, unless that is done already.
   *
   * @param mayOpen whether one more may be watched
   */
  look(mayOpen: boolean): Found {
    if (this.#foundIn !== this.#shared.era) {
      this.#found = this.#lookAnew(mayOpen);
      this.#foundIn = this.#shared.era;
    }
    return this.#found;
  }

  /** Idempotent. */
  close(): void {
    this.#shared.paused.delete(this);
    this.#isWatched = false;
    this.#stop();
  }

  #stop(): void {
    if (this.#watcher === undefined) return;
    this.#watcher.close();
    this.#watcher = undefined;
    this.#identity = undefined;
    this.#shared.open.delete(this);
    // Another one may be watched in its place.
    this.#shared.era++;
  }

  #lookAnew(mayOpen: boolean): Found {
    try {
      const found = fs.lstatSync(this.#location, { bigint: true, throwIfNoEntry: false });
      const isLink = found?.isSymbolicLink() ?? false;
      const stat = isLink ? fs.statSync(this.#location, { bigint: true, throwIfNoEntry: false }) : found;
      if (!stat?.isDirectory()) {
        this.close();
        return { isThere: false, isNotified: !isLink };
      }
      // From before it is watched: should another come in between, it is opened anew the next time.
      this.#watch(stat, mayOpen);
      const notifiesAll = this.#isWatched && this.#shared.fileSystems.notifiesAll(stat.dev);
      return { isThere: true, isNotified: notifiesAll && !isLink };
    } catch {
      return UNKNOWN;
    }
  }

  #watch(found: Identity, mayOpen: boolean): void {
    if (isSame(found, this.#identity) || this.#shared.paused.has(this)) return;
    const mayStayOpen = mayOpen || this.#watcher !== undefined;
    this.close();
    if (!mayStayOpen) return;
    try {
      this.#watcher = fs.watch(this.#location, { persistent: false }, (event, name) => {
        this.#shared.era++;
        if (name === null) return;
        const what = event === 'rename' ? 'name' : 'content';
        const isNews = this.#notify(this.#watches.get(name), what);
        if (what === 'content' && !isNews) this.#countOldNews();
      });
    } catch {
      // The system watches no more, or not there.
      return;
    }
    const { dev, ino, birthtimeNs } = found;
    this.#identity = { dev, ino, birthtimeNs };
    this.#isWatched = true;
    this.#shared.fileSystems.ask(dev, this.#location, () => this.#shared.era++);
    this.#shared.open.add(this);
    this.#watcher.on('error', () => {
      this.close();
      for (const watches of this.#watches.values()) this.#notify(watches, 'way');
    });
  }

  #countOldNews(): void {
    if (this.#countedIn !== this.#shared.turn) this.#oldNews = 0;
    this.#countedIn = this.#shared.turn;
    this.#oldNews++;
    if (this.#oldNews > MAX_OLD_NEWS && this.#needingAll === 0) this.#pause();
  }

  #pause(): void {
    this.#stop();
    this.#shared.paused.add(this);
    this.#shared.hasPaused = true;
  }

  /** @returns whether that may be news to somebody */
  #notify(watches: NameWatch | ReadonlySet<NameWatch> | undefined, what: Change): boolean {
    if (watches instanceof NameWatch) return watches.changed(this.#depth, what);
    let isNews = false;
    for (const watch of watches ?? []) isNews = watch.changed(this.#depth, what) || isNews;
    return isNews;
  }

  #nameOf({ segments }: NameWatch): string {
    return segments[this.#depth] as string;
  }
}

/** Tells a directory from one that was made in its place, perhaps with the same inode number. */
type Identity = Pick<fs.BigIntStats, 'dev' | 'ino' | 'birthtimeNs'>;

function isSame(found: Identity, known: Identity | undefined): boolean {
  return found.ino === known?.ino && found.dev === known.dev && found.birthtimeNs === known.birthtimeNs;
}
