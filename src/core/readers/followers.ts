import type { FileStat } from '../../storage/file-io.ts';
import type { Root } from '../../storage/root/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import {
  PathConflictError,
  ResourceGoneError,
  ResourceNotFoundError,
  ServerClosingError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Permit } from '../permit.ts';
import { asGone, assertGeneration } from '../preconditions.ts';
import type { FollowRequest } from '../request.ts';
import type { Resources } from '../resources.ts';
import type { SessionRegistry } from '../sessions/session-registry.ts';
import { Slots } from '../slots.ts';
import type { RotatedFollowers } from '../watch/rotated-followers.ts';
import type { Feed } from './feed.ts';
import type { Feeds } from './feeds.ts';
import type { LiveReads } from './live-reads.ts';
import type { Reader, Sink } from './reader.ts';
import { startAt, startOfLastLines } from './start-position.ts';

/** How many files are searched for their last lines at a time: each search keeps a thread and the processor busy. */
const MAX_SEARCHES = 2;

/** How a file stands. */
export interface Standing {
  /** Undefined for a file as it lies there, of no append to which the server knows. */
  state: 'live' | 'waiting' | 'finished' | 'interrupted' | undefined;
  status?: number | undefined;
}

/**
 * Where followers join: what is there now, what somebody appends to, and the rest of what was replaced. Each gets a
 * {@link Reader}.
 */
export class Followers {
  readonly #resources: Resources;
  readonly #sessions: SessionRegistry;
  readonly #feeds: Feeds;
  readonly #rotated: RotatedFollowers;
  readonly #searches = new Slots(MAX_SEARCHES);

  constructor(resources: Resources, sessions: SessionRegistry, feeds: Feeds, rotated: RotatedFollowers) {
    this.#resources = resources;
    this.#sessions = sessions;
    this.#feeds = feeds;
    this.#rotated = rotated;
  }

  /** The feed of the file with this fingerprint, while somebody appends to it through a session. */
  live(fingerprint: string): Feed | undefined {
    return this.#sessions.live(fingerprint)?.feed;
  }

  /**
   * Follows a resource. While nobody appends, the follower gets what is there
   * and the reason for which the last append ended. Of a file that was replaced, deleted or
   * cut while it was kept for a follower that comes back, it gets the rest, and what happened.
   *
   * @param signal gives up a search for the last lines
   * @throws {PathConflictError} when a directory is at the path
   * @throws {ResourceGoneError} when the file is of another generation, or missing and a generation was asked for
   * @throws {RangeNotSatisfiableError} when it is to begin beyond the end
   * @throws {ServerClosingError} after `close`, when nobody appends (any more)
   * @throws what {@link Root.openRead} and {@link Resources.committed} throw
   */
  async follow(
    permit: Permit<'follow'>,
    request: FollowRequest,
    sink: Sink,
    signal: AbortSignal,
  ): Promise<Reader> {
    const { path } = permit;
    try {
      const found = await this.#resources.openUsed(permit).catch(asNothing);
      let reader: Reader | undefined;
      try {
        reader = await this.#rotated.followCut(permit, request, sink);
        if (reader !== undefined) return reader;
        if (found instanceof Error) throw found;
        reader =
          this.#followAtOnce(found, request, sink) ??
          (await this.#followFile(found, path, request, sink, signal));
        reader.path = path;
        this.#rotated.hold(path, reader, request);
        return reader;
      } finally {
        if (!(found instanceof Error)) await found.close();
      }
    } catch (error) {
      const failure = asGone(error, request.generation);
      if (!(failure instanceof ResourceGoneError) || this.#sessions.isClosing) throw failure;
      const reader = await this.#rotated.followRest(permit, request, sink);
      if (reader === undefined) throw failure;
      return reader;
    }
  }

  /**
   * Runs `use` with the feed of a resource, if somebody appends to it or is expected back. In line, because
   * from the next turn on nobody may have the feed any more who does not hold it.
   *
   * @throws {ServerClosingError} after `close`, when it is not known any more who would come back
   */
  async withLiveFeed<T>(permit: Permit<'follow'>, use: (feed: Feed) => T): Promise<T | undefined> {
    const { path } = permit;
    const file = await this.#resources.openUsed(permit);
    try {
      const { fingerprint, kind } = file.stat;
      if (this.live(fingerprint) === undefined && kind === 'file') await this.#sessions.find(path, file);
      const feed = this.live(fingerprint);
      if (feed !== undefined) return use(feed);
      if (kind === 'file') this.#refuseWhenClosing();
      return undefined;
    } finally {
      await file.close();
    }
  }

  /**
   * The stream at a path for those who read it live, whoever appends to it.
   *
   * @throws what {@link Feeds.openLive} throws
   */
  openLive(permit: Permit<'follow'>): Promise<LiveReads> {
    return this.#feeds.openLive(permit);
  }

  /**
   * How a file stands: whether somebody appends to it or is waited for, or how it has ended, and then the exit
   * status of the command whose output it is, if that is known. Never rejects.
   *
   * @param size how many of its bytes count
   */
  async standing(stat: FileStat, size: number): Promise<Standing> {
    const feed = this.live(stat.fingerprint);
    if (feed !== undefined) return { state: feed.isWaiting ? 'waiting' : 'live' };
    const { closed, version = 0 } = this.#resources.liveState(stat.fingerprint) ?? {};
    const known = { size, closed, version };
    const { reason, status, stored } = await this.#sessions.history.outcome({ stat }, known);
    if (stored === true) return { state: undefined };
    return { state: reason === 'finished' ? reason : 'interrupted', status };
  }

  /**
   * The exit status of the command whose output a file is, if it has finished, as it is now, and its appender has
   * sent it. Never rejects.
   *
   * @param size how many of its bytes count
   */
  async status(stat: FileStat, size: number): Promise<number | undefined> {
    return (await this.standing(stat, size)).status;
  }

  /** The session has ended for the server by now, but not for its client: how it will end nobody knows. */
  #refuseWhenClosing(): void {
    if (this.#sessions.isClosing) throw new ServerClosingError('the server is shutting down');
  }

  /** Joins what is live and needs no look into the file. */
  #followAtOnce(file: StoredFile, request: FollowRequest, sink: Sink): Reader | undefined {
    assertGeneration(file.generation, request.generation);
    const session = this.#sessions.live(file.stat.fingerprint);
    if (session === undefined || request.lines !== undefined) return undefined;
    return session.join(startAt(request.from, session.feed.committed), sink);
  }

  async #followFile(
    file: StoredFile,
    path: ResourcePath,
    request: FollowRequest,
    sink: Sink,
    signal: AbortSignal,
  ): Promise<Reader> {
    const { fingerprint, kind } = file.stat;
    if (kind !== 'file') throw new PathConflictError('there is no regular file at this path');
    assertGeneration(file.generation, request.generation);
    this.#resources.assertWhole(fingerprint);
    const start = await this.#startIn(file, request, signal);
    await this.#sessions.find(path, file);
    return this.#sessions.exclusively(fingerprint, () => this.#joinAt(start, file, path, sink));
  }

  /** Where a follower begins in a file, by how much of it is committed when it joins. */
  async #startIn(
    file: StoredFile,
    { from, lines }: FollowRequest,
    signal: AbortSignal,
  ): Promise<(committed: number) => number> {
    if (lines === undefined) return (committed) => startAt(from, committed);
    const known = await this.#resources.committed(file);
    const position = await this.#searches.run(() => startOfLastLines(lines, file, known, signal));
    return (committed) => Math.min(position, committed);
  }

  async #joinAt(
    start: (committed: number) => number,
    file: StoredFile,
    path: ResourcePath,
    sink: Sink,
  ): Promise<Reader> {
    const session = this.#sessions.live(file.stat.fingerprint);
    if (session !== undefined) return session.join(start(session.feed.committed), sink);
    this.#refuseWhenClosing();
    const size = await this.#resources.committed(file);
    const place = { size, start, isThere: true };
    return this.#feeds.follow(file, path, place, sink, (known) =>
      this.#sessions.history.outcome(file, known),
    );
  }
}

/** That there is no file is said only when nothing else is known. */
function asNothing(error: unknown): Error {
  if (error instanceof ResourceNotFoundError) return error;
  throw error;
}
