import {
  RangeNotSatisfiableError,
  RelayLoopError,
  ResourceGoneError,
  ResourceNotFoundError,
  StorageFullError,
  UnexpectedStatusError,
  UpstreamError,
  UpstreamTimeoutError,
} from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { abortable } from './abortable.ts';
import { fetchAnswer, LOOP } from './answered.ts';
import { Fetching, type Head, type Part, type PullOptions } from './fetching.ts';
import { followFile } from './followed.ts';
import { type Copied, isNoPlace } from './local-copy.ts';
import type { Upstream } from './upstream.ts';

/** Why what has no place here is not kept. */
const NO_PLACE = 'something else has its place';

/** How often what is here may turn out to be outdated while it is looked at. */
const MAX_ATTEMPTS = 3;

/**
 * What is being fetched of one path: the appender of an ordinary resource. It belongs to the resource, not to who has
 * asked first. It goes on where the copy here ends, and passes on how the file there ends.
 */
export class Pull {
  readonly path: ResourcePath;
  readonly upstream: Upstream;
  /** Resolves when nothing more comes; never rejects. */
  readonly over: Promise<void>;
  readonly #fetching: Fetching;
  #waitUntilMs = 0;
  #waiterCount = 0;
  #askerCount = 0;
  #isOver = false;
  #isForgotten = false;
  #failure: unknown;

  /** @param headers of the requests for it */
  constructor(
    path: ResourcePath,
    upstream: Upstream,
    headers: Readonly<Record<string, string>>,
    options: PullOptions,
  ) {
    this.path = path;
    this.upstream = upstream;
    this.#fetching = new Fetching(path, upstream, headers, options);
    this.over = this.#run();
  }

  /**
   * Resolves, or rejects, when it is known what becomes of those who ask for the path.
   *
   * @throws the signal's reason when it aborts
   */
  async headFor(signal: AbortSignal): Promise<Head> {
    this.#askerCount++;
    try {
      return await abortable(this.#fetching.head, signal);
    } finally {
      this.#askerCount--;
    }
  }

  /** Whether nothing more comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Why it has failed, if it has. */
  get failure(): unknown {
    return this.#failure ?? this.#fetching.loss;
  }

  /** Whether the file is not there, and is waited for. */
  get isMissing(): boolean {
    return this.#fetching.isMissing;
  }

  /** What is here. */
  get part(): Part {
    return this.#fetching.part;
  }

  /** How many bytes are here and count. */
  get committed(): number {
    return this.#fetching.committed;
  }

  /** How many bytes the file there had at the beginning; undefined when that is not known. */
  get size(): number | undefined {
    return this.#fetching.size;
  }

  /** Whether all is here of what has ended there. */
  get isEnding(): boolean {
    return this.#fetching.isEnding;
  }

  /** How many follow it here. */
  get readerCount(): number {
    return this.#fetching.lease?.feed.readerCount ?? 0;
  }

  /** Whether more has come than may be kept: what is here goes. */
  get isTooLong(): boolean {
    return this.#fetching.isTooLong;
  }

  /** Whether it is not to be kept, for a while. */
  get isUnkept(): boolean {
    return this.#fetching.isUnkept;
  }

  /** Whether what it has found out holds for those who ask next. */
  get isKept(): boolean {
    const { isElsewhere, isDropped, signal } = this.#fetching;
    return !isElsewhere && !isDropped && !signal.aborted && !this.#isForgotten;
  }

  /** Whether anybody waits for the head, or for a file that is not there. */
  get isAwaited(): boolean {
    return this.#askerCount > 0 || (this.isMissing && this.#waiterCount > 0);
  }

  /** Notes that one more asks for it. */
  joined(): void {
    this.#fetching.log.joined();
  }

  /** Waits for a file that is not there, for this long at least, as long as somebody does. */
  await(waitMs: number, signal: AbortSignal): void {
    this.#waitUntilMs = Math.max(this.#waitUntilMs, performance.now() + waitMs);
    this.#waiterCount++;
    signal.addEventListener('abort', () => this.#waiterCount--, { once: true });
  }

  /** Has what is here deleted as soon as it is over: its readers get it. */
  forget(): void {
    this.#isForgotten = true;
  }

  /** Fetches nothing more. Its readers are told that it goes on later. */
  async stop(reason: unknown): Promise<void> {
    this.#fetching.abort(reason);
    await this.over;
  }

  async #run(): Promise<void> {
    try {
      await this.#pull();
      this.#fetching.serve();
    } catch (error) {
      this.#failure = error;
      this.#fetching.refuse(error);
      await this.#fetching.lease?.end('shutdown');
      // Its readers are told by now, and others need the room.
      if (this.#fetching.loss instanceof StorageFullError)
        await this.#fetching.drop('the disk is full').catch(ignore);
    } finally {
      if (this.#isForgotten) await this.#fetching.copy.forget().catch(ignore);
      this.#isOver = true;
      const { log, lease } = this.#fetching;
      log.closed(lease, this.failure);
    }
  }

  async #pull(): Promise<void> {
    const fetching = this.#fetching;
    for (let attempts = 1; ; attempts++) {
      const here = await fetching.copy.look();
      if (here === 'own') return;
      if (here === 'occupied') {
        fetching.passOn(NO_PLACE, true);
        return;
      }
      try {
        await this.#fetch(here);
        return;
      } catch (error) {
        // Once it appends, there is no other beginning.
        if (fetching.lease !== undefined) throw error;
        if (this.#isAnswered(error, here)) return;
        if (!(await this.#mayRepeat(error, here)) || attempts === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** One request serves both kinds of servers: the answer tells which one it is. */
  async #fetch(here: Copied | undefined): Promise<void> {
    const fetching = this.#fetching;
    const { upstream } = fetching;
    if (upstream.kind !== 'ours') {
      if (!(await fetchAnswer(fetching, here))) return;
      upstream.kind = 'ours';
    }
    await followFile(fetching, here, this.#waitMs);
  }

  get #waitMs(): number {
    return Math.max(0, this.#waitUntilMs - performance.now());
  }

  /**
   * Whether those who ask can be answered though it cannot be followed.
   *
   * @throws {RelayLoopError} when it comes from here
   */
  #isAnswered(error: unknown, here: Copied | undefined): boolean {
    if (isNoPlace(error)) {
      this.#fetching.passOn(NO_PLACE, true);
      return true;
    }
    const status = error instanceof UnexpectedStatusError ? error.status : 0;
    if (status === LOOP) throw new RelayLoopError('the request has come back to a relay');
    const isAway = error instanceof UpstreamError || error instanceof UpstreamTimeoutError || status >= 500;
    // What has ended can be read without it.
    if (isAway && here?.outcome !== undefined && here.answer === undefined) return true;
    // It says itself why not.
    if (status > 0) this.#fetching.passOn(`HTTP status ${status}`);
    return status > 0;
  }

  /** Whether something else may be there now. */
  async #mayRepeat(error: unknown, here: Copied | undefined): Promise<boolean> {
    if (here === undefined) {
      const isOurs = this.#fetching.upstream.kind === 'ours';
      return isOurs && error instanceof ResourceNotFoundError && this.#waitMs > 0;
    }
    const isOutdated = error instanceof ResourceGoneError || error instanceof RangeNotSatisfiableError;
    if (isOutdated) await this.#fetching.copy.drop();
    return isOutdated;
  }
}

function ignore(): void {}
