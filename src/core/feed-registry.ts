import { PathConflictError, ResourceNotFoundError, ServerClosingError } from '../errors.ts';
import type { AppendFile } from '../storage/append-file.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { AppendRecord } from '../storage/sidecar-store.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import { AppendHistory, isContinuedBy } from './append-history.ts';
import type { Appender, AppenderOwner } from './appender.ts';
import { Arrivals } from './arrivals.ts';
import type { Feed } from './feed.ts';
import { FileWatch } from './file-watch.ts';
import type { Follower, FollowerSink } from './follower.ts';
import type { Durability } from './group-writer.ts';
import { KeyedLock } from './keyed-lock.ts';
import { OpenFeeds } from './open-feeds.ts';
import { asGone, assertGeneration, assertStart, conflict } from './preconditions.ts';
import type { AppendRequest, FollowRequest } from './request.ts';
import { Session } from './session.ts';
import { startAt, startOfLastLines } from './start-position.ts';
import { Syncer } from './syncer.ts';

/** Longest time for which written bytes wait to be made durable while a session goes on. */
const SYNC_INTERVAL_MS = 1000;

/** Time between two looks at the file of a quiet session. */
const WATCH_INTERVAL_MS = 1000;

/** Time between two looks for resources that are waited for; those made by an append are noticed at once. */
const ARRIVAL_INTERVAL_MS = 500;

export interface RegistryOptions {
  /** When bytes count as safe. */
  durability: Durability;
  /** How long a session waits for an appender that was lost, in milliseconds. */
  graceMs: number;
}

/**
 * All feeds, and who may append: one session for each file. Files are told
 * apart by their identity on the disk, so that two names of one file (through
 * a symlink, say) are one resource.
 */
export class FeedRegistry {
  readonly #root: Root;
  readonly #history: AppendHistory;
  readonly #options: RegistryOptions;
  readonly #syncer = new Syncer(SYNC_INTERVAL_MS);
  readonly #watch: FileWatch;
  readonly #arrivals: Arrivals;
  readonly #feeds = new OpenFeeds();
  /** Who opens the same path to append takes turns, … */
  readonly #openings = new KeyedLock();
  /** … and who looks at the sessions of the same file, by its identity. */
  readonly #files = new KeyedLock();
  /** The sessions that have not ended, by the identity of their file. */
  readonly #sessions = new Map<string, Session>();
  #closing = false;

  constructor(root: Root, options: RegistryOptions) {
    this.#root = root;
    this.#options = options;
    const { durability, graceMs } = options;
    this.#history = new AppendHistory(root.sidecars(), { isDurable: durability === 'disk', graceMs });
    this.#arrivals = new Arrivals(root, ARRIVAL_INTERVAL_MS);
    this.#watch = new FileWatch(root, WATCH_INTERVAL_MS);
  }

  /** The feed of the file with this identity, while somebody appends to it. */
  live(identity: string): Feed | undefined {
    return this.#sessions.get(identity)?.feed;
  }

  /**
   * Begins a session at the end of a file, which is made if it is missing, or
   * goes on with the one that the token names.
   *
   * @throws {AppendConflictError} while another client's session holds it
   * @throws {PositionMismatchError} when the session does not begin where it must
   * @throws {ResourceGoneError} when the file is missing or of another generation
   * @throws {ServerClosingError} after `close`
   * @throws what {@link Root.openAppend} throws
   */
  async openAppend(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
    this.#refuseWhenClosing();
    // From before the file is made, so that who finds it can wait until there is a session.
    return this.#openings.run(resource.key, async () => {
      const appender = await this.#open(resource, request, owner);
      this.#arrivals.notify(resource);
      return appender;
    });
  }

  /**
   * Follows a resource. While nobody appends, the follower gets what is there
   * and the reason for which the last append ended.
   *
   * @throws {PathConflictError} when a directory is at the path
   * @throws {ResourceGoneError} when the file is of another generation, or missing and a generation was asked for
   * @throws {RangeNotSatisfiableError} when it is to begin beyond the end
   * @throws what {@link Root.openRead} throws
   */
  async follow(resource: ResourcePath, request: FollowRequest, sink: FollowerSink): Promise<Follower> {
    try {
      return (
        (await this.#followAtOnce(resource, request, sink)) ??
        (await this.#followFile(resource, request, sink))
      );
    } catch (error) {
      throw asGone(error, request.generation);
    }
  }

  /** The feed of a resource, if somebody appends to it or is expected back. */
  async liveFeed(resource: ResourcePath): Promise<Feed | undefined> {
    const { identity, kind } = await this.#root.stat(resource);
    await this.#openings.settled(resource.key);
    const feed = this.live(identity);
    if (feed !== undefined || kind !== 'file' || this.#history.remainingGraceMs === 0) return feed;
    const file = await this.#root.openRead(resource);
    try {
      return (await this.#restore(resource, file))?.feed;
    } finally {
      await file.close();
    }
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
    this.#closing = true;
    for (const session of this.#sessions.values()) {
      if (session.feed.isWaiting) void session.end('shutdown');
    }
    await this.#feeds.closed();
    this.#syncer.close();
    this.#arrivals.close();
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new ServerClosingError('the server is shutting down');
  }

  async #open(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
    const file = await this.#openFile(resource, request);
    return this.#files.run(file.stat.identity, async () => {
      try {
        const session = (await this.#running(file, request)) ?? (await this.#begin(resource, file, request));
        this.#refuseWhenClosing();
        return session.attach(owner);
      } finally {
        if (this.live(file.stat.identity)?.file !== file) await file.close();
      }
    });
  }

  /** A file is made only for a session that may begin at 0. */
  async #openFile(resource: ResourcePath, { expect = 0, generation }: AppendRequest): Promise<AppendFile> {
    let file: AppendFile;
    try {
      file = await this.#root.openAppend(resource, { create: expect === 0 && generation === undefined });
    } catch (error) {
      if (error instanceof ResourceNotFoundError && generation === undefined) assertStart(0, expect);
      throw asGone(error, generation);
    }
    try {
      assertGeneration(file.stat.generation, generation);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The session that holds the file by now, which must be the client's own. */
  async #running(file: AppendFile, request: AppendRequest): Promise<Session | undefined> {
    const session = this.#sessions.get(file.stat.identity);
    if (session === undefined) return undefined;
    if (!session.belongsTo(request.session)) throw conflict();
    if (session.ended === undefined) {
      assertStart(session.start, request.expect);
      return session;
    }
    await session.ended;
    return undefined;
  }

  async #begin(resource: ResourcePath, file: AppendFile, request: AppendRequest): Promise<Session> {
    const { size } = await file.state();
    const last = await this.#history.last(file);
    const goesOn = last !== undefined && isContinuedBy(last, request.session, size);
    if (!goesOn && this.#history.isAwaited(last)) throw conflict();
    const start = goesOn ? last.start : size;
    assertStart(start, request.expect);
    await this.#secure(file);
    const append: AppendRecord = {
      ...(request.session && { session: request.session }),
      start,
      state: 'open',
    };
    await this.#history.begin(file, append);
    this.#refuseWhenClosing();
    return this.#startSession(resource, file, size, append, last);
  }

  /** What an earlier server wrote may be in the system's memory only. */
  async #secure(file: AppendFile): Promise<void> {
    if (this.#options.durability === 'os') return;
    await file.sync();
    await this.#root.syncNames(file.location);
  }

  /** A session that was left open by the server before this one, while its client may still come back. */
  async #restore(resource: ResourcePath, found: StoredFile): Promise<Session | undefined> {
    const { identity } = found.stat;
    if (this.#closing || this.#history.remainingGraceMs === 0) return undefined;
    // What cannot be read is nobody's.
    if (!this.#history.isAwaited(await this.#history.last(found).catch(() => undefined))) return undefined;
    return this.#files.run(identity, async () => {
      const running = this.#sessions.get(identity);
      if (running !== undefined) return running;
      const file = await this.#root.openAppend(resource, { create: false });
      try {
        const last = await this.#history.last(file);
        const { size } = await file.state();
        await this.#secure(file);
        const isGone = file.stat.identity !== identity || this.#closing;
        if (isGone || !this.#history.isAwaited(last) || last.start > size) return undefined;
        const session = this.#startSession(resource, file, size, last, undefined);
        session.awaitReturn(this.#history.remainingGraceMs);
        return session;
      } finally {
        if (this.live(identity)?.file !== file) await file.close();
      }
    });
  }

  #startSession(
    resource: ResourcePath,
    file: AppendFile,
    size: number,
    append: AppendRecord,
    last: AppendRecord | undefined,
  ): Session {
    const { identity } = file.stat;
    const feed = this.#feeds.open(file, size, async () => {
      this.#sessions.delete(identity);
      this.#watch.delete(session);
      this.#syncer.forget(session.writer);
      if (session.writer.safePosition > size && this.#options.durability === 'os')
        await session.writer.sync();
    });
    const session = new Session({
      feed,
      file,
      token: append.session,
      start: append.start,
      graceMs: this.#options.graceMs,
      isClosing: () => this.#closing,
      durability: this.#options.durability,
      syncer: this.#syncer,
      before: last?.state === 'open' ? undefined : last?.state,
      goesOn: append.session !== undefined && append.session === last?.session,
      record: (reason) => this.#history.end(file, append, feed.committed, reason),
      takeBack: () => this.#history.undo(file, last as AppendRecord),
    });
    this.#sessions.set(identity, session);
    this.#watch.add(session, resource);
    return session;
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

  async #followFile(resource: ResourcePath, request: FollowRequest, sink: FollowerSink): Promise<Follower> {
    const file = await this.#root.openRead(resource);
    let follower: Follower | undefined;
    try {
      const { identity, kind, size, generation } = file.stat;
      if (kind !== 'file') throw new PathConflictError('there is no regular file at this path');
      assertGeneration(generation, request.generation);
      const committed = this.live(identity)?.committed ?? size;
      const { lines } = request;
      const position =
        lines === undefined
          ? startAt(request.from, committed)
          : await startOfLastLines(lines, file, committed);
      await this.#openings.settled(resource.key);
      await this.#restore(resource, file);
      follower = await this.#files.run(identity, () => this.#joinAt(position, file, sink));
      return follower;
    } finally {
      if (follower?.feed.file !== file) await file.close();
    }
  }

  async #joinAt(position: number, file: StoredFile, sink: FollowerSink): Promise<Follower> {
    const running = this.#sessions.get(file.stat.identity);
    if (running !== undefined) return running.feed.join(Math.min(position, running.feed.committed), sink);
    const { size } = await file.state();
    const reason = await this.#history.endReason(file, size);
    const feed = this.#feeds.open(file, size, async () => {});
    const follower = feed.join(Math.min(position, size), sink);
    feed.end(reason);
    return follower;
  }
}
