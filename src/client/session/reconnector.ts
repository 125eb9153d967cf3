import {
  ConnectionError,
  type HttpfstreamError,
  ProtocolError,
  UnexpectedStatusError,
} from '../../wire/errors.ts';
import {
  MAX_TIMER_MS,
  type ReconnectedEvent,
  type RetryOptions,
  type SessionOptions,
} from './session-options.ts';

/** For this long a user may be watching … */
const FIRST_MS = 60_000;

/** … so that until then no wait is longer than this. */
const MAX_FIRST_DELAY_MS = 2000;

/** A connection that lasted this long resets the backoff, even if it brought nothing. */
const GOOD_CONNECTION_MS = 10_000;

/** A server that violates the protocol this often in a row, without progress in between, will do so again. */
const MAX_VIOLATIONS = 3;

/** For how long a stream that has not begun waits for the successor of a server that closes. */
const SUCCESSOR_MS = 30_000;

/** Delays between attempts: exponential, with jitter, so that clients that were cut together do not return together. */
export class Backoff {
  readonly #times: number;
  readonly #minDelayMs: number;
  readonly #maxDelayMs: number;
  #attempts = 0;
  /** Sum of the delays since the last reset. */
  #waitedMs = 0;

  /** @throws {TypeError} for values that are negative or not numbers */
  constructor(options: RetryOptions | false | undefined) {
    const { times = 100, minDelayMs = 100, maxDelayMs = 10_000 } = options || {};
    this.#times = options === false ? 0 : times;
    this.#minDelayMs = minDelayMs;
    this.#maxDelayMs = maxDelayMs;
    for (const [name, value] of Object.entries({ times, minDelayMs, maxDelayMs })) {
      if (!(value >= 0))
        throw new TypeError(`the option retry.${name} must be a number that is not negative`);
    }
  }

  /** Number of attempts since the last reset. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Counts an attempt and returns the delay before it, in milliseconds; undefined when none are left. */
  next(): number | undefined {
    if (this.#attempts >= this.#times) return undefined;
    const longestMs =
      this.#waitedMs < FIRST_MS ? Math.max(MAX_FIRST_DELAY_MS, this.#minDelayMs) : MAX_TIMER_MS;
    const delayMs = Math.min(this.#maxDelayMs, longestMs, this.#minDelayMs * 2 ** this.#attempts);
    this.#attempts++;
    const jitteredMs = Math.round(delayMs * (0.5 + Math.random() / 2));
    this.#waitedMs += jitteredMs;
    return jitteredMs;
  }

  reset(): void {
    this.#attempts = 0;
    this.#waitedMs = 0;
  }
}

/** Decides when a stream reconnects after its connection broke. */
export class Reconnector {
  readonly #backoff: Backoff;
  readonly #onReconnect: SessionOptions['onReconnect'];
  readonly #onReconnected: SessionOptions['onReconnected'];
  readonly #onFailure: (error: Error) => void;
  #isReconnecting = false;
  /** When the last connection opened; undefined if the last attempt did not get that far. */
  #openedAt: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Makes the attempt that is scheduled. */
  #attempt: (() => void) | undefined;
  #isCancelled = false;
  /** Protocol violations since the last progress. */
  #violations = 0;
  readonly #canRenew: boolean;
  /** Whether another token was asked for since the last progress. */
  #isRenewed = false;
  /** When a stream that has not begun gives up; undefined while no server has said that it closes. */
  #successorUntil: number | undefined;

  /**
   * @param onFailure called with what the caller's own functions or a new connection throw; no attempt follows
   * @throws {TypeError} for invalid retry options
   */
  constructor(
    { retry, token, onReconnect, onReconnected }: SessionOptions,
    onFailure: (error: Error) => void,
  ) {
    this.#backoff = new Backoff(retry);
    this.#canRenew = typeof token === 'function';
    this.#onReconnect = onReconnect;
    this.#onReconnected = onReconnected;
    this.#onFailure = onFailure;
  }

  /** To be called when a connection has opened. */
  opened(): void {
    this.#openedAt = performance.now();
  }

  /** To be called when the server has accepted the stream, with what it has said of it. */
  resumed(event: ReconnectedEvent = {}): void {
    if (!this.#isReconnecting) return;
    this.#isReconnecting = false;
    this.#guard(() => this.#onReconnected?.(event));
  }

  /** To be called when bytes have arrived, or were acknowledged. */
  progressed(): void {
    this.#backoff.reset();
    this.#violations = 0;
    this.#isRenewed = false;
  }

  /**
   * Calls `connect` at once, because the token was refused and there may be another one: a function gives it. Not
   * twice without progress in between.
   *
   * @returns false when there is nothing to be tried
   */
  renew(connect: () => void): boolean {
    const mayRenew = this.#canRenew && (!this.#isRenewed || this.#lastedLong);
    if (!mayRenew) return false;
    this.#isRenewed = true;
    this.#openedAt = undefined;
    this.#guard(connect);
    return true;
  }

  /** Whether the last connection was good for a while. */
  get #lastedLong(): boolean {
    return this.#openedAt !== undefined && performance.now() - this.#openedAt > GOOD_CONNECTION_MS;
  }

  /**
   * Schedules a call of `connect`, unless no attempts are left, or the server has violated
   * the protocol for the third time without progress in between.
   *
   * @param error why it is needed; a server's `Retry-After` is respected
   * @param withinMs longest wait before the call
   * @returns false when there will be no further attempt
   */
  schedule(error: HttpfstreamError, connect: () => void, withinMs = Number.POSITIVE_INFINITY): boolean {
    if (error instanceof ProtocolError && ++this.#violations >= MAX_VIOLATIONS) return false;
    if (this.#lastedLong) this.#backoff.reset();
    this.#openedAt = undefined;
    const nextMs = this.#backoff.next();
    if (nextMs === undefined) return false;
    const wantedMs = (error instanceof UnexpectedStatusError && error.retryAfterMs) || 0;
    const delayMs = Math.min(Math.max(nextMs, wantedMs), withinMs);
    this.#isReconnecting = true;
    this.#guard(() => this.#onReconnect?.({ attempt: this.#backoff.attempts, delayMs, error }));
    // The callback may have destroyed the stream.
    if (this.#isCancelled) return true;
    this.#attempt = () => {
      this.#forgetAttempt();
      this.#guard(connect);
    };
    this.#timer = setTimeout(this.#attempt, delayMs);
    return true;
  }

  /** Makes the attempt now that is scheduled, if there is one. */
  hurry(): void {
    this.#attempt?.();
  }

  #forgetAttempt(): void {
    clearTimeout(this.#timer);
    this.#attempt = undefined;
  }

  /**
   * The same for a stream that has not begun. What is wrong from the start is reported at once, unless a server has said
   * that it closes: then another one is there soon.
   *
   * @returns false when there will be no further attempt
   */
  scheduleFirst(error: HttpfstreamError, connect: () => void): boolean {
    const now = performance.now();
    const isOfServer = error instanceof UnexpectedStatusError && error.status >= 500;
    if (isOfServer && error.problem.code === 'HFS_SERVER_CLOSING') {
      this.#successorUntil ??= now + SUCCESSOR_MS;
    }
    const leftMs = (this.#successorUntil ?? now) - now;
    if (leftMs <= 0 || !(isOfServer || error instanceof ConnectionError)) return false;
    return this.schedule(error, connect, leftMs);
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.cancel();
      this.#onFailure(thrown as Error);
    }
  }

  /** Makes no further attempt. */
  cancel(): void {
    this.#isCancelled = true;
    this.#forgetAttempt();
  }
}
