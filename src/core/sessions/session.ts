import type { AppendRecord } from '../../storage/records/file-record.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { AppendFile, StoredFile } from '../../storage/stored-file.ts';
import { type HttpfstreamError, ResourceGoneError, StreamTruncatedError } from '../../wire/errors.ts';
import type { EndReason, Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { SessionWriter, type WriterOwner } from '../log/session-writer.ts';
import type { AppendNumbers } from '../numbers.ts';
import { type Feed, withClosed } from '../readers/feed.ts';
import type { Reader, Sink } from '../readers/reader.ts';
import type { AppendRequest } from '../request.ts';
import type { Claimant, Resource } from '../resource.ts';
import type { SessionContext, SessionSubject } from './session-context.ts';

/** Time between two looks whether the request of a client that is back has been opened. */
const RETURN_MS = 100;

/** Who brings the bytes, and is notified: one connection. */
export interface LeaseHolder {
  /** Where its append is counted. */
  readonly numbers: AppendNumbers;
  /** Whether it may say only after it has the lease of which content type its bytes are. Default false. */
  readonly saysTypeLater?: boolean;
  /** Called when {@link Lease.append} returned false and may be called again. */
  drained(): void;
  /** Called when the bytes below `position` are safe; it only grows. */
  safe(position: number): void;
  /** Called once when the session ends by what happened to its file. */
  lost(reason: EndReason, error: HttpfstreamError): void;
  /** Called once when the client came back through another connection; this one counts no more. */
  deposed(): void;
}

/** Who opens sessions, and is notified of their ends. */
export interface SessionHost {
  /** Whether the server closes, so that nobody is waited for. */
  readonly isClosing: boolean;
  /** Whether a request with this token is being opened, and only the server is slow. */
  isReturning(token: string | undefined): boolean;
  /** Whether its client may come back. */
  mayReturn(session: Pick<Session, 'subject' | 'path'>): boolean;
  /** Called when the session has ended, and its followers know: others may append from now on. */
  over(resource: Resource): void;
}

/**
 * The one append to a feed, from its beginning to its end. Connections may come
 * and go meanwhile: at any time one {@link Lease}, or none, holds it.
 */
export class Session implements Claimant, WriterOwner {
  readonly feed: Feed;
  /** When it began, or was found, in milliseconds since 1970. */
  readonly sinceMs = Date.now();
  readonly #host: SessionHost;
  readonly #context: SessionContext;
  readonly #subject: SessionSubject;
  readonly #writer: SessionWriter;
  #holder: LeaseHolder | undefined;
  /** Where it is counted: of the last one who held it; undefined while nobody has since the server was started. */
  #numbers: AppendNumbers | undefined;
  #epoch = 0;
  #attempt: number | undefined;
  #closes = false;
  /** Whether it ends as something else has ended, whatever it has brought. */
  #isCopying = false;
  #saysTypeLater = false;
  #grace: NodeJS.Timeout | undefined;
  /** Set when it has given the file a content type; settles when that is remembered. Never rejects. */
  #typeKept: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #failure: HttpfstreamError | undefined;
  #outcome: Outcome | undefined;
  #endPosition: number | undefined;

  constructor(host: SessionHost, context: SessionContext, subject: SessionSubject) {
    const { path, resource, file } = subject;
    this.#host = host;
    this.#context = context;
    this.#subject = subject;
    this.feed = context.feeds.open(resource, file);
    this.feed.retain();
    this.#writer = new SessionWriter(context.log, resource, file, this);
    resource.claimant = this;
    context.watch.add(this, path);
    context.liveNames.add(this);
  }

  /** Position at which it began; below `feed.committed` at first when it goes on with one that had begun. */
  get start(): number {
    return this.#subject.append.start;
  }

  /** The file that it writes, which is its own. */
  get file(): AppendFile {
    return this.#subject.file;
  }

  /** What writes its bytes. */
  get writer(): SessionWriter {
    return this.#writer;
  }

  /** Set when it ends or has ended; settles when it has. Never rejects. */
  get ended(): Promise<void> | undefined {
    return this.#ended;
  }

  /** How it has ended, if it has. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** The position below which its bytes are in the file. */
  get committed(): number {
    return this.#endPosition ?? this.feed.committed;
  }

  /** Set when bytes were refused, or the file is no longer what it was. */
  get failure(): HttpfstreamError | undefined {
    return this.#failure;
  }

  /** Whether the client that brings `token` is the one that began it. @param subject who that is, where there are rights */
  belongsTo(token: string | undefined, subject: string | undefined): boolean {
    return token !== undefined && token === this.#token && subject === this.#subject.append.subject;
  }

  /** Makes a reader, which stays for the session, or for longer where others may append after it. */
  join(position: number, sink: Sink): Reader {
    return this.feed.join(position, sink, this.#subject.resource.isOpen ? 'stream' : 'session');
  }

  /**
   * Gives the file a content type, if it has none and is empty, or a copy. Bytes that come after it are in the file
   * once it is remembered; when that fails the session ends.
   */
  giveType(fileType: string): void {
    const { resource } = this.#subject;
    const isBegun = this.#writer.received > 0 && !this.#isCopying;
    const isTyped = resource.givenType !== undefined || this.#typeKept !== undefined;
    if (isBegun || isTyped || this.#ended !== undefined) return;
    this.#typeKept = resource.giveType(fileType).catch((error) => this.lose(storageFailure(error)));
    this.#writer.holdUntil(this.#typeKept);
  }

  /** Whether it has brought nothing yet, and may say of which content type that will be. */
  get mayGiveType(): boolean {
    return this.#saysTypeLater && this.#writer.received === 0 && this.#ended === undefined;
  }

  /** Resolves when what came through an earlier connection is in the file, and its type is remembered. */
  async ready(): Promise<void> {
    await this.#typeKept;
    await this.#writer.flushed();
  }

  /** Whether nobody holds it, and its client may come back. */
  get isAwaited(): boolean {
    return this.#holder === undefined && this.#ended === undefined;
  }

  /** The name under which the file was opened. */
  get path(): ResourcePath {
    return this.#subject.path;
  }

  /** Who appends, where there are rights. */
  get subject(): string | undefined {
    return this.#subject.append.subject;
  }

  /** How the bytes come; undefined while nobody brings any. */
  get transport(): AppendNumbers['transport'] | undefined {
    return this.#holder?.numbers.transport;
  }

  /** Grows whenever another connection, or none, holds it. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Number of its client's last request, if it counts them. */
  get attempt(): number | undefined {
    return this.#attempt;
  }

  /**
   * Gives the session to a new connection, which may have a {@link Lease} then; the one before, if it is still there,
   * is deposed.
   *
   * @param request of the client
   */
  attach(holder: LeaseHolder, request: AppendRequest): void {
    const { attempt, closes = false, isCopying = false, fileType } = request;
    const deposed = this.#holder;
    this.#attempt = attempt;
    this.#closes = closes;
    this.#isCopying = isCopying;
    this.#saysTypeLater = holder.saysTypeLater ?? false;
    this.#holder = holder;
    this.#numbers = holder.numbers;
    if (this.#epoch > 0 || this.#subject.before?.state === 'open') this.#context.numbers.sessionsResumed++;
    this.#epoch++;
    clearTimeout(this.#grace);
    deposed?.deposed();
    this.feed.setWaiting(false);
    if (fileType !== undefined) this.giveType(fileType);
  }

  /** Waits for its client, whose connection was lost; ends as `interrupted` when it has not come back in time. */
  awaitReturn(graceMs = this.#context.graceMs): void {
    this.#holder = undefined;
    this.#epoch++;
    if (this.#ended !== undefined) return;
    if (this.#host.isClosing) {
      void this.end('shutdown');
      return;
    }
    const isRepeated = this.#endedBefore !== undefined && this.#broughtNothing;
    if (this.#token === undefined || graceMs <= 0 || isRepeated || !this.#host.mayReturn(this)) {
      void this.end('interrupted');
      return;
    }
    this.feed.setWaiting(true);
    this.#grace = setTimeout(() => this.#graceIsOver(), graceMs).unref();
  }

  isolate(cause: HttpfstreamError): Promise<void> {
    return this.#writer.isolate(cause);
  }

  drained(): void {
    this.#holder?.drained();
  }

  written(bytes: number): void {
    if (this.#numbers !== undefined) this.#numbers.bytes += bytes;
  }

  safe(position: number): void {
    this.#holder?.safe(position);
  }

  failed(error: HttpfstreamError): void {
    this.lose(error);
  }

  /** Ends because of what happened to its file; the holder is notified. */
  lose(error: HttpfstreamError): void {
    if (this.#failure !== undefined || this.#outcome !== undefined) return;
    this.#failure = error;
    const reason = reasonOf(error);
    void this.end(reason);
    // Also when it was ending: the end that its client waits for will be another one.
    this.#holder?.lost(reason, error);
  }

  /**
   * Takes no more bytes, writes what it has and ends the feed: for `reason`, or
   * for what went wrong. Idempotent; the first reason stays. Never rejects.
   *
   * @param status with `finished`: of the command whose output it was, if its appender sends it
   * @param closes with `finished`: whether the stream is closed, also if that was not asked for at the beginning
   */
  end(reason: EndReason, status?: number, closes = false): Promise<void> {
    this.#closes ||= closes;
    this.#ended ??= this.#end({ reason, status });
    return this.#ended;
  }

  /** Without one the session ends with its connection. */
  get #token(): string | undefined {
    return this.#subject.append.session;
  }

  /** How it had ended already, if its client came back after that. */
  get #endedBefore(): Outcome | undefined {
    const { before } = this.#subject;
    return before === undefined || before.state === 'open'
      ? undefined
      : { reason: before.state, status: before.status };
  }

  get #broughtNothing(): boolean {
    return this.#writer.received === this.#subject.size;
  }

  #graceIsOver(): void {
    if (this.#host.isReturning(this.#token)) {
      this.#grace = setTimeout(() => this.#graceIsOver(), RETURN_MS).unref();
    } else void this.end('interrupted');
  }

  async #end({ reason, status }: Outcome): Promise<void> {
    clearTimeout(this.#grace);
    this.#writer.stop();
    await this.#writer.secured();
    await this.#typeKept;
    await this.#forgetTypeOfNothing(reason);
    // A copy is whole when it is on the disk: nobody brings it again who knew that it is not.
    if (this.#isCopying) await this.#writer.sync();
    // What is called finished must be there.
    const change = reason === 'finished' && this.#failure === undefined ? await this.#complete() : undefined;
    if (change !== undefined) this.lose(change);
    const failure = this.#failure;
    const endedBefore = this.#endedBefore;
    // The handshake that a proxy repeated too late, say: it must not undo how the append had ended.
    const isLost = reason === 'interrupted' && failure === undefined && !this.#isCopying;
    if (isLost && this.#broughtNothing && endedBefore !== undefined) {
      const { file, before } = this.#subject;
      await this.#context.history.undo(file, before as AppendRecord);
      this.#over(endedBefore);
      return;
    }
    const actual = failure === undefined ? { reason, status } : { reason: reasonOf(failure) };
    await this.#record(actual);
    if (this.#failure === failure || this.#failure === undefined) {
      this.#over(actual);
      return;
    }
    // It was lost while that was remembered.
    const lost = { reason: reasonOf(this.#failure) };
    await this.#record(lost);
    this.#over(lost);
  }

  /**
   * Forgets the type of bytes that never came; of one that waits over a restart they still may. Never rejects: what
   * cannot be forgotten is so when another one begins.
   */
  async #forgetTypeOfNothing(reason: EndReason): Promise<void> {
    if (reason === 'finished' || reason === 'shutdown') return;
    const isOwn = this.#typeKept !== undefined || this.#endedBefore === undefined;
    if (isOwn) await this.#subject.resource.forgetTypeIfEmpty().catch(() => undefined);
  }

  /**
   * Finds out what happened to the file before it is called finished, and closes the stream if it is to be closed.
   * Never rejects.
   *
   * @returns what keeps the append from having finished
   */
  async #complete(): Promise<HttpfstreamError | undefined> {
    const { path, resource } = this.#subject;
    const change = this.#context.watch.examine(this.feed, path);
    if (change !== undefined || !this.#closes) return change;
    return resource.close().then(() => undefined, storageFailure);
  }

  /** Remembers how it ended, before anybody is notified. Never rejects. */
  #record(outcome: Outcome): Promise<void> {
    const { file, append } = this.#subject;
    return this.#context.history.end(file, withAttempt(append, this.#attempt), this.feed.committed, outcome);
  }

  /** Notifies all that it has ended, and releases everything. Never rejects. */
  #over(outcome: Outcome): void {
    const { resource } = this.#subject;
    this.#outcome = outcome;
    this.#numbers?.ended(outcome.reason);
    this.#context.numbers.ends[outcome.reason]++;
    this.#endPosition = this.feed.committed;
    // Others may append after it: those who are there for that stay.
    const { closed } = resource.state;
    const isForAll = !['finished', 'interrupted'].includes(outcome.reason) || closed === true;
    if (outcome.reason === 'deleted' && isLinked(this.feed.file)) this.#endByName(outcome);
    else this.feed.end(withClosed(outcome, closed), isForAll ? 'stream' : 'session');
    if (this.#host.isClosing) this.feed.end({ reason: 'shutdown' }, 'stream');
    if (outcome.reason === 'truncated') resource.cutFeed();
    this.#context.watch.delete(this);
    this.#context.liveNames.delete(this);
    if (resource.isOpen) this.#context.feeds.watch(resource, this.feed);
    this.#host.over(resource);
    void this.#letGo(outcome.reason === 'truncated');
  }

  /**
   * The file has lost the name under which the session had it, and is there still for those who follow it under
   * another.
   */
  #endByName(outcome: Outcome): void {
    const { resource, path } = this.#subject;
    this.feed.end(outcome, 'stream', path);
    this.feed.end({ reason: 'interrupted' }, resource.isOpen ? 'session' : 'stream');
  }

  async #letGo(isCut: boolean): Promise<void> {
    const { resource, file } = this.#subject;
    await this.#writer.finish(isCut);
    // A close that fails has lost nothing.
    await file.close().catch(() => undefined);
    this.feed.release();
    this.#context.live.release(resource);
  }
}

/** Whether a name leads to a file, as far as that is known. */
function isLinked(file: StoredFile): boolean {
  try {
    return file.stateInLine().isLinked;
  } catch {
    return false;
  }
}

function reasonOf(error: HttpfstreamError): EndReason {
  if (error instanceof ResourceGoneError) return 'deleted';
  return error instanceof StreamTruncatedError ? 'truncated' : 'interrupted';
}

/** What is remembered of an append, with the number of its client's last request, if it counts them. */
export function withAttempt(append: AppendRecord, attempt: number | undefined): AppendRecord {
  return attempt === undefined ? append : { ...append, attempt };
}
