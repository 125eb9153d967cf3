import { setTimeout as delay } from 'node:timers/promises';
import {
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StorageFullError,
  UnexpectedStatusError,
  UnreadError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { type Copied, isNoPlace, mayServeStale } from '../copies/local-copy.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import { isOfTheWay } from '../upstream/reachability.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { abortable } from './abortable.ts';
import { fetchAnswer } from './answered.ts';
import type { Asker } from './asker.ts';
import { Fetching, type Part, type PullOptions } from './fetching.ts';
import { followFile, holdFile } from './followed.ts';
import type { Overflow } from './overflow.ts';
import type { PullState } from './pull-state.ts';
import { refusalIn, statusVerdict } from './refusal.ts';
import { FAILED_MS, failed, OWN, stored, UNKNOWN, unstored, type Verdict } from './verdict.ts';
import type { Waiters } from './waiters.ts';

/** Why what has no place here is not kept. */
const NO_PLACE = 'something else has its place';

/** How often what is here may turn out to be outdated while it is looked at. */
const MAX_ATTEMPTS = 3;

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
  readonly #fetching: Fetching;
  readonly #revalidates: boolean;
  readonly #waiters: Waiters;
  readonly #askers = new Set<Pick<Asker, 'left'>>();
  #held: Promise<boolean> | undefined;
  #isOutdated = false;
  #isInvalidated = false;

  constructor(request: PullRequest, options: PullOptions) {
    const { path, upstream, via, revalidates, looksOnly, waiters } = request;
    this.path = path;
    this.upstream = upstream;
    this.via = via;
    this.#revalidates = revalidates;
    this.#waiters = waiters;
    this.#fetching = new Fetching(path, upstream, { via }, options);
    this.#fetching.looksOnly = looksOnly;
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
      await abortable(this.#fetching.progress.told, signal);
      return this.state;
    } finally {
      this.#askers.delete(asker);
      const isAwaited = this.#askers.size > 0 || this.isAwaited;
      if (signal.aborted && this.state.phase === 'asking' && !isAwaited) {
        this.#fetching.abort(new UnreadError('nobody asks any more'));
      }
    }
  }

  get state(): PullState {
    return this.#fetching.progress.state;
  }

  /** What has become of it, as soon as that is known. */
  get verdict(): Verdict | undefined {
    return this.#fetching.progress.verdict;
  }

  /** Whether the path was changed since the server there was asked for it: there is more, or something else. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** Whether anything was appended to the copy, or is. */
  get hasBegun(): boolean {
    return this.#fetching.lease !== undefined;
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

  /** Takes the answer that is not kept, if nobody has, and it is one to what is asked. */
  takeOffered(asksTo: Asker['asksTo']): OpenAnswer | undefined {
    return this.#fetching.takeOffered(asksTo === 'connect' ? undefined : asksTo);
  }

  /** What comes beyond what may be kept, for who has asked first, until the signal aborts. */
  overflowFor(signal: AbortSignal): Overflow {
    return this.#fetching.overflowFor(signal);
  }

  /** What is here. */
  get part(): Part {
    return this.#fetching.part;
  }

  /** How many follow it here. */
  get readerCount(): number {
    return this.#fetching.lease?.feed.readerCount ?? 0;
  }

  /** Whether anybody who is there for sure waits to be told, or for a file that is not there. */
  get isAwaited(): boolean {
    return this.#waiters.waitMs > 0 || [...this.#askers].some(({ left }) => left?.aborted !== true);
  }

  /** Why it was stopped, if it was. */
  get stopReason(): unknown {
    return this.#fetching.signal.reason;
  }

  /**
   * Has the server there keep what is being followed for those who come back, if it does not do so already. Never
   * rejects.
   *
   * @returns whether it does
   */
  async hold(): Promise<boolean> {
    const fetching = this.#fetching;
    if (fetching.isHeld) return true;
    this.#held ??= holdFile(fetching).finally(() => {
      this.#held = undefined;
    });
    return this.#held;
  }

  /** Notes that one more asks for it. */
  joined(): void {
    this.#fetching.log.joined();
  }

  /** Fetches nothing more. Its readers are told that it goes on later. */
  async stop(reason: unknown): Promise<void> {
    this.#fetching.abort(reason);
    await this.over;
  }

  async #run(): Promise<void> {
    const { progress, log } = this.#fetching;
    this.#fetching.conclude(await this.#pull().catch((error) => this.#failed(error)));
    const { verdict } = this;
    const { lease } = this.#fetching;
    // Who has asked first reads what is here to its end, and goes on with the rest.
    if (verdict?.kind === 'bypass') await this.#fetching.overflow?.settled;
    // Whoever reads it comes back. Nothing happens if it has ended.
    await lease?.end('shutdown');
    this.#fetching.count();
    if (verdict?.kind === 'bypass' && lease !== undefined) await this.#fetching.copy.drop().catch(ignore);
    const { aborted, reason } = this.#fetching.signal;
    const stopped = verdict?.kind === 'unknown' && aborted ? reason : undefined;
    const failure = verdict?.kind === 'failed' ? verdict.error : stopped;
    // Others need the room.
    if (failure instanceof StorageFullError) await this.#fetching.drop('the disk is full').catch(ignore);
    if (this.#isInvalidated) await this.#fetching.copy.forget().catch(ignore);
    progress.become({ phase: 'over', verdict: verdict ?? UNKNOWN });
    log.closed(lease, failure);
    // Whoever takes it has by then.
    setImmediate(() => this.#fetching.takeOffered('follow')?.cancel());
  }

  #failed(error: unknown): Verdict {
    return this.#fetching.signal.aborted ? UNKNOWN : failed(error);
  }

  async #pull(): Promise<Verdict> {
    const fetching = this.#fetching;
    const { held } = fetching.options;
    for (let attempts = 1; ; ) {
      const here = await this.#look();
      if (here === 'own') return OWN;
      if (here === 'occupied') return unstored(NO_PLACE);
      if (fetching.looksOnly && here?.outcome === undefined) return UNKNOWN;
      try {
        return await this.#fetch(here);
      } catch (error) {
        fetching.signal.throwIfAborted();
        // Once it appends, there is no other beginning.
        if (fetching.lease !== undefined) throw error;
        const verdict = this.#verdictOf(error, here);
        if (verdict !== undefined) return verdict;
        const isOutdated = error instanceof ResourceGoneError || error instanceof RangeNotSatisfiableError;
        if (here !== undefined && isOutdated && attempts < MAX_ATTEMPTS) {
          attempts++;
          held.cut(this.path, here.generation);
          await fetching.copy.drop();
        } else if (here === undefined && this.#mayCome(error)) {
          // A server that does not wait is not asked again and again.
          if (fetching.progress.state.phase !== 'waiting') await delay(FAILED_MS, undefined, fetching);
        } else throw error;
      }
    }
  }

  /** What is here, if it comes from there. */
  async #look(): Promise<Copied | 'own' | 'occupied' | undefined> {
    const { copy, url } = this.#fetching;
    const here = await copy.look();
    if (typeof here !== 'object') return here;
    copy.counted(here.size);
    if (here.url === url.href) return here;
    await this.#fetching.drop('it comes from another server');
    return undefined;
  }

  /** One request serves both kinds of servers: the answer tells which one it is. */
  async #fetch(here: Copied | undefined): Promise<Verdict> {
    const fetching = this.#fetching;
    const { waitMs } = this.#waiters;
    if (fetching.upstream.kind !== 'ours') {
      const answered = await fetchAnswer(fetching, here, this.#revalidates).catch((error) => {
        // It is waited for there.
        if (this.#mayCome(error)) return 'followable' as const;
        throw error;
      });
      if (answered !== 'followable') return answered;
    }
    return followFile(fetching, here, waitMs);
  }

  /** Whether what is not there may come while it is waited for. */
  #mayCome(error: unknown): boolean {
    const isOurs = this.#fetching.upstream.kind === 'ours';
    return isOurs && error instanceof ResourceNotFoundError && this.#waiters.waitMs > 0;
  }

  /** What those who ask are told though it cannot be followed, if anything. */
  #verdictOf(error: unknown, here: Copied | undefined): Verdict | undefined {
    if (isNoPlace(error)) return unstored(NO_PLACE);
    if (isOfTheWay(error) && mayServeStale(here, this.#fetching.url)) return stored('fwd=stale', FAILED_MS);
    return error instanceof UnexpectedStatusError
      ? statusVerdict(error.status, here, refusalIn(error))
      : undefined;
  }
}

function ignore(): void {}
