import { follow } from '../../browser/follow.ts';
import type { FollowActivity, FollowState, FollowStream } from '../../browser/follow-options.ts';
import type { FollowOpening } from '../../client/session/follow-request.ts';
import {
  ConnectionError,
  ConnectionLostError,
  ForbiddenRightError,
  type PathConflictError,
  ResourceNotFoundError,
  UnauthorizedError,
  UnexpectedStatusError,
} from '../../wire/errors.ts';
import { RAW_QUERY } from '../../wire/page.ts';
import type { EndReason } from '../../wire/protocol.ts';
import { Arrivals } from '../bytes/arrivals.ts';
import { BlockStore } from '../bytes/block-store.ts';
import { BytesGoneError, type RequestFile, requestsOf, sizeIn } from '../bytes/file-requests.ts';
import { countLineFeeds } from '../bytes/line-feeds.ts';
import { lookAtFile, readBytesOf } from '../bytes/read-bytes.ts';
import { isPassing, RETRY } from '../state/retry.ts';
import { isTold, type StreamState } from '../state/stream-state.ts';
import { tabToken } from '../token/tab-token.ts';
import { readPlainly } from './plain-read.ts';
import { Poll } from './poll.ts';

/** So much of the end is asked for at once: the first screen, and some scrolling. */
const TAIL_BYTES = 128 * 1024;

/** For so long a server waits for what is not there yet, in seconds: a day, the most that it allows. */
const MAX_WAIT_SECONDS = 86_400;

/** How soon a first connection that has failed is made again, in milliseconds. */
const FIRST_RETRY_MS = 2000;

/** How soon the second one is made: the first may have come just before the server. */
const SECOND_MS = 100;

/** How often it is looked for what is missing where nobody waits for it, in milliseconds. */
const MISSING_MS = 5000;

/** What answers who follows a directory as if it were a file. */
const DIRECTORY_CODE: PathConflictError['code'] = 'HFS_PATH_CONFLICT';

const ANOTHER_FILE = 'There is another file at its path now: load the page again to see that.';

/** What is told of a file. */
export interface LiveFileEvents {
  /** Bytes have come. */
  grown(): void;
  /** It is in another state, or more is known of it. */
  changed(): void;
}

/**
 * A file as it comes, over one connection: the end of what was written, then what is being written. Without a gap
 * between them, and with nothing twice when it had to connect again.
 */
export class LiveFile {
  readonly store: BlockStore;
  readonly arrivals = new Arrivals();
  /** Where it is, without a query. */
  readonly url: URL;
  /** Asks the server of this file, and of no other one that is at its path by now. */
  readonly request: RequestFile;
  readonly #events: LiveFileEvents;
  #stream: FollowStream | undefined;
  #leave = new AbortController();
  #state: StreamState = { kind: 'connecting' };
  #generation: number | undefined;
  /** Whether it stays open when nobody appends. */
  #isStream = false;
  /** Of the next byte that comes. */
  #position = 0;
  #linesCome = 0;
  #activity: Partial<FollowActivity> = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether a connection has failed, and none was made yet. */
  #hasFailed = false;
  /** Whether it was to be had from the server all the same. */
  #wasThere = false;
  readonly #poll = new Poll(() => this.#lookAgain());

  /** Does nothing before `start`. */
  constructor(url: URL, events: LiveFileEvents) {
    this.url = new URL(url);
    this.url.search = '';
    this.url.hash = '';
    this.#events = events;
    const request = requestsOf(this.url, () => ({ token: tabToken(), generation: this.#generation }));
    this.request = async (query, init) => {
      if (isCut(this.#state)) throw new BytesGoneError('the file was cut');
      const { size } = this.store;
      try {
        const answer = await request(query, init);
        if (isRefused(answer) || (sizeIn(answer.headers) ?? size) < size) this.#doubt();
        return answer;
      } catch (error) {
        if (error instanceof BytesGoneError) this.#doubt();
        throw error;
      }
    };
    this.store = new BlockStore(readBytesOf(this.request));
  }

  /** How many follow it, and how many bytes a second come; of what is not known nothing. */
  get activity(): Pick<FollowActivity, 'followers' | 'rate'> {
    return isTold(this.#state) ? this.#activity : {};
  }

  get state(): StreamState {
    return this.#state;
  }

  /** How many line feeds have come while the page was open. */
  get linesCome(): number {
    return this.#linesCome;
  }

  /** Follows it from where it is; also when it could not, for another attempt. */
  start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leave.abort();
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    const from =
      this.#generation === undefined
        ? { from: -TAIL_BYTES }
        : { from: this.#position, generation: this.#generation };
    try {
      this.#stream = follow(this.url, {
        ...from,
        signal,
        wait: MAX_WAIT_SECONDS,
        retry: RETRY,
        // Not a function: that would be asked again for a token that was refused.
        token: tabToken(),
        // What was left may have been under way.
        onOpen: (opening) => {
          if (!signal.aborted) this.#onOpen(opening);
        },
        onActivity: (activity) => {
          if (!signal.aborted) this.#onActivity(activity);
        },
        onState: (state) => {
          if (!signal.aborted) this.#onState(state);
        },
      });
    } catch {
      // A token with characters that no token has.
      this.#enter({ kind: 'locked', refused: true });
      return;
    }
    void this.#read(this.#stream, signal);
  }

  /** Connects now, and not when the wait for the next attempt is over. */
  reconnect(): void {
    if (this.#timer !== undefined) this.start();
    else this.#stream?.reconnect();
  }

  async #read(stream: FollowStream, signal: AbortSignal): Promise<void> {
    try {
      for await (const bytes of stream) {
        if (signal.aborted) return;
        this.#take(bytes);
      }
    } catch {
      // The state says what it was.
    }
  }

  #onOpen({ generation, position, size = position, stream }: FollowOpening): void {
    this.#wasThere = false;
    this.#generation = generation;
    this.#isStream = stream === true;
    this.#position = position;
    this.store.extend(Math.max(position, size));
    this.#events.grown();
    // What is idle has an end, unless it is a stream.
    if (this.#stream?.state.type === 'idle') this.#onState(this.#stream.state);
  }

  #onActivity(activity: FollowActivity): void {
    this.#activity = activity;
    if (activity.position !== undefined) this.arrivals.note(activity.position, activity.time);
    this.#events.changed();
  }

  #take(bytes: Uint8Array): void {
    this.store.append(this.#position, bytes);
    this.#position += bytes.length;
    this.#linesCome += countLineFeeds(bytes);
    this.#events.grown();
  }

  #onState(state: FollowState): void {
    const { type } = state;
    if (type === 'failed' && isOfServer(state.error)) this.#retry(FIRST_RETRY_MS);
    else if (type === 'failed' && isOfConnection(state.error)) this.#onRefused();
    else if (type === 'failed' && isOfDirectory(state.error))
      this.#goTo({ pathname: `${this.url.pathname}/` });
    else this.#enter(stateOf(state, this.#isStream));
  }

  /** It cannot be followed, now or at all. */
  #onRefused(): void {
    if (this.#generation !== undefined) this.#retry(FIRST_RETRY_MS);
    else if (this.#hasFailed) void this.#readPlainly();
    else this.#timer = setTimeout(() => this.start(), SECOND_MS);
    this.#hasFailed = true;
  }

  #retry(delayMs: number): void {
    this.#timer = setTimeout(() => this.start(), delayMs);
    this.#enter({ kind: 'reconnecting', at: Date.now() + delayMs });
  }

  /** Shows what can be had of what cannot be followed: what comes from a plain HTTP server, and is not kept at a relay. */
  async #readPlainly(): Promise<void> {
    this.#timer = undefined;
    const { signal } = this.#leave;
    const events = {
      begun: () => this.#enter({ kind: 'read', isOver: false, isPart: false }),
      bytes: (bytes: Uint8Array) => this.#take(bytes),
    };
    const read = await readPlainly(this.request, events, signal);
    if (signal.aborted) return;
    switch (read.kind) {
      case 'read':
        this.#enter({ ...read, isOver: true });
        break;
      case 'followable':
        // The server may have come a moment ago.
        if (this.#wasThere) void this.#readWithoutSockets();
        else this.#retry(FIRST_RETRY_MS);
        this.#wasThere = true;
        break;
      case 'missing':
        this.#timer = setTimeout(() => void this.#readPlainly(), MISSING_MS);
        this.#enter({ kind: 'missing' });
        break;
      case 'elsewhere':
        this.#goTo({ search: RAW_QUERY });
        break;
      case 'locked':
        this.#enter({ kind: 'locked', refused: tabToken() !== undefined });
        break;
      case 'failed':
        if (read.passes) this.#retry(FIRST_RETRY_MS);
        else this.#enter({ kind: 'failed', detail: read.detail });
    }
  }

  /** Shows what is there, and then what has come since, where something on the way passes no WebSockets. */
  async #readWithoutSockets(): Promise<void> {
    const { signal } = this.#leave;
    try {
      const facts = await lookAtFile(this.request);
      if (signal.aborted) return;
      if (facts === undefined) {
        this.#retry(FIRST_RETRY_MS);
        return;
      }
      this.#generation = facts.generation;
      this.#extend(facts.size);
      this.#enter({ kind: 'polled' });
    } catch {
      if (!signal.aborted) this.#retry(FIRST_RETRY_MS);
    }
  }

  /** What is there is read when it is shown. */
  #extend(size: number): void {
    this.#position = size;
    this.store.extend(size);
    this.#events.grown();
  }

  /** An answer says that there may be another file, a shorter one or none: what has ended is looked at now. */
  #doubt(): void {
    if (!isDeleted(this.#state)) this.#poll.lookNow();
  }

  /** What has ended may go on, by another append; or be gone, or cut, of which nobody tells who does not follow it any more. */
  async #lookAgain(): Promise<void> {
    try {
      const anyFile = requestsOf(this.url, () => ({ token: tabToken(), generation: undefined }));
      const facts = await lookAtFile(anyFile).catch((error) => {
        if (error instanceof BytesGoneError) return undefined;
        throw error;
      });
      const state = this.#state;
      if (!isPolled(state)) return;
      const isSame = facts?.generation === this.#generation;
      if (facts !== undefined && isSame && facts.size > this.#position) {
        if (state.kind === 'polled') this.#extend(facts.size);
        else this.start();
      } else if (facts !== undefined && isSame && facts.size < this.#position)
        this.#enter({ kind: 'ended', reason: 'truncated' });
      else if (facts === undefined && !isDeleted(state)) this.#enter({ kind: 'ended', reason: 'deleted' });
      else if (facts !== undefined && !isSame)
        this.#enter({ kind: 'ended', reason: 'deleted', detail: ANOTHER_FILE });
    } catch {
      // It is looked again later.
    }
  }

  /** Leaves for another page of this server: a path by itself that begins with two slashes would be another host. */
  #goTo(place: { pathname: string } | { search: string }): void {
    location.replace(Object.assign(new URL(this.url), place));
  }

  #enter(state: StreamState): void {
    this.#state = state;
    this.#poll.isOn = isPolled(state) && !isCut(state);
    this.#events.changed();
  }
}

/** Whether nobody tells what becomes of it. */
function isPolled({ kind }: StreamState): boolean {
  return kind === 'ended' || kind === 'stored' || kind === 'polled';
}

/** Whether what is at its positions now are other bytes. */
function isCut(state: StreamState): boolean {
  return state.kind === 'ended' && state.reason === 'truncated';
}

function isDeleted(state: StreamState): boolean {
  return state.kind === 'ended' && state.reason === 'deleted';
}

/** Whether another attempt may do: nothing was said of the file. */
function isOfConnection(error: Error): boolean {
  return (
    error instanceof ConnectionError ||
    error instanceof ConnectionLostError ||
    error instanceof ResourceNotFoundError
  );
}

/** Whether the server, or the one behind it, cannot answer at the moment. */
function isOfServer(error: Error): boolean {
  return error instanceof UnexpectedStatusError && isPassing(error.status);
}

/** Whether the reason may be what is at the path now. */
function isRefused({ ok, status }: Response): boolean {
  return !ok && !isPassing(status);
}

/** Whether there is a directory, whose page is another one. */
function isOfDirectory(error: Error): boolean {
  return error instanceof UnexpectedStatusError && error.problem.code === DIRECTORY_CODE;
}

function stateOf(state: FollowState, isStream: boolean): StreamState {
  switch (state.type) {
    case 'connecting':
      return state.attempt === 0 ? { kind: 'connecting' } : { kind: 'reconnecting' };
    case 'idle':
      // What is there comes, and then its end.
      return { kind: isStream ? 'open' : 'connecting' };
    case 'reconnecting':
      return { kind: 'reconnecting', at: state.retryAt };
    case 'finished':
      return state.ending.stored === true
        ? { kind: 'stored' }
        : { kind: 'ended', reason: 'finished', status: state.status };
    case 'failed':
      return stateOfFailure(state.error, state.reason);
    case 'closed':
      return { kind: 'connecting' };
    default:
      return { kind: state.type };
  }
}

function stateOfFailure(error: Error, reason: EndReason | undefined): StreamState {
  if (error instanceof UnauthorizedError || error instanceof ForbiddenRightError) {
    return { kind: 'locked', refused: tabToken() !== undefined };
  }
  if (reason === undefined || reason === 'shutdown') return { kind: 'failed', detail: error.message };
  return { kind: 'ended', reason };
}
