import type { AppendNumbers } from '../../core/numbers.ts';
import { Permit } from '../../core/permit.ts';
import type { Lease } from '../../core/sessions/lease.ts';
import type { LeaseHolder } from '../../core/sessions/session.ts';
import type { SessionRegistry } from '../../core/sessions/session-registry.ts';
import { isJsonType } from '../../core/streams/stream-type.ts';
import { type HttpfstreamError, ResourceNotFoundError, UpstreamError } from '../../wire/errors.ts';
import type { EndReason, Outcome } from '../../wire/protocol.ts';
import type { Copied, CopyFile, NewCopy } from '../copies/copy-file.ts';
import type { UpstreamRequest } from '../upstream/upstream-request.ts';
import type { HeldPaths } from './held-paths.ts';
import type { PullLog } from './pull-log.ts';
import type { PullProgress } from './pull-state.ts';
import { failed, TOO_LONG, UNKNOWN, unstored } from './verdict.ts';
import { WholeValues } from './whole-values.ts';

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

/** What is here of what is being fetched. */
export interface Fetched {
  /** Why it is fetched, in the words of RFC 9211: it was not here, or in part, or something else was. */
  forwarded: 'uri-miss' | 'partial' | 'stale';
  /** Generation of the file there; undefined before that is known. */
  generation: number | undefined;
  /** Content type of what was made as a stream. */
  type: string | undefined;
  /** How many bytes are here, and count. */
  committed: number;
  /** How many there are elsewhere at least; undefined when that is not known. */
  size: number | undefined;
  /** Whether it is whole or worth nothing: until it has finished, what is here is only a part. */
  isAtomic: boolean;
  /** Whether these are all, and nothing will come after them. */
  isFinal: boolean;
}

/** Who brings the bytes. */
export interface Source {
  /** Called when {@link Copying.take} returned false and may be called again. */
  resume(): void;
  /** Called when no more bytes are taken: the file here is lost. */
  stop(error?: HttpfstreamError): void;
  /** Called when no more bytes are kept: these are the last ones, and were not. */
  tooLong(bytes: Buffer): void;
}

/** What a {@link Copying} is made with. */
export interface CopyingOptions {
  sessions: SessionRegistry;
  /** Where it is counted. */
  numbers: AppendNumbers;
  held: HeldPaths;
  log: PullLog;
  /** How long what is kept may be, in bytes. */
  maxBytes: number;
}

/**
 * The append of a pull to the copy: what is known of the file there, and what has come of it. It tells how far the pull
 * is.
 */
export class Copying implements LeaseHolder {
  readonly request: UpstreamRequest;
  readonly copy: CopyFile;
  readonly progress: PullProgress;
  readonly numbers: AppendNumbers;
  /** It says the type when it is said there. */
  readonly saysTypeLater = true;
  /** Whether something was here that comes from there. */
  wasHere = false;
  readonly #options: CopyingOptions;
  #source: Source | undefined;
  #lease: Lease | undefined;
  #size: number | undefined;
  #hasEnded = false;
  #isAtomic = false;
  #isResumed = false;
  #isConnected = true;
  #isWaiting = false;
  #generation: number | undefined;
  /** Of JSON. */
  #values: WholeValues | undefined;

  /** @param request for the file there */
  constructor(request: UpstreamRequest, copy: CopyFile, progress: PullProgress, options: CopyingOptions) {
    this.request = request;
    this.copy = copy;
    this.progress = progress;
    this.numbers = options.numbers;
    this.#options = options;
  }

  /** Whether so many bytes may be kept. */
  mayKeep(bytes = 0): boolean {
    return bytes <= this.#options.maxBytes;
  }

  /** How many bytes are here and count. */
  get committed(): number {
    return this.#lease?.committed ?? 0;
  }

  /** What is here by now. */
  get fetched(): Fetched {
    const isAnew = this.wasHere ? 'stale' : 'uri-miss';
    return {
      forwarded: this.#isResumed ? 'partial' : isAnew,
      generation: this.#generation,
      type: this.#lease?.feed.streamType,
      committed: this.committed,
      size: this.#size,
      isAtomic: this.#isAtomic,
      isFinal: this.#hasEnded && this.#size !== undefined,
    };
  }

  /** The append to the copy, if it has begun. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Has what is here counted, if anything was appended. */
  count(): void {
    if (this.#lease !== undefined) this.copy.grown(this.#lease.committed);
  }

  /** Notes whether bytes may come. */
  connected(isConnected: boolean): void {
    const { state } = this.progress;
    this.#isConnected = isConnected;
    this.#tellIfWaiting();
    if (state.phase !== 'storing') return;
    if (isConnected) this.#options.log.resumed(this.#lease?.received ?? 0);
    this.progress.become({ ...state, isConnected });
  }

  /** Notes whether the appender there was lost, and may come back. */
  waiting(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#tellIfWaiting();
  }

  /** To those who follow here it is the same whether the appender is lost, or the server to which it appends. */
  #tellIfWaiting(): void {
    this.#lease?.feed.setWaiting(this.#isWaiting || !this.#isConnected);
  }

  /**
   * Notes that bytes may come again, and what there is by now: what was missed is still to come.
   *
   * @param size how many bytes; undefined when that is not known
   * @param hasEnded whether nothing comes after them
   */
  reconnected(size: number | undefined, hasEnded: boolean): void {
    if (size !== undefined && this.#lease !== undefined) {
      this.noteSize(size, hasEnded);
      this.#lease.feed.expect(size, this.#isAtomic);
    }
    this.connected(true);
  }

  /** Drops what is here, and notes why. */
  async drop(why: string): Promise<void> {
    this.#options.log.unkept(why);
    await this.copy.drop();
  }

  /**
   * Notes what is there.
   *
   * @param size how many bytes it has by now; undefined when that is not known
   * @param hasEnded whether nothing comes after them
   */
  noteSize(size: number | undefined, hasEnded: boolean): void {
    this.#size = size;
    this.#hasEnded = hasEnded;
  }

  /**
   * Begins to append to the copy, which is made if there is none.
   *
   * @param source brings the bytes from where the copy ends
   * @param fileType content type that an append has given there to what was not made as a stream
   * @throws {UpstreamError} when it does not end there any more, or is gone
   * @throws what {@link SessionRegistry.open} throws
   */
  async begin(
    copied: Copied | undefined,
    made: Omit<NewCopy, 'url'>,
    source: Source,
    fileType?: string,
  ): Promise<Lease> {
    const { sessions, log } = this.#options;
    const { path, url } = this.request;
    const make = copied === undefined ? () => this.copy.make({ ...made, url: url.href }) : undefined;
    this.#source = source;
    const append = { session: SESSION, isCopying: true, fileType };
    const lease = await sessions.open(Permit.own(path), append, this, make).catch((error) => {
      throw error instanceof ResourceNotFoundError ? this.#changedMeanwhile(error) : error;
    });
    // Readers are told the type by the first that they hear.
    await lease.ready();
    if (lease.failure !== undefined) throw lease.failure;
    this.#lease = lease;
    this.#generation = made.generation;
    if (lease.received !== (copied?.size ?? 0)) {
      const error = this.#changedMeanwhile();
      await lease.end('interrupted');
      await this.drop('changed by another program');
      throw error;
    }
    this.#isAtomic = made.isAtomic;
    this.#isResumed = copied !== undefined;
    // How long a part will be, nobody knows who is not told.
    lease.feed.expect(this.#size ?? (made.isAtomic ? undefined : 0), made.isAtomic);
    if (isJsonType(lease.feed.streamType)) this.#values = new WholeValues();
    log.opened(lease.received);
    // What was told while the file was opened.
    this.#tellIfWaiting();
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
    if (!this.mayKeep(lease.received + this.#openBytes + bytes.length)) {
      this.progress.conclude(unstored(TOO_LONG));
      this.#source?.tooLong(bytes);
      return true;
    }
    // Which of them were short messages, and which were one long one, is not known here.
    if (this.#values === undefined) return lease.append(bytes, true);
    const whole = this.#values.whole(bytes);
    if (this.#values.openBytes > MAX_VALUE_BYTES) {
      this.#source?.stop(new UpstreamError(`a value has more than ${MAX_VALUE_BYTES} bytes`));
    }
    return whole === undefined || lease.append(whole, true);
  }

  /**
   * Ends the append as the file there has ended.
   *
   * @throws {UpstreamError} when that is in the middle of a value, or before what was there already
   */
  async end({ reason, status, closed, moved }: Outcome): Promise<void> {
    const lease = this.#lease as Lease;
    if (reason === 'finished' && this.#openBytes > 0) {
      throw new UpstreamError(`${this.request.upstream.origin} has ended in the middle of a value`);
    }
    if (reason === 'finished' && lease.received < (this.#size ?? 0)) {
      throw new UpstreamError(`${this.request.upstream.origin} has ended before all came that it had`);
    }
    await lease.ready();
    // What is here is not what is there.
    const isInvalid = reason === 'deleted' || reason === 'truncated' || moved === true;
    if (reason === 'truncated') this.#options.held.cut(this.request.path, this.#generation as number);
    if (isInvalid) this.progress.conclude(UNKNOWN);
    // Those who ask from now on are told that what is here is a part.
    if (this.#isAtomic && reason !== 'finished')
      this.progress.conclude(failed(this.request.upstream.broken(undefined)));
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
    this.progress.conclude(failed(error));
    this.#source?.stop(error);
  }

  deposed(): void {
    this.#source?.stop();
  }

  /** Lets those who ask have it, when enough is here to say what it is. */
  #tellIfBegun(): void {
    const { state } = this.progress;
    if (state.phase !== 'storing' || state.isReadable || this.#isBrief) return;
    if (this.committed < Math.min(FIRST_BYTES, this.#size ?? 0)) return;
    this.progress.become({ ...state, isReadable: true });
  }

  /** The error of a copy that is not what it was a moment ago. Who asks gets it anew. */
  #changedMeanwhile(cause?: unknown): UpstreamError {
    this.progress.conclude(UNKNOWN);
    return new UpstreamError('the copy was changed by another program', { cause });
  }

  get #openBytes(): number {
    return this.#values?.openBytes ?? 0;
  }

  get #isBrief(): boolean {
    return this.#hasEnded && this.#size !== undefined && this.#size <= BRIEF_BYTES;
  }
}

/** Whether so little is missing of what a pull fetches that it is not worth while to stop it. */
export function isNearlyThere({ committed, size = 0 }: Fetched): boolean {
  const missing = size - committed;
  return missing > 0 && missing < SMALL_REST_BYTES && missing < size * SMALL_REST;
}
