import { ServerClosingError, StorageBusyError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { type IdleOptions, IdlePulls, SWEEP_MS } from './idle-pulls.ts';
import { KnownVerdicts } from './known-verdicts.ts';
import { LivePaths } from './live-paths.ts';
import type { Asker } from './pull/asker.ts';
import { Pull, type PullOptions } from './pull/pull.ts';
import { FAILED_MS, UNKNOWN, type Verdict } from './pull/verdict.ts';
import { WaitingPaths } from './pull/waiters.ts';
import type { Wanted } from './readiness.ts';
import type { Upstream } from './upstream/upstream.ts';
import type { Upstreams } from './upstreams.ts';

/** Options of {@link Pulls}. */
export interface PullsOptions extends IdleOptions, PullOptions {
  /** How many there are at a time. */
  maxPulls: number;
}

/**
 * The pulls that there are, one for each path that is being fetched, and what those have found out that are over. They
 * begin for somebody who asks, waits or reads live, and give way to others when nobody reads them any more.
 */
export class Pulls {
  readonly #options: PullsOptions;
  readonly #upstreams: Upstreams;
  readonly #pulls = new Map<string, Pull>();
  readonly #known = new KnownVerdicts();
  readonly #waiting = new WaitingPaths();
  readonly #live = new LivePaths();
  readonly #idle: IdlePulls;
  readonly #maxUnanswered: number;
  #sweep: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(upstreams: Upstreams, options: PullsOptions) {
    this.#upstreams = upstreams;
    this.#options = options;
    this.#idle = new IdlePulls(options);
    const { maxPulls } = options;
    // One that does not answer leaves places to the others.
    this.#maxUnanswered = upstreams.areSeveral ? Math.max(1, Math.floor(maxPulls / 2)) : maxPulls;
  }

  /** The one of a path, if it is being fetched. */
  at({ key }: ResourcePath): Pull | undefined {
    return this.#pulls.get(key);
  }

  /** What was found out of a path a moment ago, if that holds for somebody who asks by way of these servers. */
  known(path: ResourcePath, asker: Wanted, via: string): Verdict | undefined {
    return this.#known.get(path, asker, via);
  }

  /** Forgets what was found out of a path. */
  forget(path: ResourcePath): void {
    this.#known.delete(path);
  }

  /** Whether one can begin at the moment. */
  mayBegin(path: ResourcePath): boolean {
    const isFree = this.at(path) === undefined && this.#options.copies.dropping(path) === undefined;
    return isFree && !this.#isFullFor(this.#upstreams.of(path) as Upstream) && !this.#isClosed;
  }

  /**
   * Begins to fetch a path that comes from elsewhere, and is not being fetched.
   *
   * @param via the servers through which the request has come, this one included
   * @throws {StorageBusyError} when there are too many, or too many that the same server has not answered yet
   * @throws {ServerClosingError}
   */
  begin(path: ResourcePath, via: string, asker: Pick<Asker, 'revalidates' | 'looksOnly'> = {}): Pull {
    if (this.#isClosed) throw new ServerClosingError('the server is shutting down');
    const upstream = this.#upstreams.of(path) as Upstream;
    if (this.#isFullFor(upstream)) throw new StorageBusyError('too much is being fetched already');
    const waiters = this.#waiting.at(path);
    const { revalidates = false, looksOnly = false } = asker;
    const pull = new Pull({ path, upstream, via, revalidates, looksOnly, waiters }, this.#options);
    this.#pulls.set(path.key, pull);
    void pull.told.then(() => this.#upstreams.note(upstream));
    this.#startSweep();
    void pull.over.then(() => this.#isOver(pull));
    return pull;
  }

  /** Notes that somebody has use for one, who may be about to read it. */
  read(pull: Pull): void {
    this.#idle.read(pull);
  }

  /** Notes that somebody waits for a path as long as it is not there. */
  wait(path: ResourcePath, { waitMs, signal }: Asker): void {
    this.#waiting.at(path).add(waitMs, signal);
    const leave = () => {
      if (this.at(path) === undefined) this.#waiting.letGo(path);
    };
    signal.addEventListener('abort', leave, { once: true });
  }

  /**
   * Has a path of an httpfstream server looked at again and again, as long as somebody reads it live.
   *
   * @param via the servers through which the request has come, this one included
   * @returns to be called when that is over, once
   */
  watch(path: ResourcePath, via: string): () => void {
    this.#startSweep();
    return this.#live.add(path, via);
  }

  /** Tells that a path was changed: what is known of it is old, and what is being found out, too. */
  changed(path: ResourcePath): void {
    this.forget(path);
    this.at(path)?.changed();
    this.#live.changed(path);
  }

  /** Deletes copies that are too much, by and by. */
  makeRoom(): void {
    const { copies } = this.#options;
    if (!copies.isOverfull) return;
    this.#startSweep();
    const isLive = (path: ResourcePath) => this.at(path) !== undefined;
    void copies.evict(isLive, (path) => this.changed(path));
  }

  /** Stops all, and begins none any more; whoever follows is told that the server closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    const reason = new ServerClosingError('the server is shutting down');
    await Promise.all(Array.from(this.#pulls.values(), (pull) => pull.stop(reason)));
  }

  get #isFull(): boolean {
    return this.#pulls.size >= this.#options.maxPulls;
  }

  #isFullFor({ origin }: Upstream): boolean {
    return this.#isFull || this.#originsInArrears.has(origin);
  }

  /** The origins that have not answered as many as may be without an answer. */
  get #originsInArrears(): ReadonlySet<string> {
    const counts = new Map<string, number>();
    // As long as there are few pulls, they are not looked at.
    if (this.#pulls.size >= this.#maxUnanswered) {
      for (const { state, upstream } of this.#pulls.values()) {
        if (state.phase === 'asking') counts.set(upstream.origin, (counts.get(upstream.origin) ?? 0) + 1);
      }
    }
    const full = [...counts].filter(([, count]) => count >= this.#maxUnanswered);
    return new Set(full.map(([origin]) => origin));
  }

  #isOver(pull: Pull): void {
    const { path, via, verdict = UNKNOWN } = pull;
    this.#pulls.delete(path.key);
    this.makeRoom();
    this.#idle.read(pull);
    if (pull.isRemembered) this.#known.add(path, verdict, via);
    if (!this.#waiting.letGo(path) && verdict.kind !== 'stored') this.#beginAnew(pull);
  }

  /** Waits on for those who do, after a while: what they wait for is made here. */
  #beginAnew(pull: Pull): void {
    const { path, via } = pull;
    const begin = () => {
      if (this.#isClosed || this.at(path) !== undefined || this.#waiting.letGo(path)) return;
      if (this.mayBegin(path)) this.begin(path, via);
      else this.#beginAnew(pull);
    };
    setTimeout(begin, FAILED_MS).unref();
  }

  #startSweep(): void {
    if (this.#isClosed) return;
    this.#sweep ??= setInterval(() => this.#sweepAll(), SWEEP_MS).unref();
  }

  #sweepAll(): void {
    this.makeRoom();
    this.#stopIdle();
    this.#noteUpstreams();
    this.#lookAtLive();
    if (this.#pulls.size > 0 || this.#live.count > 0 || this.#options.copies.isOverfull) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #stopIdle(): void {
    const isFull = this.#isFull;
    const origins = this.#originsInArrears;
    this.#idle.stop(this.#pulls.values(), ({ state, upstream }) => {
      return isFull || (state.phase === 'asking' && origins.has(upstream.origin));
    });
  }

  /** Notes which servers are httpfstream servers, as far as something comes from them now. */
  #noteUpstreams(): void {
    const connected = [...this.#pulls.values()].filter(({ isConnected }) => isConnected);
    for (const upstream of new Set(connected.map((pull) => pull.upstream))) {
      void this.#upstreams.note(upstream);
    }
  }

  /** Looks whether what has ended, and is read live, goes on. */
  #lookAtLive(): void {
    for (const live of this.#live.due(performance.now())) {
      const { path, via } = live;
      if (!this.mayBegin(path)) continue;
      if (this.known(path, { waitMs: 0 }, via) !== undefined) continue;
      const pull = this.begin(path, via);
      void pull.over.then(() => live.looked(pull.hasBegun));
    }
  }
}
