import { isDeepStrictEqual } from 'node:util';
import type { FileStat } from '../storage/file-io.ts';
import type { Report } from '../storage/report.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import { PathConflictError, ResourceGoneError, ServerClosingError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Arrivals } from './arrivals/arrivals.ts';
import type { Feed } from './feed.ts';
import type { Follower, FollowerSink } from './follower.ts';
import { OpenFeeds } from './open-feeds.ts';
import { asGone, assertGeneration } from './preconditions.ts';
import type { AppendRequest, FollowRequest } from './request.ts';
import { RotatedFollowers } from './rotation/rotated-followers.ts';
import { AppendHistory } from './sessions/append-history.ts';
import type { Appender, AppenderOwner } from './sessions/appender.ts';
import { SessionRegistry, type SessionRegistryOptions } from './sessions/session-registry.ts';
import { Slots } from './slots.ts';
import { startAt, startOfLastLines } from './start-position.ts';
import { StoredStreams } from './stored-streams.ts';
import { ExpirySweep } from './streams/expiry-sweep.ts';
import type { StreamLifecycle } from './streams/stream-lifecycle.ts';

/** How many files are searched for their last lines at a time: each search keeps a thread and the processor busy. */
const MAX_SEARCHES = 2;

/** Time between two looks for resources that are waited for; what this server makes is noticed at once. */
const ARRIVAL_INTERVAL_MS = 500;

/** Time between two looks for streams that have outlived their time and that nobody asks for. */
const SWEEP_INTERVAL_MS = 30_000;

/** Options of {@link FeedRegistry}. */
export interface RegistryOptions extends SessionRegistryOptions {
  /** Told what an operator should know. Default: nobody. */
  report?: Report;
}

/** All feeds and streams: who appends, and where followers join. */
export class FeedRegistry {
  readonly #root: Root;
  readonly #feeds: OpenFeeds;
  readonly #sessions: SessionRegistry;
  readonly #stored: StoredStreams;
  readonly #report: Report;
  readonly #arrivals: Arrivals;
  readonly #searches = new Slots(MAX_SEARCHES);
  readonly #sweep: ExpirySweep;
  readonly #rotated: RotatedFollowers;
  /** The feeds of files to which nobody appends, while they are sent, by fingerprint. */
  readonly #idle = new Map<string, Feed>();
  #isClosing = false;

  /** Call {@link recover} before anything else. */
  constructor(root: Root, options: RegistryOptions) {
    const { durability, graceMs, report = () => {} } = options;
    const isDurable = durability === 'disk';
    this.#root = root;
    this.#report = report;
    this.#arrivals = new Arrivals(root, ARRIVAL_INTERVAL_MS);
    this.#stored = new StoredStreams(root, {
      isDurable,
      report,
      sessionSize: (identity) => this.live(identity)?.committed,
      made: (resource) => this.#arrivals.notify(resource),
      deleted: (identity) => {
        this.#sessions.deleted(identity);
        this.#rotated.forget(identity);
      },
    });
    const { records, store, held, syncer, lifecycle } = this.#stored;
    this.#feeds = new OpenFeeds((file, position) => held.advance(file.stat.fingerprint, position));
    this.#sessions = new SessionRegistry(
      {
        root,
        feeds: this.#feeds,
        syncer,
        history: new AppendHistory(records, { isDurable, graceMs }),
        admit: (file, resource) => held.admitSession(file, resource),
      },
      options,
    );
    this.#sweep = new ExpirySweep(records, lifecycle, store, report, SWEEP_INTERVAL_MS);
    this.#rotated = new RotatedFollowers(root, this.#feeds, this.#sessions, lifecycle);
  }

  /** How streams come and go. */
  get streams(): StreamLifecycle {
    return this.#stored.lifecycle;
  }

  /**
   * Makes good what a server before this one has left when it was killed. It takes the time that it takes,
   * and tells every second how far it is. After a failure nothing is lost: it can be run again by another registry.
   */
  async recover(): Promise<void> {
    const report = this.#report;
    const count = await this.#stored.recover({ removed: () => {}, progress: report, verify: false });
    if (count > 0)
      report('the server before this one was killed: its redo log was made good', { streams: count });
    this.#sweep.start();
  }

  /** The feed of the file with this identity, while somebody appends to it. */
  live(identity: string): Feed | undefined {
    return this.#sessions.live(identity);
  }

  /**
   * Begins a session or goes on with one, and tells those who wait for the resource.
   *
   * @throws what {@link SessionRegistry.open} throws
   */
  async openAppend(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
    await this.streams.expire(resource);
    const appender = await this.#sessions.open(resource, request, owner);
    this.#arrivals.notify(resource);
    return appender;
  }

  /**
   * Follows a resource. While nobody appends, the follower gets what is there
   * and the reason for which the last append ended. Of a file that was replaced, deleted or
   * cut while it was held for a follower who comes back, it gets the rest, and what happened.
   *
   * @param signal gives up a search for the last lines
   * @throws {PathConflictError} when a directory is at the path
   * @throws {ResourceGoneError} when the file is of another generation, or missing and a generation was asked for
   * @throws {RangeNotSatisfiableError} when it is to begin beyond the end
   * @throws {ServerClosingError} after `close`, when nobody appends (any more)
   * @throws what {@link Root.openRead} and {@link StreamLifecycle.committed} throw
   */
  async follow(
    resource: ResourcePath,
    request: FollowRequest,
    sink: FollowerSink,
    signal: AbortSignal,
  ): Promise<Follower> {
    try {
      await this.streams.expire(resource);
      const cut = await this.#rotated.followCut(resource, request, sink);
      if (cut !== undefined) return cut;
      const follower =
        (await this.#followAtOnce(resource, request, sink)) ??
        (await this.#followFile(resource, request, sink, signal));
      this.#rotated.hold(resource, follower, request);
      return follower;
    } catch (error) {
      const failure = asGone(error, request.generation);
      if (!(failure instanceof ResourceGoneError) || this.#isClosing) throw failure;
      const follower = await this.#rotated.followRest(resource, request, sink);
      if (follower === undefined) throw failure;
      return follower;
    }
  }

  /**
   * The feed of a resource, if somebody appends to it or is expected back.
   *
   * @throws {ServerClosingError} after `close`, when it is not known any more who would come back
   */
  async liveFeed(resource: ResourcePath): Promise<Feed | undefined> {
    await this.streams.expire(resource);
    const { identity, kind } = await this.#root.stat(resource);
    const feed = this.live(identity);
    if (feed !== undefined || kind !== 'file') return feed;
    const file = await this.#root.openRead(resource);
    try {
      const session = await this.#sessions.find(resource, file);
      if (session === undefined) this.#refuseWhenClosing();
      return session?.feed;
    } finally {
      await file.close();
    }
  }

  /**
   * The exit status of the command whose output a file is, if it has finished, as it is now, and its appender told.
   * Never rejects.
   *
   * @param size how much of it is good
   */
  async status(stat: FileStat, size: number): Promise<number | undefined> {
    if (this.live(stat.identity) !== undefined) return undefined;
    return (await this.#sessions.history.outcome({ stat }, size)).status;
  }

  /**
   * Waits for a resource that is not there.
   *
   * @param timeoutMs how long at most
   * @returns whether it is there
   * @throws the signal's reason when it aborts
   */
  arrival(resource: ResourcePath, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return this.#arrivals.wait(resource, timeoutMs, signal);
  }

  /**
   * Takes no new appenders from now on, ends the sessions that nobody holds, and
   * waits until every feed has ended and its file is closed. To end the others
   * is for those who hold them. Idempotent.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const settled = this.streams.close();
    this.#sessions.close();
    await this.#sweep.close();
    await this.#rotated.close();
    await this.#feeds.closed();
    await settled;
    await this.#stored.close();
    this.#arrivals.close();
  }

  /** What is waited for has ended for the server by now, but not for the one who appends: how it will end nobody knows. */
  #refuseWhenClosing(): void {
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
  }

  /** Joins what is live and needs no look into the file. */
  async #followAtOnce(
    resource: ResourcePath,
    request: FollowRequest,
    sink: FollowerSink,
  ): Promise<Follower | undefined> {
    const { identity, generation } = await this.#root.stat(resource);
    assertGeneration(generation, request.generation);
    const feed = this.live(identity);
    if (feed === undefined || request.lines !== undefined) return undefined;
    return feed.join(startAt(request.from, feed.committed), sink);
  }

  async #followFile(
    resource: ResourcePath,
    request: FollowRequest,
    sink: FollowerSink,
    signal: AbortSignal,
  ): Promise<Follower> {
    const file = await this.#root.openRead(resource);
    let follower: Follower | undefined;
    try {
      const { identity, fingerprint, kind, generation } = file.stat;
      if (kind !== 'file') throw new PathConflictError('there is no regular file at this path');
      assertGeneration(generation, request.generation);
      this.streams.assertWhole(fingerprint);
      const start = await this.#startIn(file, request, signal);
      await this.#sessions.find(resource, file);
      follower = await this.#sessions.exclusively(identity, () => this.#joinAt(start, file, sink));
      return follower;
    } finally {
      if (follower?.feed.file !== file) await file.close();
    }
  }

  /** Where a follower begins in a file, by how much of it is committed when he joins. */
  async #startIn(
    file: StoredFile,
    { from, lines }: FollowRequest,
    signal: AbortSignal,
  ): Promise<(committed: number) => number> {
    if (lines === undefined) return (committed) => startAt(from, committed);
    const known = await this.streams.committed(file);
    const position = await this.#searches.run(() => startOfLastLines(lines, file, known, signal));
    return (committed) => Math.min(position, committed);
  }

  async #joinAt(
    start: (committed: number) => number,
    file: StoredFile,
    sink: FollowerSink,
  ): Promise<Follower> {
    const live = this.live(file.stat.identity);
    if (live !== undefined) return live.join(start(live.committed), sink);
    this.#refuseWhenClosing();
    const size = await this.streams.committed(file);
    const position = start(size);
    const outcome = await this.#sessions.history.outcome(file, size);
    const { fingerprint } = file.stat;
    const idle = this.#idle.get(fingerprint);
    if (idle?.committed === size && isDeepStrictEqual(idle.outcome, outcome))
      return idle.join(position, sink);
    const feed = this.#feeds.open(file, size, {
      idle: () => {
        if (this.#idle.get(fingerprint) === feed) this.#idle.delete(fingerprint);
      },
    });
    this.#idle.set(fingerprint, feed);
    const follower = feed.join(position, sink);
    feed.end(outcome);
    return follower;
  }
}
