import type { Change, ChangeListener, NameWatch, NameWatches } from '../../storage/root/name-watches.ts';
import type { Root } from '../../storage/root/root.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';

/** Time between two passes over what the system has notified of: what changes once changes again. */
const PASS_INTERVAL_MS = 100;

/** The same while there is more to look at than a pass may take. */
const BACKLOG_INTERVAL_MS = 50;

/** How long a pass may take. */
const MAX_PASS_MS = 5;

/** What counts of the time for which a thread is waited for: it holds nobody else up. */
const WAITING_SHARE = 0.05;

/** How much of the processor's time sweeps take at most. */
const SHARE = 0.004;

/** In how many sweeps each path has its turn for which the system notifies. */
const SWEEPS = 60;

/** Bounds of a {@link PathWatch}. */
export interface PathWatchLimits {
  /** Time between two sweeps. */
  sweepIntervalMs: number;
  /** How many directories are watched at most. */
  maxDirectories: number;
}

// Some systems let all programs of a user watch 8,192 directories.
const LIMITS: PathWatchLimits = { sweepIntervalMs: 1000, maxDirectories: 8192 };

/** Who is notified of what other programs do at a path. */
export interface PathWatcher {
  readonly path: ResourcePath;
  /** Whether it only waits until something is there: those who have something open come first. */
  readonly isWaiting: boolean;
  /**
   * Whether it must be notified of everything soon. Else it learns of what happens in a directory in which this server
   * writes all the time when it has its turn.
   */
  readonly needsAll: boolean;
  /** Notifies it of a change of which the system has notified; returns whether to look at it. */
  notify(what: Change): boolean;
  /**
   * Called when it is due because of its content only; returns whether the look can wait, since this server writes it.
   */
  defersLook(): boolean;
  /** Finds out, in line, what is there. Must not fail. */
  look(): void | Promise<void>;
}

/** Who makes the looks. */
interface Looker {
  /** Called when it is to be looked at because something has changed there. */
  notice(watched: Watched, what: Change): void;
}

/** What is known of one path. */
class Watched implements ChangeListener {
  readonly watcher: PathWatcher;
  readonly needsAll: boolean;
  readonly names: NameWatch;
  readonly #looker: Looker;
  /** Whether the way to it may be another one by now. */
  isStale = false;
  /** Whether more than its content has changed. */
  isUrgent = true;

  constructor(watcher: PathWatcher, names: NameWatches, looker: Looker) {
    this.watcher = watcher;
    this.needsAll = watcher.needsAll;
    this.#looker = looker;
    this.names = names.watch(watcher.path.segments, this);
  }

  changed(what: Change): boolean {
    if (what === 'way') this.isStale = true;
    if (!this.watcher.notify(what)) return true;
    if (what !== 'content') this.isUrgent = true;
    this.#looker.notice(this, what);
    return what !== 'content' || !this.watcher.defersLook();
  }
}

/**
 * Finds out what other programs do at paths, be they there or not. What the system notifies of makes it soon: it is
 * looked at in passes, however much changes. Sweeps, within a share of the processor's time however many paths there
 * are, make it certain: each path has its turn once a minute, and once a second where the system does not notify, or
 * has paused. Nobody else looks.
 */
export class PathWatch implements Looker {
  readonly #root: Root;
  readonly #turns: WriteTurns;
  readonly #limits: PathWatchLimits;
  readonly #names: NameWatches;
  readonly #watched = new Map<PathWatcher, Watched>();
  /** Those for which the system notifies, … */
  readonly #notified = new Round<Watched>();
  /** … and those for which it does not. */
  readonly #unnotified = new Round<Watched>();
  /** Those that passes look at. */
  readonly #due = new Due<Watched>();
  #passTimer: NodeJS.Timeout | undefined;
  #nextPassMs = Number.NEGATIVE_INFINITY;
  #sweepTimer: NodeJS.Timeout | undefined;
  #isSweeping = false;
  /** How many of those for which the system notifies are to have their turn since it has paused. */
  #unseen = 0;

  constructor(root: Root, turns: WriteTurns, limits = LIMITS) {
    this.#root = root;
    this.#turns = turns;
    this.#limits = limits;
    this.#names = root.watches(limits.maxDirectories);
  }

  /** Watches until {@link delete}. The first look comes soon: nobody knows what has changed before. */
  add(watcher: PathWatcher): void {
    const watched = new Watched(watcher, this.#names, this);
    this.#watched.set(watcher, watched);
    this.#sort(watched);
    this.notice(watched, 'way');
    this.#sweepTimer ??= setInterval(() => void this.#sweep(), this.#limits.sweepIntervalMs).unref();
  }

  /** Idempotent. */
  delete(watcher: PathWatcher): void {
    const watched = this.#watched.get(watcher);
    if (watched === undefined) return;
    watched.names.close();
    this.#watched.delete(watcher);
    this.#due.delete(watched);
    this.#notified.delete(watched);
    this.#unnotified.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = undefined;
  }

  /** Whether the system notifies of what changes there. */
  isNotified(watcher: PathWatcher): boolean {
    return this.#watched.get(watcher)?.names.isNotified ?? false;
  }

  notice(watched: Watched, what: Change): void {
    // A directory that comes may bring what thousands wait for, and mostly brings it to few of them.
    const wayOnly = what === 'way' ? 'waysOfWaiters' : 'waiters';
    this.#due.add(watched, watched.watcher.isWaiting ? wayOnly : 'files');
    this.#schedulePass();
  }

  #schedulePass(): void {
    const inMs = this.#nextPassMs - performance.now();
    this.#passTimer ??= setTimeout(() => void this.#pass(), Math.max(0, inMs)).unref();
  }

  /** Those that are left have their turn in the next one. */
  async #pass(): Promise<void> {
    this.#names.lookAnew();
    const resting: Watched[] = [];
    let isOver = false;
    let beginMs = performance.now();
    // Who changes meanwhile has had a turn, or has it in the next one.
    for (let { size } = this.#due; size > 0 && !isOver; size--) {
      const watched = this.#due.take();
      if (watched === undefined) break;
      if (!watched.isUrgent && watched.watcher.defersLook()) resting.push(watched);
      else beginMs += await this.#look(watched);
      isOver = performance.now() - beginMs > MAX_PASS_MS;
    }
    for (const watched of resting) if (this.#isWatched(watched)) this.#due.add(watched, 'files');
    this.#nextPassMs = performance.now() + (isOver ? BACKLOG_INTERVAL_MS : PASS_INTERVAL_MS);
    this.#passTimer = undefined;
    if (this.#due.size > 0) this.#schedulePass();
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    // The system may have missed something, too.
    if (this.#names.resume()) this.#unseen = this.#notified.size;
    const budgetMs = this.#limits.sweepIntervalMs * SHARE;
    const beginMs = performance.now();
    const endMs = beginMs + budgetMs;
    // They leave half of the time to the others.
    const notifiedEndMs = this.#unnotified.size > 0 ? beginMs + budgetMs / 2 : endMs;
    const turns = Math.max(Math.ceil(this.#notified.size / SWEEPS), this.#unseen);
    const { looks, waitedMs } = await this.#lookAround(this.#notified, turns, notifiedEndMs);
    this.#unseen = Math.max(0, this.#unseen - looks);
    await this.#lookAround(this.#unnotified, this.#unnotified.size, endMs + waitedMs);
    this.#isSweeping = false;
  }

  /** @returns how many were looked at, and the time that does not count */
  async #lookAround(
    round: Round<Watched>,
    count: number,
    endMs: number,
  ): Promise<{ looks: number; waitedMs: number }> {
    let looks = 0;
    let waitedMs = 0;
    for (; looks < count && performance.now() - waitedMs < endMs; looks++) {
      const watched = round.next();
      if (watched === undefined) break;
      watched.isStale = true;
      waitedMs += await this.#look(watched);
    }
    return { looks, waitedMs };
  }

  /** @returns the time that does not count */
  async #look(watched: Watched): Promise<number> {
    const { watcher, names } = watched;
    const waitedMs = await this.#prefetch(watcher.path);
    if (!this.#isWatched(watched)) return waitedMs;
    watched.isUrgent = false;
    if (watched.isStale) {
      watched.isStale = false;
      this.#turns.inLine(() => names.renew());
      this.#sort(watched);
      if (watcher.isWaiting && names.isMissing) return waitedMs;
    }
    await watcher.look();
    return waitedMs;
  }

  /** A disk that is slow must not hold everybody up. */
  async #prefetch(path: ResourcePath): Promise<number> {
    if (this.#turns.isInLine(0)) return 0;
    const beginMs = performance.now();
    await this.#turns.byThread(() => this.#root.prefetch(path));
    return (performance.now() - beginMs) * (1 - WAITING_SHARE);
  }

  #isWatched(watched: Watched): boolean {
    return this.#watched.get(watched.watcher) === watched;
  }

  #sort(watched: Watched): void {
    const [round, other] = watched.names.isNotified
      ? [this.#notified, this.#unnotified]
      : [this.#unnotified, this.#notified];
    other.delete(watched);
    round.add(watched);
  }
}

/**
 * What is to be looked at: what somebody has open, names that are waited for, and those to which only the way has
 * changed.
 */
type Kind = 'files' | 'waiters' | 'waysOfWaiters';

/** Which kind has its turn, round by round; where there is none of it, the first of which there is any. */
const TURNS: readonly Kind[] = ['files', 'waiters', 'files', 'waysOfWaiters'];

/** Who is to be looked at, each kind in order. However many there are of one, the others have their turns. */
class Due<T> {
  readonly #kinds: Record<Kind, Round<T>> = {
    files: new Round(),
    waiters: new Round(),
    waysOfWaiters: new Round(),
  };
  #turn = 0;

  get size(): number {
    const { files, waiters, waysOfWaiters } = this.#kinds;
    return files.size + waiters.size + waysOfWaiters.size;
  }

  /** Idempotent. */
  add(one: T, kind: Kind): void {
    const { waiters, waysOfWaiters } = this.#kinds;
    if (kind === 'waysOfWaiters' && waiters.has(one)) return;
    waysOfWaiters.delete(one);
    this.#kinds[kind].add(one);
  }

  delete(one: T): void {
    for (const round of Object.values(this.#kinds)) round.delete(one);
  }

  /** Whose turn it is, and is over by that. */
  take(): T | undefined {
    const kind = TURNS[this.#turn++ % TURNS.length] as Kind;
    const { files, waiters, waysOfWaiters } = this.#kinds;
    const round = [this.#kinds[kind], files, waiters, waysOfWaiters].find(({ size }) => size > 0);
    const one = round?.next();
    if (one !== undefined) round?.delete(one);
    return one;
  }
}

/** Goes round those who are in it: all get their turn, in order, whoever comes and goes meanwhile. */
class Round<T> {
  readonly #all = new Set<T>();
  #rest = this.#all.values();

  get size(): number {
    return this.#all.size;
  }

  has(one: T): boolean {
    return this.#all.has(one);
  }

  add(one: T): void {
    this.#all.add(one);
  }

  delete(one: T): void {
    this.#all.delete(one);
  }

  /** Whose turn it is; undefined when nobody is there. */
  next(): T | undefined {
    const { done, value } = this.#rest.next();
    if (done !== true) return value;
    this.#rest = this.#all.values();
    return this.#rest.next().value;
  }
}
