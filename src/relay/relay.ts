import type { FollowRequest } from '../core/request.ts';
import { ResourceNotFoundError, ServerClosingError, UpstreamError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Copies } from './copies/copies.ts';
import { type Copied, mayServeStale } from './copies/copy-file.ts';
import { StoredAnswer } from './copies/stored-answer.ts';
import { assertUncrossed, isOfRelay } from './crossed.ts';
import { abortable, within } from './pull/abortable.ts';
import type { Asker } from './pull/asker.ts';
import { HeldPaths } from './pull/held-paths.ts';
import type { Pull } from './pull/pull.ts';
import type { RelayLog } from './pull/pull-log.ts';
import type { PullState } from './pull/pull-state.ts';
import { LOCAL, UNKNOWN, type Verdict } from './pull/verdict.ts';
import { Pulls, type PullsOptions } from './pulls.ts';
import {
  assertNotRefused,
  collapsed,
  comingOf,
  holdsFor,
  isServed,
  PASS,
  type Readiness,
  readinessOf,
  type Served,
  STALE,
} from './readiness.ts';
import { kindByAnswer } from './upstream/first-contact.ts';
import { Hops } from './upstream/hops.ts';
import type { Upstream, UpstreamKind } from './upstream/upstream.ts';
import type { UpstreamOption } from './upstream/upstream-option.ts';
import { UpstreamRequest, type UpstreamRequestOptions } from './upstream/upstream-request.ts';
import { Upstreams } from './upstreams.ts';

/** For so long it is waited whether what is here still holds, when it may be served anyway. */
const LOOK_MS = 3000;

/** How often something else may have become of a path while it is asked for. */
const MAX_ATTEMPTS = 4;

/** Options of {@link Relay}. */
export interface RelayOptions extends Omit<PullsOptions, 'copies' | 'held'> {
  upstreams: readonly UpstreamOption[];
  /** How much is kept, in bytes. */
  keepBytes: number;
}

/** What comes from upstreams, and what becomes of who asks for it. */
export class Relay {
  readonly #hops = new Hops();
  readonly #log: RelayLog;
  readonly #upstreams: Upstreams;
  readonly #copies: Copies;
  readonly #held = new HeldPaths();
  readonly #pulls: Pulls;
  readonly #requestOptions: UpstreamRequestOptions;
  readonly #closing = new AbortController();

  constructor({ upstreams, keepBytes, ...options }: RelayOptions) {
    this.#log = options.log;
    this.#upstreams = new Upstreams(upstreams, options.core);
    this.#copies = new Copies(options.core, keepBytes, (path) => this.upstreamOf(path)?.depth ?? 0);
    this.#pulls = new Pulls(this.#upstreams, { ...options, copies: this.#copies, held: this.#held });
    this.#requestOptions = options;
  }

  /** Finds the copies that a server before this one has made. Never rejects. */
  async findCopies(): Promise<void> {
    if (!this.#copies.isBounded) return;
    try {
      await this.#copies.find();
    } catch (error) {
      this.#log.warn({ err: error }, 'what is kept may be more than is known');
    }
    this.#pulls.makeRoom();
  }

  /** Where a path comes from; undefined when it is local. */
  upstreamOf(path: ResourcePath): Upstream | undefined {
    return this.#upstreams.of(path);
  }

  /**
   * What a request that is passed on says of the servers through which it has come.
   *
   * @throws {RelayLoopError} when this one is among them: it would wait for itself
   */
  viaOf(via: string | undefined): string {
    return this.#hops.after(via);
  }

  /**
   * Has a path fetched, unless it is here and was looked at a moment ago.
   *
   * @throws {ResourceNotFoundError} when it is not there
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when that cannot be found out
   * @throws {StorageBusyError} when too much is being fetched already
   * @throws {RelayLoopError}
   * @throws the signal's reason when it aborts
   * @throws what {@link Upstreams.recall} throws
   */
  async ready(path: ResourcePath, asker: Asker): Promise<Readiness> {
    const { signal, waitMs, follows, holdMs = 0 } = asker;
    const via = this.viaOf(asker.via);
    signal.throwIfAborted();
    if (path.isRoot || path.trailingSlash) return PASS;
    await this.#recall(this.upstreamOf(path), signal);
    if (waitMs > 0) this.#pulls.wait(path, asker);
    // What is known was asked for nobody who comes back.
    if (holdMs > 0 && this.#held.hold(path, holdMs)) this.#pulls.forget(path);
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
      await this.#copies.dropping(path);
      this.#copies.read(path);
      const running = this.#pulls.at(path);
      const known = running === undefined ? this.#pulls.known(path, asker, via) : undefined;
      if (known !== undefined) return readinessOf(known, 'hit');
      const phase = running?.state.phase ?? 'asking';
      // What it finds out is old; who follows gets what comes.
      if (running?.isOutdated === true && !(follows === true && phase === 'storing')) return PASS;
      const stale = phase === 'asking' ? await this.#stale(path, via) : undefined;
      if (stale !== undefined) return readinessOf(stale);
      const readiness = await this.#readyBy(path, asker, via);
      // That may have taken long.
      this.#copies.read(path);
      if (readiness !== 'again') return readiness;
    }
    throw new UpstreamError('what is there changes again and again');
  }

  /** @returns `again` when what has become of the pull is nothing for this asker, and it is over */
  async #readyBy(path: ResourcePath, asker: Asker, via: string): Promise<Readiness | 'again'> {
    const { signal, waitMs, follows } = asker;
    const running = this.#pulls.at(path);
    // What has begun to go meanwhile is not to be taken for what is here.
    if (running === undefined && this.#copies.dropping(path) !== undefined) return 'again';
    const isFirst = running === undefined;
    const pull = running ?? this.#pulls.begin(path, via, asker);
    if (!isFirst) await this.#join(pull, asker);
    this.#pulls.read(pull);
    const state = await this.#stateOf(pull, asker);
    if (state === undefined) return readinessOf(STALE);
    if (state.phase === 'waiting') {
      if (waitMs === 0) throw new ResourceNotFoundError('there is nothing at this path');
      return { way: 'missing' };
    }
    if (state.phase === 'storing') {
      const { fetched } = pull;
      // What is here of what still comes is a part while nothing can come: who asks for all of it is told there how
      // much that is.
      if (!state.isConnected && !fetched.isFinal && !follows) return PASS;
      const coming = comingOf(fetched, isFirst);
      const getsAll = isFirst && asker.asksTo === 'read';
      return getsAll ? { ...coming, overflow: pull.overflowFor(signal) } : coming;
    }
    const verdict = pull.verdict ?? UNKNOWN;
    if (isFirst && verdict.kind !== 'unknown') {
      const offered = pull.takeOffered(asker.asksTo);
      if (offered !== undefined) return { way: 'answer', answer: offered };
      assertNotRefused(verdict, asker);
      return readinessOf(verdict);
    }
    if (holdsFor(verdict, pull.via, asker, via)) return readinessOf(verdict, collapsed(verdict));
    if (asker.looksOnly === true && verdict.kind === 'unknown') return PASS;
    await abortable(pull.over, signal);
    // It was stopped because this one may be gone.
    if (asker.left?.aborted === true) pull.throwIfStopped();
    return 'again';
  }

  /** Joins what is under way already. */
  async #join(pull: Pull, asker: Asker): Promise<void> {
    const { via } = asker;
    if (pull.verdict === undefined) pull.joined();
    if (!isOfRelay(via)) return;
    const { path, upstream } = pull;
    const target = { path, upstream, via: this.viaOf(via) };
    await assertUncrossed(pull.toldTo(asker), target, this.#requestOptions);
  }

  /**
   * The state of a pull, as soon as it says something; undefined when that takes long, and what is here may be served.
   */
  async #stateOf(pull: Pull, asker: Asker): Promise<PullState | undefined> {
    const told = pull.toldTo(asker);
    const soon = await within(told, LOOK_MS);
    if (soon !== undefined) return soon;
    const { path, upstream } = pull;
    if (!mayServeStale(await this.#copies.at(path).look(), upstream.urlOf(path))) return told;
    upstream.reachability.failed();
    // It is looked at behind, as long as anybody waits.
    told.catch(ignore);
    return undefined;
  }

  /**
   * What is here, if it is served at once: the server there has not answered the last time. It is looked at behind, now
   * and then.
   */
  async #stale(path: ResourcePath, via: string): Promise<Verdict | undefined> {
    const upstream = this.upstreamOf(path) as Upstream;
    const { reachability } = upstream;
    if (!reachability.isDoubted) return undefined;
    const found = await this.#copies.at(path).look();
    if (!mayServeStale(found, upstream.urlOf(path))) return undefined;
    if (found === 'local') return LOCAL;
    if (!reachability.isAway && this.#pulls.mayBegin(path)) this.#pulls.begin(path, via);
    return STALE;
  }

  /**
   * As {@link ready}, of what is here, if that still holds, or under way already; all else is to be passed on:
   * nothing is fetched for it.
   */
  async readyIfHere(path: ResourcePath, asker: Omit<Asker, 'asksTo'>): Promise<Readiness> {
    const pull = this.#pulls.at(path);
    if (pull?.isOutdated === true || pull?.state.phase === 'waiting') return PASS;
    if (pull?.state.phase === 'storing') return comingOf(pull.fetched, false);
    const found = await this.#copies.at(path).look();
    const hasEnded = found === 'local' || (typeof found === 'object' && found.outcome !== undefined);
    if (!hasEnded) return PASS;
    const readiness = await this.ready(path, { ...asker, looksOnly: true });
    return isServed(readiness) ? readiness : PASS;
  }

  /**
   * Has a path of an httpfstream server looked at again and again, as long as somebody reads it live.
   *
   * @returns to be called when that is over, once
   */
  watch(path: ResourcePath, via: string | undefined): () => void {
    return this.#pulls.watch(path, this.viaOf(via));
  }

  /**
   * Whether one who comes back after each end can go on with what is here: it is the file that he has followed, and the
   * server there keeps that for him. Else it is known there which files were there one after the other.
   *
   * @throws the signal's reason when it aborts
   */
  async isHeld(path: ResourcePath, request: FollowRequest, signal: AbortSignal): Promise<boolean> {
    const pull = this.#pulls.at(path);
    signal.throwIfAborted();
    if (pull?.state.phase === 'storing') {
      const isKept = abortable(pull.hold(), this.#closing.signal);
      if (!(await abortable(isKept, signal))) return false;
    }
    return this.#held.isSame(path, await this.#copies.at(path).look(), request);
  }

  /** Whether what is here of a path has a position, of a file of this generation, if one is named. */
  async has(path: ResourcePath, served: Served, position: number, named?: number): Promise<boolean> {
    if (position <= 0 && named === undefined) return true;
    if (served.way === 'coming') {
      const { committed, generation } = served.fetched;
      return position <= committed && (named === undefined || named === generation);
    }
    const copied = await this.#copies.at(path).look();
    // One that was dropped a moment ago is no sign that there is nothing.
    if (typeof copied !== 'object') return copied === 'local';
    return position <= copied.size && (named === undefined || named === copied.generation);
  }

  /** Whether what is here of a path may be less than what is there. */
  async mayBeIncomplete(path: ResourcePath): Promise<boolean> {
    const copied = await this.#copies.at(path).look();
    return typeof copied === 'object' && copied.outcome === undefined;
  }

  /** Whether a path is being fetched. */
  isFetching(path: ResourcePath): boolean {
    return this.#pulls.at(path) !== undefined;
  }

  /**
   * What the server is from which a path comes; undefined when its answers do not tell.
   *
   * @param authorization what the user says of himself, if it is told that when something asks who comes
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be found out
   */
  async kindOf(
    path: ResourcePath,
    { via, signal }: Asker,
    authorization?: string,
  ): Promise<UpstreamKind | undefined> {
    const upstream = this.upstreamOf(path) as Upstream;
    const names = this.viaOf(via);
    await this.#recall(upstream, signal);
    // An error of a path may be that of any server; what is at the top has an answer.
    for (const asked of [path, path.upTo(upstream.depth)]) {
      if (upstream.kind !== undefined) break;
      const untilClosed = AbortSignal.any([signal, this.#closing.signal]);
      const target = { path: asked, upstream, via: names, signal: untilClosed };
      upstream.kind = await kindByAnswer(new UpstreamRequest(target, this.#requestOptions), authorization);
    }
    void this.#upstreams.note(upstream);
    return upstream.kind;
  }

  /**
   * Has what is here of an answer of a plain HTTP server fetched anew by the next one who asks. What is still
   * coming is for those who read it, and goes then.
   */
  async invalidate(path: ResourcePath): Promise<void> {
    this.changed(path);
    const pull = this.#pulls.at(path);
    if (pull === undefined) await this.#copies.forget(path);
    else pull.invalidate();
  }

  /** Whether what is at a path is a local file. */
  async isLocal(path: ResourcePath): Promise<boolean> {
    if (path.isRoot || path.trailingSlash) return false;
    return (await this.#copies.at(path).look()) === 'local';
  }

  /** The answer of a plain HTTP server that is stored here; undefined without one. */
  async storedAt(path: ResourcePath): Promise<{ answer: StoredAnswer; copied: Copied } | undefined> {
    const copied = await this.#copies.at(path).look();
    if (typeof copied !== 'object' || copied.answer === undefined) return undefined;
    const url = (this.upstreamOf(path) as Upstream).urlOf(path);
    if (copied.url !== url.href) return undefined;
    const answer = StoredAnswer.from(url, copied.answer);
    return answer && { answer, copied };
  }

  /** Tells that a path was changed through here: what is known of it is old, and what is being found out, too. */
  changed(path: ResourcePath): void {
    this.#pulls.changed(path);
  }

  /** Fetches nothing more; whoever follows is told that the server closes. */
  close(): Promise<void> {
    this.#closing.abort(new ServerClosingError('the server is shutting down'));
    return this.#pulls.close();
  }

  async #recall(upstream: Upstream | undefined, signal: AbortSignal): Promise<void> {
    if (upstream !== undefined) await abortable(this.#upstreams.recall(upstream), signal);
  }
}

function ignore(): void {}
