import { setTimeout as delay } from 'node:timers/promises';
import type { Core } from '../../core/core.ts';
import {
  QuotaExceededError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  ResourceTooLargeError,
  StorageFullError,
  UnreadError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Copies } from '../copies/copies.ts';
import { type Copied, type Found, isNoPlace, mayServeStale } from '../copies/copy-file.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import { isOfTheWay } from '../upstream/reachability.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { UpstreamRequest, type UpstreamRequestOptions } from '../upstream/upstream-request.ts';
import { abortable } from './abortable.ts';
import type { Asker } from './asker.ts';
import { Copying, type Fetched } from './copying.ts';
import { fetchAnswer, type Offered } from './fetched-answer.ts';
import { followFile, holdFile } from './followed-file.ts';
import type { HeldPaths } from './held-paths.ts';
import { Overflow } from './overflow.ts';
import { PullLog, type RelayLog } from './pull-log.ts';
import { PullProgress, type PullState } from './pull-state.ts';
import { followVerdict } from './refusal.ts';
import { FAILED_MS, failed, LOCAL, stored, UNKNOWN, unstored, type Verdict } from './verdict.ts';
import type { Waiters } from './waiters.ts';

/** Why what has no place here is not kept. */
const NO_PLACE = 'something else has its place';

/** What says that there is no room for a copy. */
const OUT_OF_ROOM = [StorageFullError, QuotaExceededError, ResourceTooLargeError];

/** How often what is here may turn out to be outdated while it is looked at. */
const MAX_ATTEMPTS = 3;

/** What pulls are made with. */
export interface PullOptions extends UpstreamRequestOptions {
  core: Core;
  copies: Copies;
  held: HeldPaths;
  log: RelayLog;
  /** How long what is kept may be, in bytes. */
  maxBytes: number;
}

/** For whom a pull begins. */
export interface PullRequest {
  path: ResourcePath;
  upstream: Upstream;
  /** The servers through which the request has come, this one included. */
  via: string;
  /** Whether what is fresh is looked at, too. */
  revalidates: boolean;
  /** Whether it is looked only whether what is here still holds. */
  looksOnly: boolean;
  waiters: Waiters;
}

/**
 * What is being fetched of one path: the appender of an ordinary resource. It belongs to the resource, not to who has
 * asked first. It goes on where the copy here ends, and passes on how the file there ends.
 */
export class Pull {
  readonly path: ResourcePath;
  readonly upstream: Upstream;
  readonly via: string;
  /** Resolves when nothing more comes; never rejects. */
  readonly over: Promise<void>;
  readonly #request: UpstreamRequest;
  readonly #progress = new PullProgress();
  readonly #copying: Copying;
  readonly #overflow = new Overflow();
  readonly #log: PullLog;
  readonly #held: HeldPaths;
  readonly #revalidates: boolean;
  readonly #looksOnly: boolean;
  readonly #waiters: Waiters;
  readonly #aborter = new AbortController();
  readonly #askers = new Set<Pick<Asker, 'left'>>();
  #offered: Offered | undefined;
  /** Whether the server there keeps the file for those who come back. */
  #isHeld = false;
  #holding: Promise<boolean> | undefined;
  #isOutdated = false;
  #isInvalidated = false;

  constructor(request: PullRequest, options: PullOptions) {
    const { path, upstream, via, revalidates, looksOnly, waiters } = request;
    const { core, copies, held, log, maxBytes } = options;
    const { signal } = this.#aborter;
    this.path = path;
    this.upstream = upstream;
    this.via = via;
    this.#revalidates = revalidates;
    this.#looksOnly = looksOnly;
    this.#waiters = waiters;
    this.#held = held;
    this.#log = new PullLog(log, path, upstream);
    this.#request = new UpstreamRequest({ path, upstream, via, signal }, options);
    this.#copying = new Copying(this.#request, copies.at(path), this.#progress, {
      sessions: core.sessions,
      numbers: core.numbers.appends.pull,
      held,
      log: this.#log,
      maxBytes,
    });
    this.over = this.#run();
  }

  /**
   * Resolves with its state when that says what becomes of those who ask for the path. A pull that has brought nothing
   * is stopped when nobody asks any more.
   *
   * @throws the signal's reason when it aborts
   */
  async toldTo({ signal, left }: Pick<Asker, 'signal' | 'left'>): Promise<PullState> {
    const asker = left === undefined ? {} : { left };
    this.#askers.add(asker);
    try {
      await abortable(this.told, signal);
      return this.state;
    } finally {
      this.#askers.delete(asker);
      const isAwaited = this.#askers.size > 0 || this.isAwaited;
      if (signal.aborted && this.state.phase === 'asking' && !isAwaited) {
        this.#abort(new UnreadError('nobody asks any more'));
      }
    }
  }

  /** Resolves when its state says something; never rejects. */
  get told(): Promise<void> {
    return this.#progress.told;
  }

  get state(): PullState {
    return this.#progress.state;
  }

  /** Whether the server there has answered, and bytes may come. */
  get isConnected(): boolean {
    const { state } = this;
    return state.phase === 'waiting' || (state.phase === 'storing' && state.isConnected);
  }

  /** What has become of it, as soon as that is known. */
  get verdict(): Verdict | undefined {
    return this.#progress.verdict;
  }

  /** Whether the path was changed since the server there was asked for it: there is more, or something else. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** Whether anything was appended to the copy, or is. */
  get hasBegun(): boolean {
    return this.#copying.lease !== undefined;
  }

  /** Whether what it has found out holds for those who ask next. */
  get isRemembered(): boolean {
    return !this.#isOutdated && !this.#isInvalidated && (this.verdict?.forMs ?? 0) > 0;
  }

  /** Tells that the path was changed there. */
  changed(): void {
    this.#isOutdated = true;
  }

  /** Has what is here deleted as soon as it is over: its readers get it. */
  invalidate(): void {
    this.#isInvalidated = true;
  }

  /** Takes the answer that is not kept, if nobody has, and it is one to what is asked: it is the caller's own then. */
  takeOffered(asksTo: Asker['asksTo']): OpenAnswer | undefined {
    const offered = this.#offered;
    const isFor =
      offered?.isToFollow === true ? asksTo === 'follow' : asksTo === 'read' || asksTo === 'follow';
    if (!isFor) return undefined;
    this.#offered = undefined;
    return offered?.answer;
  }

  /** What comes beyond what may be kept, for who has asked first, until the signal aborts. */
  overflowFor(signal: AbortSignal): Overflow {
    this.#overflow.wantedUntil(signal);
    return this.#overflow;
  }

  /** What is here. */
  get fetched(): Fetched {
    return this.#copying.fetched;
  }

  /** How many follow it here. */
  get readerCount(): number {
    return this.#copying.lease?.feed.readerCount ?? 0;
  }

  /** Whether anybody who is there for sure waits to be told, or for a file that is not there. */
  get isAwaited(): boolean {
    return this.#waiters.waitMs > 0 || [...this.#askers].some(({ left }) => left?.aborted !== true);
  }

  /** @throws why it was stopped, if it was */
  throwIfStopped(): void {
    this.#request.signal.throwIfAborted();
  }

  /**
   * Has the server there keep what is being followed for those who come back, if it does not do so already. Never
   * rejects.
   *
   * @returns whether it does
   */
  async hold(): Promise<boolean> {
    if (this.#isHeld) return true;
    this.#holding ??= this.#hold().finally(() => {
      this.#holding = undefined;
    });
    return this.#holding;
  }

  /** Notes that one more asks for it. */
  joined(): void {
    this.#log.joined();
  }

  /** Fetches nothing more. Its readers are told that it goes on later. */
  async stop(reason: unknown): Promise<void> {
    this.#abort(reason);
    await this.over;
  }

  /** Fetches nothing more. Who asks from now on waits for no more of it, but until it is over. */
  #abort(reason: unknown): void {
    this.#aborter.abort(reason);
    this.#progress.conclude(UNKNOWN);
  }

  async #hold(): Promise<boolean> {
    this.#isHeld = await holdFile(this.#request, this.fetched, this.#held.holdMs(this.path));
    return this.#isHeld;
  }

  async #run(): Promise<void> {
    const copying = this.#copying;
    this.#progress.conclude(await this.#pull().catch((error) => this.#failed(error)));
    const { verdict } = this;
    const { lease } = copying;
    const isBypass = verdict?.kind === 'bypass';
    // Who has asked first reads what is here to its end, and goes on with the rest.
    if (isBypass) await this.#overflow.settled;
    // Whoever reads it comes back. Nothing happens if it has ended.
    await lease?.end('shutdown');
    copying.count();
    if (isBypass && lease !== undefined) await copying.copy.drop().catch(ignore);
    const { aborted, reason } = this.#request.signal;
    const isStopped = verdict?.kind === 'unknown' && aborted && lease?.endReason !== 'finished';
    const stopped = isStopped ? reason : undefined;
    const failure = verdict?.kind === 'failed' ? verdict.error : stopped;
    // Others need the room.
    if (OUT_OF_ROOM.some((kind) => failure instanceof kind)) {
      await copying.drop('there is no room for it').catch(ignore);
    }
    if (this.#isInvalidated) await copying.copy.forget().catch(ignore);
    this.#progress.become({ phase: 'over', verdict: verdict ?? UNKNOWN });
    if (isBypass) this.#log.unkept(verdict.why);
    this.#log.closed(lease, failure);
    // Whoever takes it has by then.
    setImmediate(() => this.#letGoOffered());
  }

  /** Lets the answer that is not kept go: nobody has taken it. */
  #letGoOffered(): void {
    this.#offered?.answer.cancel();
    this.#offered = undefined;
  }

  #failed(error: unknown): Verdict {
    return this.#request.signal.aborted ? UNKNOWN : failed(error);
  }

  async #pull(): Promise<Verdict> {
    const { signal } = this.#request;
    const { copy } = this.#copying;
    for (let attempts = 1; ; ) {
      const found = await this.#look();
      if (found === 'local') return LOCAL;
      if (found === 'occupied') return unstored(NO_PLACE);
      if (this.#looksOnly && found?.outcome === undefined) return UNKNOWN;
      try {
        return await this.#fetch(found);
      } catch (error) {
        signal.throwIfAborted();
        // Once it appends, there is no other beginning.
        if (this.hasBegun) throw error;
        const verdict = this.#verdictOf(error, found);
        if (verdict !== undefined) return verdict;
        const isOutdated = error instanceof ResourceGoneError || error instanceof RangeNotSatisfiableError;
        if (found !== undefined && isOutdated && attempts < MAX_ATTEMPTS) {
          attempts++;
          this.#held.cut(this.path, found.generation);
          await copy.drop();
        } else if (found === undefined && this.#mayCome(error)) {
          // A server that does not wait is not asked again and again.
          if (this.state.phase !== 'waiting') await delay(FAILED_MS, undefined, { signal });
        } else throw error;
      }
    }
  }

  /** What is here, if it comes from there. */
  async #look(): Promise<Found> {
    const { copy } = this.#copying;
    const found = await copy.look();
    if (found === 'occupied' && (await copy.takePlace())) return undefined;
    if (typeof found !== 'object') return found;
    copy.counted(found.size);
    if (found.url === this.#request.url.href) {
      this.#copying.wasHere = true;
      return found;
    }
    await this.#copying.drop('it comes from another upstream');
    return undefined;
  }

  /** One request serves both kinds of servers: the answer tells which one it is. */
  async #fetch(found: Copied | undefined): Promise<Verdict> {
    const { waitMs } = this.#waiters;
    if (this.upstream.kind !== 'httpfstream') {
      const answered = await this.#fetchAnswer(found).catch((error) => {
        // It is waited for there.
        if (this.#mayCome(error)) return 'followable' as const;
        throw error;
      });
      if (answered !== 'followable') return answered;
    }
    return this.#follow(found, waitMs);
  }

  async #fetchAnswer(found: Copied | undefined): Promise<Verdict | 'followable'> {
    const answered = await fetchAnswer(this.#copying, found, {
      revalidates: this.#revalidates,
      looksOnly: this.#looksOnly,
      overflow: this.#overflow,
    });
    if (answered === 'followable') return answered;
    this.#offered = answered.offered;
    return answered.verdict;
  }

  #follow(found: Copied | undefined, waitMs: number): Promise<Verdict> {
    const { path } = this;
    const holdMs = this.#held.holdMs(path);
    this.#isHeld = holdMs > 0;
    const isTracked = this.#isHeld && this.#held.track(path);
    return followFile(this.#copying, found, { waitMs, holdMs, isTracked, looksOnly: this.#looksOnly });
  }

  /** Whether what is not there may come while it is waited for. */
  #mayCome(error: unknown): boolean {
    const isHttpfstream = this.upstream.kind === 'httpfstream';
    return isHttpfstream && error instanceof ResourceNotFoundError && this.#waiters.waitMs > 0;
  }

  /** What those who ask are told though it cannot be followed, if anything. */
  #verdictOf(error: unknown, found: Copied | undefined): Verdict | undefined {
    if (isNoPlace(error)) return unstored(NO_PLACE);
    if (isOfTheWay(error) && mayServeStale(found, this.#request.url)) return stored('fwd=stale', FAILED_MS);
    return followVerdict(error, found);
  }
}

function ignore(): void {}
