import { randomBytes } from 'node:crypto';
import type { Core } from '../core/core.ts';
import {
  RelayLoopError,
  ResourceNotFoundError,
  ServerClosingError,
  StorageBusyError,
} from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { abortable } from './abortable.ts';
import { kindByAnswer } from './answered.ts';
import { assertUncrossed, isOfRelay } from './crossed.ts';
import { Fetching, type Part } from './fetching.ts';
import { KeptAnswer } from './kept-answer.ts';
import { KeptCopies } from './kept-copies.ts';
import { LivePaths } from './live-paths.ts';
import { type Copied, LocalCopy } from './local-copy.ts';
import { Pull } from './pull.ts';
import type { RelayLog } from './pull-log.ts';
import { Upstream, type UpstreamKind } from './upstream.ts';
import type { UpstreamOption } from './upstream-option.ts';

/** What is here is held against what is there no sooner than so long after the last time. */
const CHECKED_MS = 1000;

/** A pull that has failed is not repeated sooner than so long after it. */
const FAILED_MS = 1000;

/** For so long it is believed that something is not there. */
const MISSING_MS = 5000;

/** For so long what is not kept is passed on without a look. */
const UNKEPT_MS = 10_000;

/** About how many paths something is known for these times. */
const MAX_KNOWN = 4096;

/** Time between two looks at pulls that nobody reads. */
const SWEEP_MS = 1000;

/** A pull goes on for nobody when less than this part of the file is missing, and less than so many bytes. */
const SMALL_REST = 0.1;
const SMALL_REST_BYTES = 64 * 1024 * 1024;

/** So many servers one after the other are a loop that hides itself. */
const MAX_HOPS = 32;

/** Options of {@link Relay}. */
export interface RelayOptions {
  core: Core;
  log: RelayLog;
  upstreams: readonly UpstreamOption[];
  /** Longest time to the head of an answer, in milliseconds. */
  headTimeoutMs: number;
  /** Longest time without a byte of what does not come from a server of ours, in milliseconds. */
  silenceMs: number;
  /** How long what is kept may be, in bytes. */
  maxBytes: number;
  /** How much is kept, in bytes. */
  keptBytes: number;
  /** How long a pull goes on that nobody reads, in milliseconds. */
  idleMs: number;
  /** Whether it goes on without an end. */
  goesOnForNobody: boolean;
  /** How many pulls there are at a time. */
  maxPulls: number;
}

/** Who asks for a path. */
export interface Asker {
  /** The servers through which the request has come (`Via`). */
  via: string | undefined;
  /** How long it waits for what is not there, in milliseconds. */
  waitMs: number;
  /** Aborts when nobody asks any more. */
  signal: AbortSignal;
}

/** What is here of a path. */
export interface Served extends Part {
  /** Whether everything is here that was there when it was asked for. */
  isCaughtUp: boolean;
}

/** What is known of a path for a while. */
interface Known {
  untilMs: number;
  /** Whether it is passed on at once: nobody waits for the head of what is not kept. */
  isElsewhere: boolean;
  /** Why it cannot be had; undefined when it can. */
  failure: unknown;
}

/** Everything is here. */
const ALL: Served = {
  generation: undefined,
  type: undefined,
  committed: Number.POSITIVE_INFINITY,
  size: undefined,
  isFinal: false,
  isCaughtUp: true,
};

/** What comes from other servers: one {@link Pull} for each path that is being fetched, however many ask for it. */
export class Relay {
  /** By which it knows a request that has come back. */
  readonly #name = `httpfstream-${randomBytes(9).toString('base64url')}`;
  readonly #options: RelayOptions;
  /** Those with the longest prefixes first. */
  readonly #upstreams: readonly Upstream[];
  readonly #pulls = new Map<string, Pull>();
  /** Since when nobody reads them. */
  readonly #idleSince = new Map<Pull, number>();
  /** By path, the newest ones last. */
  readonly #known = new Map<string, Known>();
  readonly #kept: KeptCopies;
  readonly #live = new LivePaths();
  #sweep: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#upstreams = options.upstreams
      .map((option) => new Upstream(option))
      .sort((a, b) => b.depth - a.depth);
    this.#kept = new KeptCopies(options.core, options.keptBytes);
  }

  /** Finds what a server before this one has kept, if that is to be known. Never rejects. */
  async findKept(): Promise<void> {
    if (!this.#kept.isBounded) return;
    await this.#kept.find();
    this.#makeRoom();
  }

  /** Where a path comes from; undefined when it is this server's own. */
  upstreamOf(path: ResourcePath): Upstream | undefined {
    return this.#upstreams.find((upstream) => upstream.covers(path));
  }

  /**
   * What a request that is passed on says of the servers through which it has come.
   *
   * @throws {RelayLoopError} when this one is among them: it would wait for itself
   */
  viaOf(via: string | undefined): string {
    const hops = (via ?? '').split(',').map((hop) => hop.trim());
    const isLoop = hops.some((hop) => hop.split(' ')[1] === this.#name) || hops.length > MAX_HOPS;
    if (isLoop) throw new RelayLoopError('the request has come back to a relay through which it has passed');
    return [...hops.filter((hop) => hop !== ''), `1.1 ${this.#name}`].join(', ');
  }

  /**
   * Has a path fetched, unless it is here and was looked at a moment ago.
   *
   * @returns what can be read from here; `missing` when it is not there, and is waited for; undefined when the request is to be
   *   passed on
   * @throws {ResourceNotFoundError} when it is not there
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when that cannot be found out
   * @throws {StorageBusyError} when too much is being fetched already
   * @throws {RelayLoopError}
   * @throws the signal's reason when it aborts
   */
  async ready(path: ResourcePath, { via, waitMs, signal }: Asker): Promise<Served | 'missing' | undefined> {
    const headers = { via: this.viaOf(via) };
    signal.throwIfAborted();
    if (path.isRoot || path.trailingSlash) return undefined;
    if (this.#isClosed) throw new ServerClosingError('the server is shutting down');
    const dropping = this.#kept.dropping(path);
    if (dropping !== undefined) await dropping;
    this.#kept.used(path);
    let pull = this.#pulls.get(path.key);
    if (pull === undefined) {
      const known = this.#knownOf(path);
      if (known !== undefined && (known.failure === undefined || waitMs === 0)) {
        if (known.failure !== undefined) throw known.failure;
        return known.isElsewhere ? undefined : ALL;
      }
      if (this.#isFull) throw new StorageBusyError('too much is being fetched already');
      pull = this.#begin(path, headers);
    } else {
      pull.joined();
      if (isOfRelay(via)) {
        const asked = new Fetching(path, pull.upstream, headers, this.#options);
        await assertUncrossed(pull.headFor(signal), asked);
      }
    }
    if (waitMs > 0) pull.await(waitMs, signal);
    this.#idleSince.delete(pull);
    const head = pull.isMissing ? 'missing' : await pull.headFor(signal);
    if (head === 'elsewhere') return undefined;
    if (head === 'here') return servedBy(pull);
    if (waitMs === 0) throw new ResourceNotFoundError('there is nothing at this path');
    return 'missing';
  }

  /**
   * As {@link ready}, of what is here, as far as that went, or under way already; undefined of anything else: nothing is fetched
   * from its beginning for that.
   */
  async readyIfHere(path: ResourcePath, asker: Asker): Promise<Served | undefined> {
    const pull = this.#pulls.get(path.key);
    if (pull?.isEnding) await abortable(pull.over, asker.signal);
    else if (pull !== undefined) return pull.isMissing ? undefined : servedBy(pull);
    const copied = await new LocalCopy(this.#options.core, path).look();
    const hasEnded = copied === 'own' || (typeof copied === 'object' && copied.outcome !== undefined);
    const served = hasEnded ? await this.ready(path, asker) : undefined;
    return served === 'missing' ? undefined : served;
  }

  /**
   * Has a path of a server of ours looked at every second, as long as somebody reads it live.
   *
   * @returns to be called when that is over, once
   */
  watch(path: ResourcePath, via: string | undefined): () => void {
    this.#startSweep();
    return this.#live.add(path, { via: this.viaOf(via) });
  }

  /** Whether a path is being fetched. */
  isFetching({ key }: ResourcePath): boolean {
    return this.#pulls.has(key);
  }

  /**
   * What the server is from which a path comes; undefined when its answers do not tell.
   *
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be found out
   */
  async kindOf(path: ResourcePath, { via, signal }: Asker): Promise<UpstreamKind | undefined> {
    const upstream = this.upstreamOf(path) as Upstream;
    const headers = { via: this.viaOf(via) };
    // An error of a path may be that of any server; what is at the top has an answer.
    for (const asked of [path, path.upTo(upstream.depth)]) {
      if (upstream.kind !== undefined) return upstream.kind;
      upstream.kind = await kindByAnswer(new Fetching(asked, upstream, headers, this.#options), signal);
    }
    return upstream.kind;
  }

  /**
   * Has what is here of an answer of a server that is none of ours fetched anew by the next one who asks. What is still coming is for
   * those who read it, and goes then.
   */
  async forget(path: ResourcePath): Promise<void> {
    this.changed(path);
    const pull = this.#pulls.get(path.key);
    if (pull === undefined) await new LocalCopy(this.#options.core, path).forget();
    else pull.forget();
  }

  /** Whether what is at a path is a file of this server's own. */
  async isOwn(path: ResourcePath): Promise<boolean> {
    if (path.isRoot || path.trailingSlash) return false;
    return (await new LocalCopy(this.#options.core, path).look()) === 'own';
  }

  /** What is kept here of an answer of a server that is none of ours; undefined when nothing is. */
  async keptAt(path: ResourcePath): Promise<{ answer: KeptAnswer; copied: Copied } | undefined> {
    const copied = await new LocalCopy(this.#options.core, path).look();
    if (typeof copied !== 'object' || copied.answer === undefined) return undefined;
    const url = (this.upstreamOf(path) as Upstream).urlOf(path);
    const answer = KeptAnswer.from(url, copied.answer);
    return answer && { answer, copied };
  }

  /** Tells that a path was changed through here: what is known of it is old. */
  changed({ key }: ResourcePath): void {
    this.#known.delete(key);
  }

  /** Fetches nothing more; whoever follows is told that the server closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    const reason = new ServerClosingError('the server is shutting down');
    await Promise.all(Array.from(this.#pulls.values(), (pull) => pull.stop(reason)));
  }

  get #isFull(): boolean {
    return this.#pulls.size >= this.#options.maxPulls;
  }

  #begin(path: ResourcePath, headers: Readonly<Record<string, string>>): Pull {
    const upstream = this.upstreamOf(path) as Upstream;
    const pull = new Pull(path, upstream, headers, this.#options);
    this.#pulls.set(path.key, pull);
    this.#startSweep();
    void pull.over.then(() => this.#isOver(pull));
    return pull;
  }

  #isOver(pull: Pull): void {
    const { key } = pull.path;
    this.#pulls.delete(key);
    this.#count(pull);
    this.#makeRoom();
    this.#idleSince.delete(pull);
    const { failure, isUnkept } = pull;
    if (!pull.isKept && !isUnkept) return;
    const isMissing = failure instanceof ResourceNotFoundError;
    const seenMs = failure === undefined ? CHECKED_MS : isMissing ? MISSING_MS : FAILED_MS;
    const untilMs = performance.now() + (isUnkept ? UNKEPT_MS : seenMs);
    this.#known.set(key, { untilMs, isElsewhere: isUnkept, failure });
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value as string);
  }

  /** Counts what a pull has brought. */
  #count({ path, committed }: Pull): void {
    if (committed > 0) this.#kept.used(path, committed);
  }

  /** Deletes what is too much. */
  #makeRoom(): void {
    const isLive = (path: ResourcePath) => this.isFetching(path);
    void this.#kept.evict(isLive, (path) => this.changed(path));
  }

  #knownOf({ key }: ResourcePath): Known | undefined {
    const known = this.#known.get(key);
    if (known === undefined || known.untilMs > performance.now()) return known;
    this.#known.delete(key);
    return undefined;
  }

  #startSweep(): void {
    if (this.#isClosed) return;
    this.#sweep ??= setInterval(() => this.#sweepAll(), SWEEP_MS).unref();
  }

  #sweepAll(): void {
    this.#stopIdle();
    this.#lookAtLive();
    if (this.#pulls.size > 0 || this.#live.count > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  /** Looks whether what has ended, and is read live, goes on. */
  #lookAtLive(): void {
    for (const live of this.#live.due(performance.now())) {
      const { path, headers } = live;
      if (this.#isFull || this.#pulls.has(path.key)) continue;
      if (this.#knownOf(path) !== undefined) continue;
      const pull = this.#begin(path, headers);
      void pull.over.then(() => live.looked(pull.failure !== undefined));
    }
  }

  /** Makes room, and stops what nobody has read for a while, unless little is missing. */
  #stopIdle(): void {
    const now = performance.now();
    for (const pull of this.#pulls.values()) this.#count(pull);
    this.#makeRoom();
    for (const pull of this.#pulls.values()) {
      if (pull.readerCount > 0) {
        this.#idleSince.delete(pull);
        continue;
      }
      const since = this.#idleSince.get(pull) ?? now;
      this.#idleSince.set(pull, since);
      if (!pull.isAwaited && this.#isTooIdle(pull, now - since)) {
        void pull.stop(new ServerClosingError('nobody reads it'));
      }
    }
  }

  /** Whether a pull that nobody has read for so long is stopped. When there are too many, others need its place. */
  #isTooIdle(pull: Pull, idleMs: number): boolean {
    if (this.#isFull) return idleMs >= SWEEP_MS;
    if (idleMs < this.#options.idleMs || isNearlyThere(pull)) return false;
    return pull.isMissing || !this.#options.goesOnForNobody;
  }
}

/**
 * What is here of what is being fetched; undefined when it goes.
 *
 * @throws why it has failed meanwhile: what is here may be a part
 */
function servedBy(pull: Pull): Served | undefined {
  if (pull.isTooLong) return undefined;
  if (pull.failure !== undefined) throw pull.failure;
  if (pull.isOver) return ALL;
  const { part } = pull;
  return { ...part, isCaughtUp: part.size !== undefined && part.committed >= part.size };
}

function isNearlyThere({ committed, size = 0 }: Pull): boolean {
  const missing = size - committed;
  return missing > 0 && missing < SMALL_REST_BYTES && missing < size * SMALL_REST;
}
