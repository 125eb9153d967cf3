import { type HttpfstreamError, ProtocolError, UnexpectedStatusError } from '../wire/errors.ts';
import type { StreamOptions } from './options.ts';
import { Backoff } from './retry.ts';

/** A connection that lasted so long was good, whatever came of it. */
const GOOD_CONNECTION_MS = 10_000;

/** As often in a row, with nothing gained in between, it is no chance that the protocol is broken. */
const MAX_BREACHES = 3;

/** Decides when a stream whose connection broke connects again. */
export class Reconnector {
  readonly #backoff: Backoff;
  readonly #onReconnect: StreamOptions['onReconnect'];
  readonly #onReconnected: StreamOptions['onReconnected'];
  /** Whether a connection is being made anew. */
  #isAway = false;
  /** Of the connection that broke last; undefined for attempts that made none. */
  #openedAt: number | undefined;
  readonly #onFailure: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #isCancelled = false;
  /** How often the server has broken the protocol since the stream moved on. */
  #breaches = 0;

  /**
   * @param onFailure gets what the user's own functions throw, or a new connection; nothing more is done then
   * @throws {TypeError} for retry options that make no sense
   */
  constructor({ retry, onReconnect, onReconnected }: StreamOptions, onFailure: (error: Error) => void) {
    this.#backoff = new Backoff(retry);
    this.#onReconnect = onReconnect;
    this.#onReconnected = onReconnected;
    this.#onFailure = onFailure;
  }

  /** Tells that a connection was made. */
  opened(): void {
    this.#openedAt = performance.now();
  }

  /** Tells that the server goes on with the stream. */
  resumed(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#guard(() => this.#onReconnected?.());
  }

  /** Tells that the stream has moved on. */
  progressed(): void {
    this.#backoff.reset();
    this.#breaches = 0;
  }

  /**
   * Calls `connect` when it is time, unless there have been enough attempts, or the server
   * has broken the protocol for the third time without that the stream moved on.
   *
   * @param error why it is needed; how long the server that refused wants to be left alone it is left
   * @param withinMs longest wait before that
   * @returns false when there have been enough
   */
  schedule(error: HttpfstreamError, connect: () => void, withinMs = Number.POSITIVE_INFINITY): boolean {
    if (error instanceof ProtocolError && ++this.#breaches >= MAX_BREACHES) return false;
    const lastedMs = this.#openedAt === undefined ? 0 : performance.now() - this.#openedAt;
    if (lastedMs > GOOD_CONNECTION_MS) this.#backoff.reset();
    this.#openedAt = undefined;
    const nextMs = this.#backoff.next();
    if (nextMs === undefined) return false;
    const wantedMs = (error instanceof UnexpectedStatusError && error.retryAfterMs) || 0;
    const delayMs = Math.min(Math.max(nextMs, wantedMs), withinMs);
    this.#isAway = true;
    this.#guard(() => this.#onReconnect?.({ attempt: this.#backoff.attempts, delayMs, error }));
    // Who was told may have cancelled.
    if (!this.#isCancelled) this.#timer = setTimeout(() => this.#guard(connect), delayMs);
    return true;
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.cancel();
      this.#onFailure(thrown as Error);
    }
  }

  /** Connects no more. */
  cancel(): void {
    this.#isCancelled = true;
    clearTimeout(this.#timer);
  }
}
