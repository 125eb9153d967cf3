import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { AppendRecord } from '../../storage/records/file-record.ts';
import type { Root } from '../../storage/root/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { AppendFile, StoredFile } from '../../storage/stored-file.ts';
import {
  AppendBusyError,
  type HttpfstreamError,
  ResourceGoneError,
  ResourceNotFoundError,
  ServerClosingError,
  StreamClosedError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Limits } from '../limits/limits.ts';
import { Permit } from '../permit.ts';
import {
  asGone,
  assertGeneration,
  assertNewer,
  assertStart,
  conflict,
  ignoreMissing,
} from '../preconditions.ts';
import type { AppendRequest } from '../request.ts';
import type { Resource } from '../resource.ts';
import type { Resources } from '../resources.ts';
import type { Arrivals } from '../watch/arrivals.ts';
import { type AppendHistory, isContinuedBy, type MayReturn } from './append-history.ts';
import { Lease } from './lease.ts';
import { type LeaseHolder, Session, type SessionHost, withAttempt } from './session.ts';
import type { SessionContext } from './session-context.ts';

/** How often another program may append to a file while a session is about to begin. */
const MAX_ATTEMPTS = 3;

/** How a session begins. */
interface Beginning {
  /** Of the file. */
  size: number;
  start: number;
  /** Who begins it, where there are rights. */
  subject: string | undefined;
  /** The append that it goes on with. */
  last: AppendRecord | undefined;
}

/** What sessions are opened with. */
export interface SessionDependencies extends SessionContext {
  root: Root;
  /** What bounds them. */
  limits: Limits;
  /** Opens the files. */
  resources: Resources;
  /** Notified of what is appended to. */
  arrivals: Arrivals;
}

/**
 * Who may append: one session for each file. Files are told apart by their
 * identity on the disk, so that two names of one file (through a symlink, say)
 * are one resource.
 */
export class SessionRegistry implements SessionHost {
  readonly #root: Root;
  readonly #resources: Resources;
  readonly #arrivals: Arrivals;
  readonly #limits: Limits;
  readonly #context: SessionContext;
  /** Requests for the same path take turns, … */
  readonly #openings = new KeyedLock();
  /** … and so does what looks at the session of the same file. */
  readonly #files = new KeyedLock();
  /** Tokens of the requests that are being opened, and how many there are of each. */
  readonly #returning = new Map<string, number>();
  #closing = false;

  constructor({ root, limits, resources, arrivals, ...context }: SessionDependencies) {
    this.#root = root;
    this.#limits = limits;
    this.#resources = resources;
    this.#arrivals = arrivals;
    this.#context = context;
  }

  /** How the last append to each file ended, over restarts. */
  get history(): AppendHistory {
    return this.#context.history;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  isReturning(token: string | undefined): boolean {
    return token !== undefined && this.#returning.has(token);
  }

  over(resource: Resource): void {
    resource.endClaim();
    void this.#resources.touch(resource.fingerprint, resource.state);
  }

  /** The session of the file with this fingerprint, while somebody appends to it. */
  live(fingerprint: string): Session | undefined {
    const claimant = this.#context.live.get(fingerprint)?.claimant;
    return claimant instanceof Session ? claimant : undefined;
  }

  /**
   * Begins a session at the end of a file, which is made if it is missing, or
   * goes on with the one that the token names. Those who wait for the resource are notified.
   *
   * @param make makes the file, before it is opened: whoever finds it waits until there is a session
   * @throws {AppendConflictError} while another client's session holds it
   * @throws {AppendBusyError} while another program appends to the file
   * @throws {PositionMismatchError} when the session does not begin where it must
   * @throws {ResourceGoneError} when the file is missing or of another generation
   * @throws {ServerClosingError} after `close`
   * @throws {StorageFullError} when too little is free of the disk for a session that begins
   * @throws what {@link Resources.openAppend} throws
   */
  async open(
    permit: Permit<'append'>,
    request: AppendRequest,
    holder: LeaseHolder,
    make?: () => Promise<void>,
  ): Promise<Lease> {
    this.#refuseWhenClosing();
    const { path } = permit;
    const { session = '' } = request;
    this.#returning.set(session, (this.#returning.get(session) ?? 0) + 1);
    try {
      // From before the file is made, so that whoever finds it can wait until there is a session.
      const lease = await this.#openings.run(path.key, async () => {
        await make?.();
        return this.#open(permit, request, holder);
      });
      this.#arrivals.notify(path);
      return lease;
    } catch (error) {
      holder.numbers.refused++;
      throw error;
    } finally {
      const others = (this.#returning.get(session) as number) - 1;
      if (others > 0) this.#returning.set(session, others);
      else this.#returning.delete(session);
    }
  }

  /**
   * Throws what {@link open} would throw, as far as that is known without it: nothing is made, and nothing begins. For
   * who cannot see why it was refused.
   */
  async assertMayOpen(permit: Permit<'append'>, request: AppendRequest): Promise<void> {
    this.#refuseWhenClosing();
    const file = await this.#openFile(permit, request, false).catch(ignoreMissing);
    if (file === undefined) return;
    try {
      await this.#files.run(file.stat.fingerprint, async () => {
        if ((await this.#running(file, request, permit)) !== undefined) return;
        const resource = await this.#context.live.acquire(file, permit.path);
        const { closed } = resource.state;
        this.#context.live.release(resource);
        const { size } = await file.state();
        if (closed === true) throw new StreamClosedError('the stream is closed', size);
        const last = await this.history.last(file);
        const goesOn = last !== undefined && isContinuedBy(last, request.session, permit.subject.name, size);
        if (!goesOn && this.history.isAwaited(last, permit.path)) throw conflict();
        if (!goesOn) this.#limits.assertForNew(permit.path);
        assertStart(goesOn ? last.start : size, request.expect);
      });
    } finally {
      await file.close();
    }
  }

  /**
   * The session of a file that is there, also one that was left open by the
   * server before this one, while its client may still come back. Who reads does without it when it cannot begin.
   *
   * @throws {ResourceNotFoundError} when the file is not there any more
   * @throws {ServerClosingError} after `close`
   */
  async find(path: ResourcePath, found: StoredFile): Promise<Session | undefined> {
    const { fingerprint } = found.stat;
    await this.#openings.settled(path.key);
    const session = this.live(fingerprint);
    if (session !== undefined) return session;
    if (this.#closing || this.history.remainingGraceMs === 0) return undefined;
    // A record that cannot be read names nobody.
    if (!this.history.isAwaited(await this.history.last(found).catch(() => undefined), path))
      return undefined;
    return this.#files.run(fingerprint, () => this.#revive(path, fingerprint).catch(asNobody));
  }

  async #revive(path: ResourcePath, fingerprint: string): Promise<Session | undefined> {
    const running = this.live(fingerprint);
    if (running !== undefined) return running;
    const file = await this.#resources.openForReturn(Permit.own(path));
    try {
      const last = await this.history.last(file);
      await this.#secure(file);
      const isGone = file.stat.fingerprint !== fingerprint || this.#closing;
      if (isGone || !this.history.isAwaited(last, path)) return undefined;
      // Nobody has brought anything yet.
      const resource = await this.#claim(file, path, true);
      const known = resource.committed;
      const { size } = await file.state().catch(() => ({ size: -1 }));
      if (size >= 0) resource.looked(known, size);
      if (last.start > size) {
        this.#letGo(resource);
        return undefined;
      }
      const subject = { path, resource, file, size, append: last, before: undefined };
      const session = new Session(this, this.#context, subject);
      session.awaitReturn(this.history.remainingGraceMs);
      return session;
    } finally {
      if (this.live(fingerprint)?.file !== file) await file.close();
    }
  }

  /** Runs `action` while nobody begins a session of the file with this fingerprint. */
  exclusively<T>(fingerprint: string, action: () => Promise<T>): Promise<T> {
    return this.#files.run(fingerprint, action);
  }

  /**
   * Takes no new appenders from now on, and ends the sessions without a lease.
   * The others are ended by their holders. Resolves when none is being opened any more. Idempotent.
   */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { claimant } of this.#context.live.all()) {
      if (claimant instanceof Session && claimant.feed.isWaiting) void claimant.end('shutdown');
    }
    await this.#openings.allSettled();
  }

  /** Ends those that wait for clients that may not come back. From now on none waits for such a one. */
  waitOnlyFor(mayReturn: MayReturn): void {
    this.history.mayReturn = mayReturn;
    for (const { claimant } of this.#context.live.all()) {
      if (!(claimant instanceof Session) || !claimant.isAwaited) continue;
      if (!this.mayReturn(claimant)) void claimant.end('interrupted');
    }
  }

  mayReturn({ subject, path }: Pick<Session, 'subject' | 'path'>): boolean {
    return this.history.mayReturn(subject, path);
  }

  /** Ends all sessions, because of what happened to the disk. */
  loseAll(error: HttpfstreamError): void {
    for (const { claimant } of this.#context.live.all())
      if (claimant instanceof Session) claimant.lose(error);
  }

  /** Notes that a file was deleted by this server. */
  deleted(fingerprint: string): void {
    this.live(fingerprint)?.lose(new ResourceGoneError('the file was deleted'));
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw new ServerClosingError('the server is shutting down');
  }

  async #open(permit: Permit<'append'>, request: AppendRequest, holder: LeaseHolder): Promise<Lease> {
    // Those that have ended keep their files open until they are synced.
    await this.#context.log.syncer.waitForCapacity();
    const file = await this.#openFile(permit, request);
    const { fingerprint } = file.stat;
    return this.#files.run(fingerprint, async () => {
      try {
        const running = await this.#running(file, request, permit);
        // One that has just begun has to be held by somebody, who is notified that the server closes.
        if (running !== undefined) this.#refuseWhenClosing();
        const session = running ?? (await this.#begin(permit, file, request));
        session.attach(holder, request);
        return new Lease(session);
      } finally {
        if (this.live(fingerprint)?.file !== file) await file.close();
      }
    });
  }

  /** A file is made only for a session that may begin at 0; a copy is made with what says that it is one, or not at all. */
  async #openFile(
    permit: Permit<'append'>,
    { expect = 0, generation, isCopying = false }: AppendRequest,
    makes = true,
  ): Promise<AppendFile> {
    let file: AppendFile;
    const mayCreate = expect === 0 && generation === undefined && !isCopying;
    const shortage = this.#limits.shortage(permit.path) ?? this.#context.live.shortage();
    try {
      file = await this.#resources.openAppend(permit, {
        create: makes && mayCreate && shortage === undefined,
      });
    } catch (error) {
      if (error instanceof ResourceNotFoundError && mayCreate && shortage !== undefined) throw shortage;
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

  /** The session of the file, if there is one, which must be the client's own. */
  async #running(
    file: AppendFile,
    request: AppendRequest,
    { subject }: Permit<'append'>,
  ): Promise<Session | undefined> {
    const session = this.live(file.stat.fingerprint);
    if (session === undefined) return undefined;
    if (!session.belongsTo(request.session, subject.name)) throw conflict();
    assertNewer(request.attempt, session.attempt);
    if (session.ended === undefined) {
      assertStart(session.start, request.expect);
      return session;
    }
    await session.ended;
    return undefined;
  }

  async #begin(
    { path, subject: { name: subject } }: Permit<'append'>,
    file: AppendFile,
    request: AppendRequest,
  ): Promise<Session> {
    const resource = await this.#claim(file, path, request.isCopying);
    try {
      const last = await this.history.last(file);
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        // Only now: single appends may have been under way.
        const known = resource.committed;
        const { size } = await file.state();
        resource.looked(known, size);
        const goesOn = last !== undefined && isContinuedBy(last, request.session, subject, size);
        if (!goesOn && this.history.isAwaited(last, path)) throw conflict();
        // One that was left open by the server before this one lives.
        if (!goesOn || last.state !== 'open') this.#limits.assertForNew(path);
        if (goesOn) assertNewer(request.attempt, last.attempt);
        const start = goesOn ? last.start : size;
        assertStart(start, request.expect);
        // It is of what an append has brought before, or was to bring. Who copies brings it each time.
        if (!goesOn || request.isCopying) await resource.forgetTypeIfEmpty();
        const own = goesOn ? last : undefined;
        const append = await this.#record(file, request, { size, start, subject, last: own });
        const hasGrown = (await file.state()).size > size || resource.committed > size;
        const mayBegin = !hasGrown && !this.#closing;
        if (mayBegin) {
          return new Session(this, this.#context, { path, resource, file, size, append, before: own });
        }
        // Another program has appended meanwhile: that is not the client's, and followers may have it.
        await this.history.undo(file, last ?? { start: size, state: 'finished', end: size });
        this.#refuseWhenClosing();
        if (goesOn) break;
      }
      throw new AppendBusyError('another program writes to the file');
    } catch (error) {
      this.#letGo(resource);
      throw error;
    }
  }

  /** Remembers a session that begins, or goes on with the `last` append. */
  async #record(
    file: AppendFile,
    request: AppendRequest,
    { size, start, subject, last }: Beginning,
  ): Promise<AppendRecord> {
    await this.#secure(file);
    this.#refuseWhenClosing();
    const append: AppendRecord = {
      ...(request.session && { session: request.session }),
      ...(subject !== undefined && { subject }),
      start,
      state: 'open',
      ...(last?.state === 'finished' && { finishedAt: size, status: last.status }),
    };
    await this.history.begin(file, withAttempt(append, request.attempt));
    return append;
  }

  /** What an earlier server wrote may be in the system's memory only. */
  async #secure(file: AppendFile): Promise<void> {
    const { syncer, durability } = this.#context.log;
    if (durability === 'os') return;
    await syncer.sync(file);
    await syncer.run(() => this.#root.syncNames(file.location));
  }

  /** Claims the resource of an open file for a session, which keeps single appends out. */
  async #claim(file: AppendFile, path: ResourcePath, isCopying?: boolean): Promise<Resource> {
    const { live } = this.#context;
    const resource = await live.acquire(file, path);
    try {
      await resource.claim(isCopying);
      return resource;
    } catch (error) {
      live.release(resource);
      throw error;
    }
  }

  /** Releases a resource that was claimed, and for which no session has begun. */
  #letGo(resource: Resource): void {
    resource.endClaim();
    this.#context.live.release(resource);
  }
}

/** What the disk refuses to who would write (it is full, or the file read-only) is no matter to those who read. */
function asNobody(error: unknown): undefined {
  const failure = storageFailure(error);
  const isOfAll = [ResourceNotFoundError, ResourceGoneError, ServerClosingError].some(
    (kind) => failure instanceof kind,
  );
  if (isOfAll) throw failure;
}
