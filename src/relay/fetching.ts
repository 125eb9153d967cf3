import type { Core } from '../core/core.ts';
import { openLineBytes } from '../core/readers/cutting.ts';
import type { Lease } from '../core/sessions/lease.ts';
import type { LeaseHolder } from '../core/sessions/session.ts';
import { isJsonType } from '../core/streams/stream-type.ts';
import { type HttpfstreamError, UpstreamError, UpstreamTimeoutError } from '../wire/errors.ts';
import type { EndReason, Outcome } from '../wire/protocol.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { type Copied, LocalCopy, type NewCopy } from './local-copy.ts';
import { PullLog, type RelayLog } from './pull-log.ts';
import type { Upstream } from './upstream.ts';

/** Names the append of a relay in what is remembered of the file: no client can have it, it is too short. */
const SESSION = 'relay';

/** How much is here before the head is told, if there is as much: enough to see what it is. */
const FIRST_BYTES = 512;

/** What has ended there, and is not longer than this, is served when all of it is here: its status is known then, too. */
const BRIEF_BYTES = 64 * 1024;

/** Why it is not kept, as the log tells it. */
export const TOO_LONG = 'longer than may be kept';

/** What pulls are made with. */
export interface PullOptions {
  core: Core;
  log: RelayLog;
  /** Longest time to the head of an answer, in milliseconds. */
  headTimeoutMs: number;
  /** Longest time without a byte of what is none of ours, in milliseconds. */
  silenceMs: number;
  /** How long what is kept may be, in bytes. */
  maxBytes: number;
}

/** What becomes of a request for a path that comes from elsewhere. */
export type Head =
  /** It can be read from here, like any other file. */
  | 'here'
  /** It is not there, and is waited for. */
  | 'missing'
  /** It is to be passed on: it is not kept here. */
  | 'elsewhere';

/** What is here of what is being fetched. */
export interface Part {
  /** Generation of the file there; undefined before that is known. */
  generation: number | undefined;
  /** Content type of what was made as a stream. */
  type: string | undefined;
  /** How many bytes are here, and count. */
  committed: number;
  /** How many there are elsewhere at least; undefined when that is not known. */
  size: number | undefined;
  /** Whether these are all, and nothing will come after them. */
  isFinal: boolean;
}

/** Who brings the bytes. */
export interface Source {
  /** Called when {@link Fetching.take} returned false and may be called again. */
  resume(): void;
  /** Called when no more bytes are taken: the file here is lost. */
  stop(error?: HttpfstreamError): void;
}

/** The file of one path while it is fetched: what is asked for it, what is known, and the append to the copy. */
export class Fetching implements LeaseHolder {
  readonly path: ResourcePath;
  readonly upstream: Upstream;
  /** Of all requests for it. */
  readonly headers: Readonly<Record<string, string>>;
  readonly options: PullOptions;
  readonly copy: LocalCopy;
  readonly log: PullLog;
  readonly #aborter = new AbortController();
  #head!: Promise<Head>;
  #tellHead!: (head: Head) => void;
  #refuse!: (error: unknown) => void;
  #source: Source | undefined;
  #lease: Lease | undefined;
  #size: number | undefined;
  #generation: number | undefined;
  /** Of JSON: what has come of a line that has no end yet. */
  #line: Buffer[] | undefined;
  #isMissing = false;
  #isBrief = false;
  #hasEnded = false;
  #isDropped = false;
  #isElsewhere = false;
  #isUnkept = false;
  #isTooLong = false;
  #lost: HttpfstreamError | undefined;

  constructor(
    path: ResourcePath,
    upstream: Upstream,
    headers: Readonly<Record<string, string>>,
    options: PullOptions,
  ) {
    this.path = path;
    this.upstream = upstream;
    this.headers = { ...upstream.headers, ...headers };
    this.options = options;
    this.copy = new LocalCopy(options.core, path);
    this.log = new PullLog(options.log, path, upstream);
    this.#expectHead();
  }

  /** Resolves, or rejects, when it is known what becomes of those who ask for the path. */
  get head(): Promise<Head> {
    return this.#head;
  }

  /** Aborts when it is fetched no more. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Whether the file is not there, and is waited for. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Whether it is not kept here. */
  get isElsewhere(): boolean {
    return this.#isElsewhere;
  }

  /** Whether it is not to be kept. */
  get isUnkept(): boolean {
    return this.#isUnkept;
  }

  /** Whether more has come than may be kept. */
  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  /** Whether so many bytes may be kept. */
  mayKeep(bytes = 0): boolean {
    return bytes <= this.options.maxBytes;
  }

  /** Whether what was here is gone, as what was there. */
  get isDropped(): boolean {
    return this.#isDropped;
  }

  /** How many bytes are here and count. */
  get committed(): number {
    return this.#lease?.committed ?? 0;
  }

  /** How many bytes the file there had at the beginning; undefined when that is not known. */
  get size(): number | undefined {
    return this.#size;
  }

  /** What is here. */
  get part(): Part {
    return {
      generation: this.#generation,
      type: this.#lease?.feed.type,
      committed: this.committed,
      size: this.#size,
      isFinal: this.#hasEnded && this.#size !== undefined,
    };
  }

  /** Whether everything is here of what has ended there, and that is all but told. */
  get isEnding(): boolean {
    return this.#hasEnded && this.#size !== undefined && this.committed >= this.#size;
  }

  /** The append to the copy, if it has begun. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Why nothing more is appended to the file here, if that is so. */
  get loss(): HttpfstreamError | undefined {
    return this.#lost;
  }

  /** Fetches no more. */
  abort(reason: unknown): void {
    this.#aborter.abort(reason);
  }

  /** Tells those who ask that it is not there, and those who ask later what comes then. */
  miss(): void {
    this.#isMissing = true;
    this.#tellHead('missing');
    this.#expectHead();
  }

  /**
   * Tells those who ask to be passed on.
   *
   * @param why as the log tells it
   * @param isUnkept whether that is so for a while: it is not to be kept
   */
  passOn(why: string, isUnkept = false): void {
    this.#isElsewhere = true;
    this.#isUnkept = isUnkept;
    this.log.unkept(why);
    this.#tellHead('elsewhere');
  }

  /** Notes that it goes on after a cut. */
  resumed(): void {
    this.log.resumed(this.#lease?.received ?? 0);
  }

  /** Drops what is here, and notes why. */
  async drop(why: string): Promise<void> {
    this.log.unkept(why);
    await this.copy.drop();
  }

  /** Gives up a copy that has become too long: its readers come back, and are passed on. */
  async giveUp(): Promise<void> {
    await this.#lease?.end('shutdown');
    await this.copy.drop();
    this.passOn(TOO_LONG, true);
  }

  /** Tells those who ask that it can be read from here. */
  serve(): void {
    this.#tellHead('here');
  }

  /** Tells those who ask why it cannot be had. */
  refuse(error: unknown): void {
    this.#refuse(error);
  }

  /**
   * Tells what is there.
   *
   * @param size how many bytes it has by now; undefined when that is not known
   * @param hasEnded whether nothing comes after them
   */
  found(size: number | undefined, hasEnded: boolean): void {
    this.#size = size;
    this.#isMissing = false;
    this.#hasEnded = hasEnded;
    this.#isBrief = hasEnded && size !== undefined && size <= BRIEF_BYTES;
  }

  /**
   * Begins to append to the copy, which is made if there is none.
   *
   * @param source brings the bytes from where the copy ends
   * @throws {UpstreamError} when it does not end there any more
   * @throws what {@link SessionRegistry.open} throws
   */
  async append(here: Copied | undefined, made: NewCopy, source: Source): Promise<Lease> {
    const { sessions } = this.options.core;
    const make = here === undefined ? () => this.copy.make(made) : undefined;
    this.#source = source;
    const lease = await sessions.open(this.path, { session: SESSION, isCopying: true }, this, make);
    this.#lease = lease;
    this.#generation = made.generation;
    if (lease.received !== (here?.size ?? 0)) {
      await this.drop('changed by another program');
      throw new UpstreamError('the copy was changed by another program');
    }
    lease.feed.expect(this.#size ?? 0);
    if (isJsonType(lease.feed.type)) this.#line = [];
    this.log.opened(lease.received);
    this.#tellIfBegun();
    return lease;
  }

  /**
   * Appends bytes, which are its own from now on.
   *
   * @returns false when too many wait for the disk
   */
  take(bytes: Buffer): boolean {
    const lease = this.#lease as Lease;
    if (!this.mayKeep(lease.received + bytes.length)) {
      this.#isTooLong = true;
      this.#source?.stop();
      return true;
    }
    if (this.#line === undefined) return lease.append(bytes);
    // Readers of JSON get whole values.
    const open = openLineBytes([bytes]);
    const whole = bytes.subarray(0, bytes.length - open);
    const parts = whole.length > 0 ? [...this.#line.splice(0), whole] : [];
    if (open > 0) this.#line.push(bytes.subarray(bytes.length - open));
    return parts.length === 0 || lease.append(parts.length === 1 ? whole : Buffer.concat(parts));
  }

  /** Ends the append as the file there has ended. */
  async end({ reason, status, closed }: Outcome): Promise<void> {
    const lease = this.#lease as Lease;
    await lease.ready();
    // What is here is not what is there.
    this.#isDropped = reason === 'deleted' || reason === 'truncated';
    // The end of the file is the end of the append.
    if (reason !== 'deleted') await lease.end(reason, status, closed);
    if (this.#isDropped) await this.drop(reason);
  }

  drained(): void {
    this.#source?.resume();
  }

  safe(): void {
    this.#tellIfBegun();
  }

  lost(_reason: EndReason, error: HttpfstreamError): void {
    if (this.#isDropped) return;
    this.#lost = error;
    this.#source?.stop(error);
  }

  deposed(): void {
    this.#source?.stop();
  }

  /** What is told when the server there cannot be reached. */
  unreachable(cause: unknown): UpstreamError {
    return new UpstreamError(`${this.upstream.origin} cannot be reached`, { cause });
  }

  /** What is told when what it sends breaks off. */
  broken(cause: unknown): UpstreamError | UpstreamTimeoutError {
    if (cause instanceof UpstreamError || cause instanceof UpstreamTimeoutError) return cause;
    return new UpstreamError(`${this.upstream.origin} has broken off`, { cause });
  }

  /**
   * Tells those who ask from now on that what was here is a part.
   *
   * @returns why
   */
  breakOff(cause: unknown): HttpfstreamError {
    this.#lost ??= this.broken(cause);
    return this.#lost;
  }

  /** What is told when it does not answer. */
  timedOut(): UpstreamTimeoutError {
    return new UpstreamTimeoutError(`${this.upstream.origin} does not answer`);
  }

  #expectHead(): void {
    this.#head = new Promise((resolve, reject) => {
      this.#tellHead = resolve;
      this.#refuse = reject;
    });
    // Whoever asks is told; there may be nobody any more.
    this.#head.catch(ignore);
  }

  /** Lets those who ask have it, when enough is here to say what it is. */
  #tellIfBegun(): void {
    const lease = this.#lease;
    if (lease === undefined || this.#isBrief) return;
    if (lease.committed >= Math.min(FIRST_BYTES, this.#size ?? 0)) this.serve();
  }
}

function ignore(): void {}
