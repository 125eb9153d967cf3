import type { Change, NameWatch, NameWatches } from '../storage/name-watches.ts';
import type { Root } from '../storage/root.ts';
import type { WriteTurns } from '../storage/write-turns.ts';
import type { ResourcePath } from '../wire/resource-path.ts';

/** Time between two passes over what the system has notified of: what changes once changes again. */
const PASS_INTERVAL_MS = 100;

/** How long a pass may take. */
const MAX_PASS_MS = 5;

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
  /** Called for each change of which the system notifies; returns whether to look at it. */
  isNews(what: Change): boolean;
  /** Whether its content is changed by this server, so that a look at that can wait. */
  isBusy(): boolean;
  /** Finds out, in line, what is there. Must not fail. */
  look(): void | Promise<void>;
}

interface Watched {
  watcher: PathWatcher;
  names: NameWatch;
  /** Whether the way to it may be another one by now. */
  isStale: boolean;
  /** Whether more than its content has changed. */
  isUrgent: boolean;
}

/**
 * Finds out what other programs do at paths, be they there or not. What the system notifies of makes it soon: it is looked at in passes,
 * however much changes. Sweeps, within a share of the processor's time however many paths there are, make it certain: each
 * path has its turn once a minute, and once a second where the system does not notify. Nobody else looks.
 */
export class PathWatch {
  readonly #root: Root;
  readonly #turns: WriteTurns;
  readonly #limits: PathWatchLimits;
  readonly #names: NameWatches;
  readonly #watched = new Map<PathWatcher, Watched>();
  /** Those for which the system notifies, … */
  readonly #told = new Round<Watched>();
  /** … and those for which it does not. */
  readonly #untold = new Round<Watched>();
  /** Those that the next pass looks at. */
  #changed = new Set<Watched>();
  #passTimer: NodeJS.Timeout | undefined;
  #passedMs = Number.NEGATIVE_INFINITY;
  #sweepTimer: NodeJS.Timeout | undefined;
  #isSweeping = false;

  constructor(root: Root, turns: WriteTurns, limits = LIMITS) {
    this.#root = root;
    this.#turns = turns;
    this.#limits = limits;
    this.#names = root.watches(limits.maxDirectories);
  }

  /** Watches until {@link delete}. The first look comes soon: nobody knows what has changed before. */
  add(watcher: PathWatcher): void {
    const names = this.#names.watch(watcher.path.segments, (what) => {
      if (what === 'way') watched.isStale = true;
      if (!watcher.isNews(what)) return;
      if (what !== 'content') watched.isUrgent = true;
      this.#notice(watched);
    });
    const watched = { watcher, names, isStale: false, isUrgent: true };
    this.#watched.set(watcher, watched);
    this.#sort(watched);
    this.#notice(watched);
    this.#sweepTimer ??= setInterval(() => void this.#sweep(), this.#limits.sweepIntervalMs).unref();
  }

  /** Idempotent. */
  delete(watcher: PathWatcher): void {
    const watched = this.#watched.get(watcher);
    if (watched === undefined) return;
    watched.names.close();
    this.#watched.delete(watcher);
    this.#changed.delete(watched);
    this.#told.delete(watched);
    this.#untold.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = undefined;
  }

  /** Whether the system notifies of what changes there. */
  isTold(watcher: PathWatcher): boolean {
    return this.#watched.get(watcher)?.names.isTold ?? false;
  }

  #notice(watched: Watched): void {
    this.#changed.add(watched);
    this.#schedulePass();
  }

  #schedulePass(): void {
    const inMs = this.#passedMs + PASS_INTERVAL_MS - performance.now();
    this.#passTimer ??= setTimeout(() => void this.#pass(), Math.max(0, inMs)).unref();
  }

  /** Those that are left have their turn in the next one. */
  async #pass(): Promise<void> {
    const due = this.#changed;
    this.#changed = new Set();
    const left: Watched[] = [];
    const endMs = performance.now() + MAX_PASS_MS;
    for (const watched of due) {
      const isOver = performance.now() > endMs;
      if (isOver || (!watched.isUrgent && watched.watcher.isBusy())) left.push(watched);
      else await this.#look(watched);
    }
    this.#changed = new Set([...left, ...this.#changed].filter((watched) => this.#isWatched(watched)));
    this.#passedMs = performance.now();
    this.#passTimer = undefined;
    if (this.#changed.size > 0) this.#schedulePass();
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    const budgetMs = this.#limits.sweepIntervalMs * SHARE;
    const beginMs = performance.now();
    const endMs = beginMs + budgetMs;
    // They leave half of the time to the others.
    const toldEndMs = this.#untold.size > 0 ? beginMs + budgetMs / 2 : endMs;
    await this.#lookAround(this.#told, Math.ceil(this.#told.size / SWEEPS), toldEndMs);
    await this.#lookAround(this.#untold, this.#untold.size, endMs);
    this.#isSweeping = false;
  }

  async #lookAround(round: Round<Watched>, count: number, endMs: number): Promise<void> {
    for (; count > 0 && performance.now() < endMs; count--) {
      const watched = round.next();
      if (watched === undefined) return;
      // The system may have missed something.
      watched.isStale = true;
      await this.#look(watched);
    }
  }

  async #look(watched: Watched): Promise<void> {
    const { watcher, names } = watched;
    // A disk that is slow must not hold everybody up.
    if (!this.#turns.isInLine(0)) await this.#turns.byThread(() => this.#root.prefetch(watcher.path));
    if (!this.#isWatched(watched)) return;
    watched.isUrgent = false;
    if (watched.isStale) {
      watched.isStale = false;
      this.#turns.inLine(() => names.renew());
      this.#sort(watched);
    }
    await watcher.look();
  }

  #isWatched(watched: Watched): boolean {
    return this.#watched.get(watched.watcher) === watched;
  }

  #sort(watched: Watched): void {
    const [round, other] = watched.names.isTold ? [this.#told, this.#untold] : [this.#untold, this.#told];
    other.delete(watched);
    round.add(watched);
  }
}

/** Goes round those who are in it: all get their turn, in order, whoever comes and goes meanwhile. */
class Round<T> {
  readonly #all = new Set<T>();
  #rest = this.#all.values();

  get size(): number {
    return this.#all.size;
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
