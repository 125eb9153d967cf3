import type { FileStat } from '../storage/file-io.ts';
import type { Report } from '../storage/report.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import {
  PathConflictError,
  ResourceGoneError,
  ResourceNotFoundError,
  ServerClosingError,
} from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Arrivals } from './arrivals/arrivals.ts';
import type { Feed } from './feed.ts';
import { Feeds } from './feeds.ts';
import { FileWatch } from './file-watch.ts';
import type { Follower, FollowerSink } from './follower.ts';
import type { LiveStream } from './live-stream.ts';
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
  readonly #feeds: Feeds;
  readonly #sessions: SessionRegistry;
  readonly #stored: StoredStreams;
  readonly #report: Report;
  readonly #arrivals: Arrivals;
  readonly #searches = new Slots(MAX_SEARCHES);
  readonly #sweep: ExpirySweep;
  readonly #rotated: RotatedFollowers;
  #isClosing = false;

  /** Call {@link recover} before anything else. */
  constructor(root: Root, options: RegistryOptions) {
    const { durability, graceMs, report = () => {} } = options;
    const isDurable = durability === 'disk';
    this.#report = report;
    this.#arrivals = new Arrivals(root, ARRIVAL_INTERVAL_MS);
    this.#stored = new StoredStreams(root, {
      isDurable,
      report,
      made: (resource) => this.#arrivals.notify(resource),
      deleted: ({ identity, fingerprint }) => {
        this.#sessions.deleted(fingerprint);
        this.#rotated.forget(identity);
      },
    });
    const { records, store, held, turns, log, syncer, lifecycle } = this.#stored;
    const watch = new FileWatch(root, turns);
    this.#feeds = new Feeds(held, lifecycle, watch);
    this.#sessions = new SessionRegistry(
      {
        root,
        held,
        feeds: this.#feeds,
        watch,
        turns,
        syncer,
        log,
        checkpoints: held.checkpoints,
        history: new AppendHistory(records, { isDurable, graceMs }),
        streams: lifecycle,
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

  /** The feed of the file with this fingerprint, while somebody appends to it through a session. */
  live(fingerprint: string): Feed | undefined {
    return this.#sessions.live(fingerprint)?.feed;
  }

  /**
   * Begins a session or goes on with one, and tells those who wait for the resource.
   *
   * @throws what {@link SessionRegistry.open} throws
   */
  async openAppend(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
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
      const found = await this.streams.openUsed(resource).catch(asNothing);
      let follower: Follower | undefined;
      try {
        follower = await this.#rotated.followCut(resource, request, sink);
        if (follower !== undefined) return follower;
        if (found instanceof Error) throw found;
        follower =
          this.#followAtOnce(found, request, sink) ??
          (await this.#followFile(found, resource, request, sink, signal));
        this.#rotated.hold(resource, follower, request);
        return follower;
      } finally {
        if (!(found instanceof Error)) await found.close();
      }
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
    const file = await this.streams.openUsed(resource);
    try {
      const { fingerprint, kind } = file.stat;
      const feed = this.live(fingerprint);
      if (feed !== undefined || kind !== 'file') return feed;
      const session = await this.#sessions.find(resource, file);
      if (session === undefined) this.#refuseWhenClosing();
      return session?.feed;
    } finally {
      await file.close();
    }
  }

  /**
   * The stream at a path for those who read it live, whoever appends to it.
   *
   * @throws what {@link Feeds.openLive} throws
   */
  openLive(resource: ResourcePath): Promise<LiveStream> {
    return this.#feeds.openLive(resource);
  }

  /**
   * The exit status of the command whose output a file is, if it has finished, as it is now, and its appender told.
   * Never rejects.
   *
   * @param size how much of it is good
   */
  async status(stat: FileStat, size: number): Promise<number | undefined> {
    if (this.live(stat.fingerprint) !== undefined) return undefined;
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
    this.#feeds.endFollowers();
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
  #followAtOnce({ stat }: StoredFile, request: FollowRequest, sink: FollowerSink): Follower | undefined {
    const { fingerprint, generation } = stat;
    assertGeneration(generation, request.generation);
    const session = this.#sessions.live(fingerprint);
    if (session === undefined || request.lines !== undefined) return undefined;
    return session.join(startAt(request.from, session.feed.committed), sink);
  }

  async #followFile(
    file: StoredFile,
    resource: ResourcePath,
    request: FollowRequest,
    sink: FollowerSink,
    signal: AbortSignal,
  ): Promise<Follower> {
    const { fingerprint, kind, generation } = file.stat;
    if (kind !== 'file') throw new PathConflictError('there is no regular file at this path');
    assertGeneration(generation, request.generation);
    this.streams.assertWhole(fingerprint);
    const start = await this.#startIn(file, request, signal);
    await this.#sessions.find(resource, file);
    return this.#sessions.exclusively(fingerprint, () => this.#joinAt(start, file, resource, sink));
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
    resource: ResourcePath,
    sink: FollowerSink,
  ): Promise<Follower> {
    const session = this.#sessions.live(file.stat.fingerprint);
    if (session !== undefined) return session.join(start(session.feed.committed), sink);
    this.#refuseWhenClosing();
    const size = await this.streams.committed(file);
    const place = { size, position: start(size), isThere: true };
    return this.#feeds.follow(file, resource, place, sink, () => this.#sessions.history.outcome(file, size));
  }
}

/** That there is no file is told only when nothing else is known. */
function asNothing(error: unknown): Error {
  if (error instanceof ResourceNotFoundError) return error;
  throw error;
}
