import type { AppendFile } from '../../storage/append-file.ts';
import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { AppendRecord } from '../../storage/records/file-record.ts';
import type { Root } from '../../storage/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { ResourceGoneError, ResourceNotFoundError, ServerClosingError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Feeds } from '../feeds.ts';
import type { FileWatch } from '../file-watch.ts';
import { asGone, assertGeneration, assertNewer, assertStart, conflict } from '../preconditions.ts';
import type { AppendRequest } from '../request.ts';
import type { StreamLifecycle } from '../streams/stream-lifecycle.ts';
import type { Admission, StreamRegistry } from '../streams/stream-registry.ts';
import { type AppendHistory, isContinuedBy } from './append-history.ts';
import type { Appender, AppenderOwner } from './appender.ts';
import type { Durability, WriterDependencies } from './group-writer.ts';
import { Session } from './session.ts';

export interface SessionRegistryOptions {
  /** When bytes count as safe. */
  durability: Durability;
  /** How long a session waits for an appender that was lost, in milliseconds. */
  graceMs: number;
}

/** What sessions share with others. */
export interface SessionDependencies extends WriterDependencies {
  root: Root;
  history: AppendHistory;
  /** Opens the files. */
  streams: StreamLifecycle;
  held: StreamRegistry;
  feeds: Feeds;
  watch: FileWatch;
}

/**
 * Who may append: one session for each file. Files are told apart by their
 * identity on the disk, so that two names of one file (through a symlink, say)
 * are one resource.
 */
export class SessionRegistry {
  /** How the last append to each file ended, over restarts. */
  readonly history: AppendHistory;
  readonly #root: Root;
  readonly #held: StreamRegistry;
  readonly #feeds: Feeds;
  readonly #streams: StreamLifecycle;
  readonly #options: SessionRegistryOptions;
  readonly #writing: WriterDependencies;
  readonly #watch: FileWatch;
  /** Who opens the same path takes turns, … */
  readonly #openings = new KeyedLock();
  /** … and who looks at the session of the same file. */
  readonly #files = new KeyedLock();
  /** Tokens of the clients that are being let in, and how many requests bring each. */
  readonly #returning = new Map<string, number>();
  #closing = false;

  constructor(
    { root, held, feeds, watch, history, streams, ...writing }: SessionDependencies,
    options: SessionRegistryOptions,
  ) {
    this.#root = root;
    this.#held = held;
    this.#feeds = feeds;
    this.#writing = writing;
    this.#streams = streams;
    this.#options = options;
    this.history = history;
    this.#watch = watch;
  }

  /** The session of the file with this fingerprint, while somebody appends to it. */
  live(fingerprint: string): Session | undefined {
    return this.#held.held(fingerprint)?.session;
  }

  /**
   * Begins a session at the end of a file, which is made if it is missing, or
   * goes on with the one that the token names.
   *
   * @throws {AppendConflictError} while another client's session holds it
   * @throws {PositionMismatchError} when the session does not begin where it must
   * @throws {ResourceGoneError} when the file is missing or of another generation
   * @throws {ServerClosingError} after `close`
   * @throws what {@link StreamLifecycle.openAppend} throws
   */
  async open(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
    this.#refuseWhenClosing();
    const { session = '' } = request;
    this.#returning.set(session, (this.#returning.get(session) ?? 0) + 1);
    try {
      // From before the file is made, so that who finds it can wait until there is a session.
      return await this.#openings.run(resource.key, () => this.#open(resource, request, owner));
    } finally {
      const others = (this.#returning.get(session) as number) - 1;
      if (others > 0) this.#returning.set(session, others);
      else this.#returning.delete(session);
    }
  }

  /**
   * The session of a file that is there, also one that was left open by the
   * server before this one, while its client may still come back.
   */
  async find(resource: ResourcePath, found: StoredFile): Promise<Session | undefined> {
    const { fingerprint } = found.stat;
    await this.#openings.settled(resource.key);
    const session = this.live(fingerprint);
    if (session !== undefined) return session;
    if (this.#closing || this.history.remainingGraceMs === 0) return undefined;
    // What cannot be read is nobody's.
    if (!this.history.isAwaited(await this.history.last(found).catch(() => undefined))) return undefined;
    return this.#files.run(fingerprint, async () => {
      const running = this.live(fingerprint);
      if (running !== undefined) return running;
      const file = await this.#root.openAppend(resource, { create: false });
      try {
        const last = await this.history.last(file);
        await this.#secure(file);
        const isGone = file.stat.fingerprint !== fingerprint || this.#closing;
        if (isGone || !this.history.isAwaited(last)) return undefined;
        const admission = await this.#held.admitSession(file, resource);
        const { size } = await file.state().catch(() => ({ size: -1 }));
        if (last.start > size) {
          admission.end();
          return undefined;
        }
        const session = this.#startSession({ resource, file, size, append: last, own: undefined, admission });
        session.awaitReturn(this.history.remainingGraceMs);
        return session;
      } finally {
        if (this.live(fingerprint)?.file !== file) await file.close();
      }
    });
  }

  /** Runs `action` while nobody begins a session of the file with this fingerprint. */
  exclusively<T>(fingerprint: string, action: () => Promise<T>): Promise<T> {
    return this.#files.run(fingerprint, action);
  }

  /**
   * Takes no new appenders from now on, and ends the sessions that nobody holds.
   * To end the others is for those who hold them. Idempotent.
   */
  close(): void {
    this.#closing = true;
    for (const { session } of this.#held.all()) {
      if (session?.feed.isWaiting) void session.end('shutdown');
    }
  }

  /** Tells that a file was deleted by this server. */
  deleted(fingerprint: string): void {
    this.live(fingerprint)?.lose(new ResourceGoneError('the file was deleted'));
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new ServerClosingError('the server is shutting down');
  }

  async #open(resource: ResourcePath, request: AppendRequest, owner: AppenderOwner): Promise<Appender> {
    const file = await this.#openFile(resource, request);
    const { fingerprint } = file.stat;
    return this.#files.run(fingerprint, async () => {
      try {
        const session = (await this.#running(file, request)) ?? (await this.#begin(resource, file, request));
        this.#refuseWhenClosing();
        return session.attach(owner, request);
      } finally {
        if (this.live(fingerprint)?.file !== file) await file.close();
      }
    });
  }

  /** A file is made only for a session that may begin at 0. */
  async #openFile(resource: ResourcePath, { expect = 0, generation }: AppendRequest): Promise<AppendFile> {
    let file: AppendFile;
    try {
      const create = expect === 0 && generation === undefined;
      file = await this.#streams.openAppend(resource, { create });
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
    const session = this.live(file.stat.fingerprint);
    if (session === undefined) return undefined;
    if (!session.belongsTo(request.session)) throw conflict();
    assertNewer(request.attempt, session.attempt);
    if (session.ended === undefined) {
      assertStart(session.start, request.expect);
      return session;
    }
    await session.ended;
    return undefined;
  }

  async #begin(resource: ResourcePath, file: AppendFile, request: AppendRequest): Promise<Session> {
    const admission = await this.#held.admitSession(file, resource);
    try {
      // Only now: single appends may have been under way.
      const { size } = await file.state();
      const last = await this.history.last(file);
      const goesOn = last !== undefined && isContinuedBy(last, request.session, size);
      if (!goesOn && this.history.isAwaited(last)) throw conflict();
      if (goesOn) assertNewer(request.attempt, last.attempt);
      const start = goesOn ? last.start : size;
      assertStart(start, request.expect);
      const append = await this.#record(file, request, { size, start, last: goesOn ? last : undefined });
      const own = goesOn ? last : undefined;
      return this.#startSession({ resource, file, size, append, own, admission });
    } catch (error) {
      admission.end();
      throw error;
    }
  }

  /** Remembers a session that begins, or goes on with the `last` append. */
  async #record(
    file: AppendFile,
    request: AppendRequest,
    { size, start, last }: { size: number; start: number; last: AppendRecord | undefined },
  ): Promise<AppendRecord> {
    await this.#secure(file);
    const append: AppendRecord = {
      ...(request.session && { session: request.session }),
      start,
      state: 'open',
      ...(last?.state === 'finished' && { finishedAt: size, status: last.status }),
    };
    await this.history.begin(file, withAttempt(append, request.attempt));
    this.#refuseWhenClosing();
    return append;
  }

  /** What an earlier server wrote may be in the system's memory only. */
  async #secure(file: AppendFile): Promise<void> {
    if (this.#options.durability === 'os') return;
    const { syncer } = this.#writing;
    await syncer.sync(file);
    await syncer.run(() => this.#root.syncNames(file.location));
  }

  #startSession({ resource, file, size, append, own, admission }: SessionStart): Session {
    const { stream } = admission;
    const feed = this.#feeds.open(stream, file, size);
    feed.hold();
    const session: Session = new Session({
      feed,
      file,
      token: append.session,
      start: append.start,
      graceMs: this.#options.graceMs,
      isReturning: () => append.session !== undefined && this.#returning.has(append.session),
      isClosing: () => this.#closing,
      durability: this.#options.durability,
      ...this.#writing,
      endedBefore:
        own === undefined || own.state === 'open' ? undefined : { reason: own.state, status: own.status },
      complete: async (closes) =>
        this.#watch.examine(feed, resource) ??
        (closes ? await admission.close().then(() => undefined, storageFailure) : undefined),
      record: (outcome) =>
        this.history.end(file, withAttempt(append, session.attempt), feed.committed, outcome),
      takeBack: () => this.history.undo(file, own as AppendRecord),
      isStreamOpen: () => stream.isOpen,
      isStreamClosed: () => stream.state.closed === true,
      over: async ({ reason }) => {
        const { writer } = session;
        if (reason === 'truncated') stream.cutFeed();
        if (writer.lost !== undefined) stream.lostBySession(writer.lost);
        stream.session = undefined;
        this.#watch.delete(session);
        if (stream.isOpen) this.#feeds.watch(stream, feed, resource);
        admission.end();
        await writer.finish(reason === 'truncated');
        if (writer.lost !== undefined) stream.lostBySession(writer.lost);
        // A close that fails has lost nothing.
        await file.close().catch(() => undefined);
        feed.release();
      },
    });
    stream.session = session;
    this.#watch.add(session, resource);
    return session;
  }
}

interface SessionStart {
  resource: ResourcePath;
  file: AppendFile;
  size: number;
  append: AppendRecord;
  /** The append that it goes on with, if that had ended. */
  own: AppendRecord | undefined;
  admission: Admission;
}

function withAttempt(append: AppendRecord, attempt: number | undefined): AppendRecord {
  return attempt === undefined ? append : { ...append, attempt };
}
