import { type FollowOpening, type FollowStream, follow } from '../client/index.ts';
import type { Core } from '../core/core.ts';
import { openLineBytes } from '../core/readers/cutting.ts';
import type { Lease, LeaseHolder } from '../core/sessions/lease.ts';
import { isJsonType } from '../core/streams/stream-type.ts';
import {
  ConnectionError,
  type HttpfstreamError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  UnexpectedStatusError,
  UpstreamError,
  UpstreamTimeoutError,
} from '../wire/errors.ts';
import type { EndReason, Outcome } from '../wire/protocol.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { kindOf } from './first-contact.ts';
import { type Copied, LocalCopy } from './local-copy.ts';
import type { Upstream } from './upstream.ts';
import { outcomeOf } from './upstream-end.ts';

/** Names the append of a relay in what is remembered of the file: no client can have it, it is too short. */
const SESSION = 'relay';

/** How often what is here may turn out to be outdated while it is looked at. */
const MAX_ATTEMPTS = 3;

/** How much is here before the head is told, if there is as much: enough to see what it is. */
const FIRST_BYTES = 512;

/** What has ended there, and is not longer than this, is served when all of it is here: its status is known then, too. */
const BRIEF_BYTES = 64 * 1024;

/** Where a log gets its lines. */
export interface RelayLog {
  info(detail: object, message: string): void;
}

/** What pulls are made with. */
export interface PullOptions {
  core: Core;
  log: RelayLog;
  /** Longest time to the head of an answer, in milliseconds. */
  headTimeoutMs: number;
}

/** What becomes of a request for a path that comes from elsewhere. */
export type Head =
  /** It can be read from here, like any other file. */
  | 'here'
  /** It is not there, and is waited for. */
  | 'missing'
  /** It is to be passed on: it is not kept here. */
  | 'elsewhere';

/**
 * What is being fetched of one path: the appender of an ordinary resource. It belongs to the resource, not to who has
 * asked first. It follows the file on the other server from where the copy here ends, and passes on how that ends.
 */
export class Pull implements LeaseHolder {
  readonly path: ResourcePath;
  /** Resolves, or rejects, when it is known what becomes of those who ask for the path. */
  readonly head: Promise<Head>;
  /** Resolves when nothing more comes; never rejects. */
  readonly over: Promise<void>;
  readonly #options: PullOptions;
  readonly #upstream: Upstream;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #copy: LocalCopy;
  readonly #aborter = new AbortController();
  readonly #begunAtMs = performance.now();
  #tellHead!: (head: Head) => void;
  #refuse!: (error: unknown) => void;
  #waitUntilMs = 0;
  #waiterCount = 0;
  #stream: FollowStream | undefined;
  #lease: Lease | undefined;
  /** How many bytes the file there had when it was opened, if that is known. */
  #size: number | undefined;
  /** Of JSON: what has come of a line that has no end yet. */
  #line: Buffer[] | undefined;
  #isMissing = false;
  #isBrief = false;
  #isElsewhere = false;
  #isOver = false;
  #lost: HttpfstreamError | undefined;
  #failure: unknown;

  /** @param headers of the requests for it */
  constructor(
    path: ResourcePath,
    upstream: Upstream,
    headers: Readonly<Record<string, string>>,
    options: PullOptions,
  ) {
    this.path = path;
    this.#upstream = upstream;
    this.#headers = { ...upstream.headers, ...headers };
    this.#options = options;
    this.#copy = new LocalCopy(options.core, path);
    this.head = new Promise((resolve, reject) => {
      this.#tellHead = resolve;
      this.#refuse = reject;
    });
    // Whoever asks is told; there may be nobody any more.
    this.head.catch(ignore);
    this.over = this.#run();
  }

  /** Whether nothing more comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Why it has failed, if it has. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Whether the file is not there, and is waited for. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** How many bytes are here and count. */
  get committed(): number {
    return this.#lease?.committed ?? 0;
  }

  /** How many bytes the file there had at the beginning; undefined when that is not known. */
  get size(): number | undefined {
    return this.#size;
  }

  /** How many follow it here. */
  get readerCount(): number {
    return this.#lease?.feed.readerCount ?? 0;
  }

  /** Whether what it has found out holds for those who ask next. */
  get isKept(): boolean {
    return !this.#isElsewhere && !this.#aborter.signal.aborted;
  }

  /** Whether anybody waits for a file that is not there. */
  get isAwaited(): boolean {
    return this.#isMissing && this.#waiterCount > 0;
  }

  /** Waits for a file that is not there, for this long at least, as long as somebody does. */
  await(waitMs: number, signal: AbortSignal): void {
    this.#waitUntilMs = Math.max(this.#waitUntilMs, performance.now() + waitMs);
    this.#waiterCount++;
    signal.addEventListener('abort', () => this.#waiterCount--, { once: true });
  }

  /** Fetches nothing more. Its readers are told that it goes on later. */
  async stop(reason: unknown): Promise<void> {
    this.#aborter.abort(reason);
    await this.over;
  }

  drained(): void {
    this.#stream?.resume();
  }

  safe(): void {
    this.#tellIfBegun();
  }

  lost(_reason: EndReason, error: HttpfstreamError): void {
    this.#lost = error;
    this.#stream?.destroy(error);
  }

  deposed(): void {
    this.#stream?.destroy();
  }

  async #run(): Promise<void> {
    try {
      await this.#pull();
      this.#tellHead('here');
    } catch (error) {
      this.#failure = error;
      this.#refuse(error);
      if (this.#lease !== undefined) await this.#lease.end('shutdown');
    } finally {
      this.#isOver = true;
      this.#stream?.destroy();
    }
  }

  async #pull(): Promise<void> {
    for (let attempts = 1; ; attempts++) {
      const here = await this.#copy.look();
      if (here === 'own') return;
      try {
        if (await this.#isOurs()) await this.#follow(here);
        else this.#passOn();
        return;
      } catch (error) {
        // Once it appends, there is no other beginning.
        if (this.#lease !== undefined) throw error;
        if (this.#isAnswered(error, here)) return;
        if (!(await this.#mayRepeat(error, here)) || attempts === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Whether those who ask can be answered though it cannot be followed. */
  #isAnswered(error: unknown, here: Copied | undefined): boolean {
    const status = error instanceof UnexpectedStatusError ? error.status : 0;
    const isAway = error instanceof UpstreamError || error instanceof UpstreamTimeoutError || status >= 500;
    // What has ended can be read without it.
    if (isAway && here?.outcome !== undefined) return true;
    // It says itself why not.
    if (status > 0) this.#passOn();
    return status > 0;
  }

  /** Whether something else may be there now. */
  async #mayRepeat(error: unknown, here: Copied | undefined): Promise<boolean> {
    if (here === undefined)
      return error instanceof ResourceNotFoundError && this.#waitUntilMs > performance.now();
    const isOutdated = error instanceof ResourceGoneError || error instanceof RangeNotSatisfiableError;
    if (isOutdated) await this.#copy.drop();
    return isOutdated;
  }

  /** @throws {UpstreamError} {@link UpstreamTimeoutError} when that cannot be found out */
  async #isOurs(): Promise<boolean> {
    const upstream = this.#upstream;
    if (upstream.kind === undefined) {
      const { signal } = this.#aborter;
      const timeout = AbortSignal.timeout(this.#options.headTimeoutMs);
      try {
        const url = upstream.urlOf(this.path);
        upstream.kind = await kindOf(url, this.#headers, AbortSignal.any([signal, timeout]));
      } catch (error) {
        signal.throwIfAborted();
        if (timeout.aborted) throw this.#timedOut();
        throw this.#unreachable(error);
      }
    }
    return upstream.kind === 'ours';
  }

  async #follow(here: Copied | undefined): Promise<void> {
    const stream = this.#open(here);
    const ended = outcomeOf(stream);
    // What fails before it is waited for is told by the opening.
    ended.catch(ignore);
    const opening = await this.#opening(stream).catch((error) => {
      throw error instanceof ConnectionError ? this.#unreachable(error) : error;
    });
    const { generation, live, size, contentType } = opening;
    if (generation === undefined) {
      this.#upstream.kind = 'foreign';
      this.#passOn();
      return;
    }
    this.#size = size;
    this.#isBrief = live === false && (size ?? Number.POSITIVE_INFINITY) <= BRIEF_BYTES;
    this.#isMissing = false;
    const isNews = here === undefined || live === true || size !== here.size;
    if (!isNews) {
      stream.resume();
      const outcome = await ended;
      if (isKnown(outcome, here)) return;
      await this.#append(here, { generation, contentType });
      await this.#end(outcome);
      return;
    }
    const lease = await this.#append(here, { generation, contentType });
    if (lease.received !== opening.position) {
      await this.#copy.drop();
      throw new UpstreamError('the copy was changed by another program');
    }
    lease.feed.expect(size ?? 0);
    if (isJsonType(lease.feed.type)) this.#line = [];
    stream.on('waiting', () => lease.feed.setWaiting(true)).on('live', () => lease.feed.setWaiting(false));
    stream.on('data', (bytes) => this.#take(bytes));
    this.#tellIfBegun();
    const outcome = await ended.catch((error) => {
      if (this.#lost !== undefined) throw this.#lost;
      throw error;
    });
    await this.#end(outcome);
  }

  #open(here: Copied | undefined): FollowStream {
    const { signal } = this.#aborter;
    const waitMs = Math.max(0, this.#waitUntilMs - performance.now());
    const stream = follow(this.#upstream.urlOf(this.path), {
      headers: this.#headers,
      signal,
      ...(here === undefined ? { wait: waitMs / 1000 } : { from: here.size, generation: here.generation }),
    });
    this.#stream = stream;
    return stream;
  }

  async #opening(stream: FollowStream): Promise<FollowOpening> {
    const { headTimeoutMs } = this.#options;
    const timer = setTimeout(() => stream.destroy(this.#timedOut()), headTimeoutMs);
    const missing = () => {
      clearTimeout(timer);
      this.#isMissing = true;
      this.#tellHead('missing');
    };
    stream.on('waiting', missing);
    try {
      return await new Promise<FollowOpening>((resolve, reject) => {
        stream.once('open', resolve).once('error', reject).once('close', reject);
      });
    } finally {
      clearTimeout(timer);
      // From now on it is the appender that is waited for.
      stream.off('waiting', missing);
    }
  }

  /** Has the copy appended to, which is made if there is none. */
  async #append(
    here: Copied | undefined,
    { generation, contentType }: { generation: number; contentType: string | undefined },
  ): Promise<Lease> {
    const make = here === undefined ? () => this.#copy.make({ generation, contentType }) : undefined;
    const { sessions } = this.#options.core;
    this.#lease = await sessions.open(this.path, { session: SESSION }, this, make);
    this.#log({ from: this.#lease.received }, 'a pull has begun');
    return this.#lease;
  }

  #take(bytes: Buffer): void {
    const lease = this.#lease as Lease;
    if (this.#line === undefined) {
      if (!lease.append(bytes)) this.#stream?.pause();
      return;
    }
    // Readers of JSON get whole values.
    const open = openLineBytes([bytes]);
    const whole = bytes.subarray(0, bytes.length - open);
    if (whole.length > 0) {
      const parts = [...this.#line.splice(0), whole];
      if (!lease.append(parts.length === 1 ? whole : Buffer.concat(parts))) this.#stream?.pause();
    }
    if (open > 0) this.#line.push(bytes.subarray(bytes.length - open));
  }

  /** Ends the append as the file there has ended. */
  async #end(outcome: Outcome): Promise<void> {
    const lease = this.#lease as Lease;
    const { reason, status, closed } = outcome;
    const start = lease.startPosition;
    await lease.ready();
    if (reason === 'deleted') await this.#copy.drop();
    else await lease.end(reason, status, closed);
    // Its readers have been told, and what is here is not what is there.
    if (reason === 'truncated') await this.#copy.drop();
    this.#log({ reason, bytes: lease.committed - start }, 'a pull has ended');
  }

  /** Lets those who ask have it, when enough is here to say what it is. */
  #tellIfBegun(): void {
    const lease = this.#lease;
    if (lease === undefined || this.#isBrief) return;
    if (lease.committed >= Math.min(FIRST_BYTES, this.#size ?? 0)) this.#tellHead('here');
  }

  #passOn(): void {
    this.#isElsewhere = true;
    this.#tellHead('elsewhere');
  }

  #unreachable(cause: unknown): UpstreamError {
    return new UpstreamError(`${this.#upstream.origin} cannot be reached`, { cause });
  }

  #timedOut(): UpstreamTimeoutError {
    return new UpstreamTimeoutError(`${this.#upstream.origin} does not answer`);
  }

  #log(detail: object, message: string): void {
    const durationMs = Math.round(performance.now() - this.#begunAtMs);
    const { origin: upstream } = this.#upstream;
    this.#options.log.info({ resource: this.path.toString(), upstream, ...detail, durationMs }, message);
  }
}

function isKnown({ reason, status, closed }: Outcome, { outcome, isClosed }: Copied): boolean {
  return outcome?.reason === reason && outcome.status === status && (closed === true) === isClosed;
}

function ignore(): void {}
