import type { Core } from '../../core/core.ts';
import { openLineBytes } from '../../core/readers/cutting.ts';
import type { Lease } from '../../core/sessions/lease.ts';
import type { LeaseHolder } from '../../core/sessions/session.ts';
import { isJsonType } from '../../core/streams/stream-type.ts';
import { type HttpfstreamError, UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import type { EndReason, Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { KeptCopies } from '../copies/kept-copies.ts';
import type { Copied, LocalCopy, NewCopy } from '../copies/local-copy.ts';
import type { HeldPaths } from '../held-paths.ts';
import type { Forwarder } from '../upstream/forward.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { failed, TOO_LONG, UNKNOWN, unstored, type Verdict } from '../verdict.ts';
import { Overflow } from './overflow.ts';
import { PullLog, type RelayLog } from './pull-log.ts';
import { PullProgress } from './pull-state.ts';

/** Names the append of a relay in what is remembered of the file: no client can have it, it is too short. */
const SESSION = 'relay';

/** How much is here before the head is told, if there is as much: enough to see what it is. */
const FIRST_BYTES = 512;

/**
 * What has ended there, and is not longer than this, is served when all of it is here: its status is known then, too.
 */
const BRIEF_BYTES = 64 * 1024;

/** How long a value of JSON may be, in bytes: it is kept in memory until its end. */
const MAX_VALUE_BYTES = 16 * 1024 * 1024;

/** A pull goes on for nobody when less than this part of the file is missing, and less than so many bytes. */
const SMALL_REST = 0.1;
const SMALL_REST_BYTES = 64 * 1024 * 1024;

/** What pulls are made with. */
export interface PullOptions {
  core: Core;
  copies: KeptCopies;
  held: HeldPaths;
  log: RelayLog;
  /** Makes the connections for what is asked, which its owner closes. */
  forwarder: Forwarder;
  /** Longest time to the head of an answer, in milliseconds. */
  headTimeoutMs: number;
  /** Longest time without a byte of what is none of ours, in milliseconds. */
  silenceMs: number;
  /** How long what is kept may be, in bytes. */
  maxBytes: number;
}

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
  /** Whether what is here is worth nothing without what comes until it has finished. */
  isPart: boolean;
  /** Whether these are all, and nothing will come after them. */
  isFinal: boolean;
}

/** Who brings the bytes. */
export interface Source {
  /** Called when {@link Fetching.take} returned false and may be called again. */
  resume(): void;
  /** Called when no more bytes are taken: the file here is lost. */
  stop(error?: HttpfstreamError): void;
  /** Called when no more bytes are kept: these are the last ones, and were not. */
  tooLong(bytes: Buffer): void;
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
  readonly progress = new PullProgress();
  /** It says the type when it is said there. */
  readonly saysTypeLater = true;
  /** Whether the server there keeps the file for those who come back. */
  isHeld = false;
  /** Whether it is looked only whether what is here still holds: no bytes are fetched. */
  looksOnly = false;
  readonly #aborter = new AbortController();
  #source: Source | undefined;
  #lease: Lease | undefined;
  #size: number | undefined;
  #hasEnded = false;
  #isPart = false;
  #isConnected = true;
  #isWaiting = false;
  #generation: number | undefined;
  /** Of JSON: what has come of a line that has no end yet. */
  #line: Buffer[] | undefined;
  #lineBytes = 0;
  #overflow: Overflow | undefined;
  #offered: { answer: OpenAnswer; isToFollow: boolean } | undefined;

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
    this.copy = options.copies.at(path);
    this.log = new PullLog(options.log, path, upstream);
  }

  /** Where it is there. */
  get url(): URL {
    return this.upstream.urlOf(this.path);
  }

  /** Aborts when it is fetched no more. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Whether so many bytes may be kept. */
  mayKeep(bytes = 0): boolean {
    return bytes <= this.options.maxBytes;
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
      type: this.#lease?.feed.streamType,
      committed: this.committed,
      size: this.#size,
      isPart: this.#isPart,
      isFinal: this.#hasEnded && this.#size !== undefined,
    };
  }

  /** The append to the copy, if it has begun. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Fetches no more. */
  abort(reason: unknown): void {
    this.#aborter.abort(reason);
  }

  /** Tells that it is not there, and is waited for. */
  miss(): void {
    this.progress.become({ phase: 'waiting' });
  }

  /** Tells what becomes of it, before its append has ended. What was told first stays. */
  conclude(verdict: Verdict): void {
    if (!this.progress.become({ phase: 'ending', verdict })) return;
    if (verdict.kind === 'bypass') this.log.unkept(verdict.why);
  }

  /**
   * Gives an answer that is not kept to whoever has asked first: it is not asked for twice.
   *
   * @param isToFollow whether it is one to who follows only
   */
  offer(answer: OpenAnswer, isToFollow: boolean): void {
    this.#offered = { answer, isToFollow };
  }

  /** Takes what was offered, if it is an answer to that, which is the caller's own then. */
  takeOffered(asksTo: 'read' | 'follow' | undefined): OpenAnswer | undefined {
    const offered = this.#offered;
    if (asksTo === undefined || (offered?.isToFollow === true && asksTo !== 'follow')) return undefined;
    this.#offered = undefined;
    return offered?.answer;
  }

  /**
   * What comes beyond what may be kept, for who has asked first.
   *
   * @param signal aborts when he asks no more
   */
  overflowFor(signal: AbortSignal): Overflow {
    this.#overflow = new Overflow(signal);
    return this.#overflow;
  }

  get overflow(): Overflow | undefined {
    return this.#overflow;
  }

  /** Has what is here counted, if anything was appended. */
  count(): void {
    if (this.#lease !== undefined) this.copy.grown(this.#lease.committed);
  }

  /** Notes whether bytes may come. */
  connected(isConnected: boolean): void {
    const { state } = this.progress;
    this.#isConnected = isConnected;
    if (state.phase !== 'storing') return;
    if (isConnected) this.log.resumed(this.#lease?.received ?? 0);
    this.progress.become({ ...state, isConnected });
  }

  /** Notes whether the appender there was lost, and may come back. */
  waiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#lease?.feed.setWaiting(isWaiting);
  }

  /**
   * Notes that bytes may come again, and what there is by now: what was missed is still to come.
   *
   * @param size how many bytes; undefined when that is not known
   * @param hasEnded whether nothing comes after them
   */
  reconnected(size: number | undefined, hasEnded: boolean): void {
    if (size !== undefined && this.#lease !== undefined) {
      this.found(size, hasEnded);
      this.#lease.feed.expect(size, this.#isPart);
    }
    this.connected(true);
  }

  /** Drops what is here, and notes why. */
  async drop(why: string): Promise<void> {
    this.log.unkept(why);
    await this.copy.drop();
  }

  /**
   * Tells what is there.
   *
   * @param size how many bytes it has by now; undefined when that is not known
   * @param hasEnded whether nothing comes after them
   */
  found(size: number | undefined, hasEnded: boolean): void {
    this.#size = size;
    this.#hasEnded = hasEnded;
  }

  /**
   * Begins to append to the copy, which is made if there is none.
   *
   * @param source brings the bytes from where the copy ends
   * @param fileType content type that an append has given there to what was not made as a stream
   * @throws {UpstreamError} when it does not end there any more
   * @throws what {@link SessionRegistry.open} throws
   */
  async append(
    here: Copied | undefined,
    made: Omit<NewCopy, 'url'>,
    source: Source,
    fileType?: string,
  ): Promise<Lease> {
    const { sessions } = this.options.core;
    const make = here === undefined ? () => this.copy.make({ ...made, url: this.url.href }) : undefined;
    this.#source = source;
    const lease = await sessions.open(this.path, { session: SESSION, isCopying: true, fileType }, this, make);
    // Readers are told the type by the first that they hear.
    await lease.ready();
    if (lease.failure !== undefined) throw lease.failure;
    this.#lease = lease;
    this.#generation = made.generation;
    if (lease.received !== (here?.size ?? 0)) {
      // Who asks gets it anew.
      this.conclude(UNKNOWN);
      await lease.end('interrupted');
      await this.drop('changed by another program');
      throw new UpstreamError('the copy was changed by another program');
    }
    this.#isPart = made.isPart;
    // How long a part will be, nobody knows who is not told.
    lease.feed.expect(this.#size ?? (made.isPart ? undefined : 0), made.isPart);
    if (isJsonType(lease.feed.streamType)) this.#line = [];
    this.log.opened(lease.received);
    // What was told while the file was opened.
    lease.feed.setWaiting(this.#isWaiting);
    this.progress.become({ phase: 'storing', isReadable: false, isConnected: this.#isConnected });
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
    if (!this.mayKeep(lease.received + this.#lineBytes + bytes.length)) {
      this.conclude(unstored(TOO_LONG));
      this.#source?.tooLong(bytes);
      return true;
    }
    if (this.#line === undefined) return lease.append(bytes);
    // Readers of JSON get whole values.
    const open = openLineBytes([bytes]);
    const whole = bytes.subarray(0, bytes.length - open);
    const parts = whole.length > 0 ? [...this.#line.splice(0), whole] : [];
    this.#lineBytes = whole.length > 0 ? open : this.#lineBytes + open;
    if (open > 0) this.#line.push(bytes.subarray(bytes.length - open));
    if (this.#lineBytes > MAX_VALUE_BYTES) {
      this.#source?.stop(new UpstreamError(`a value has more than ${MAX_VALUE_BYTES} bytes`));
    }
    return parts.length === 0 || lease.append(parts.length === 1 ? whole : Buffer.concat(parts));
  }

  /**
   * Ends the append as the file there has ended.
   *
   * @throws {UpstreamError} when that is in the middle of a value, or before what was there already
   */
  async end({ reason, status, closed, moved }: Outcome): Promise<void> {
    const lease = this.#lease as Lease;
    if (reason === 'finished' && this.#lineBytes > 0) {
      throw new UpstreamError(`${this.upstream.origin} has ended in the middle of a value`);
    }
    if (reason === 'finished' && lease.received < (this.#size ?? 0)) {
      throw new UpstreamError(`${this.upstream.origin} has ended before all came that it had`);
    }
    await lease.ready();
    // What is here is not what is there.
    const isInvalid = reason === 'deleted' || reason === 'truncated' || moved === true;
    if (reason === 'truncated') this.options.held.cut(this.path, this.#generation as number);
    if (isInvalid) this.conclude(UNKNOWN);
    // Those who ask from now on are told that what is here is a part.
    if (this.#isPart && reason !== 'finished') this.conclude(failed(this.broken(undefined)));
    // The end of the file is the end of the append.
    if (reason !== 'deleted') await lease.end(reason, status, closed);
    if (isInvalid) await this.drop(moved === true ? 'replaced' : reason);
  }

  drained(): void {
    this.#source?.resume();
  }

  safe(): void {
    this.count();
    this.#tellIfBegun();
  }

  lost(_reason: EndReason, error: HttpfstreamError): void {
    if (this.progress.verdict !== undefined) return;
    this.conclude(failed(error));
    this.#source?.stop(error);
  }

  deposed(): void {
    this.#source?.stop();
  }

  /** What is told when what it sends breaks off. */
  broken(cause: unknown): UpstreamError | UpstreamTimeoutError {
    if (cause instanceof UpstreamError || cause instanceof UpstreamTimeoutError) return cause;
    return new UpstreamError(`${this.upstream.origin} has broken off`, { cause });
  }

  /** Lets those who ask have it, when enough is here to say what it is. */
  #tellIfBegun(): void {
    const { state } = this.progress;
    if (state.phase !== 'storing' || state.isReadable || this.#isBrief) return;
    if (this.committed < Math.min(FIRST_BYTES, this.#size ?? 0)) return;
    this.progress.become({ ...state, isReadable: true });
  }

  get #isBrief(): boolean {
    return this.#hasEnded && this.#size !== undefined && this.#size <= BRIEF_BYTES;
  }
}

/** Whether so little is missing of what a pull fetches that it is not worth while to stop it. */
export function isNearlyThere({ committed, size = 0 }: Part): boolean {
  const missing = size - committed;
  return missing > 0 && missing < SMALL_REST_BYTES && missing < size * SMALL_REST;
}
