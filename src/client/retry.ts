import type { HttpfstreamError } from '../wire/errors.ts';

/** How a stream whose connection broke tries to go on. */
export interface RetryOptions {
  /** How many attempts in a row may fail. Default 100, which takes about eight minutes. */
  times?: number;
  /** Wait before the first attempt, in milliseconds; it doubles from one to the next. Default 100. */
  minDelayMs?: number;
  /** Longest wait, in milliseconds; 2,000 at most until a minute was waited in all. Default 10,000. */
  maxDelayMs?: number;
}

/** Somebody may be watching at first: … */
const FIRST_MS = 60_000;

/** … for so long the waits are no longer than this, in milliseconds. */
const MAX_FIRST_DELAY_MS = 2000;

/** What is told before each attempt to go on. */
export interface ReconnectEvent {
  /** Which attempt it is in a row, from 1. */
  attempt: number;
  /** How long it waits before that, in milliseconds. */
  delayMs: number;
  /** Why it is needed. */
  error: HttpfstreamError;
}

/** The longest time of a timer, in milliseconds: more than that fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Delays between attempts: exponential, with jitter, so that clients that were cut together do not come back together. */
export class Backoff {
  readonly #times: number;
  readonly #minDelayMs: number;
  readonly #maxDelayMs: number;
  #attempts = 0;
  /** How long was waited in a row. */
  #waitedMs = 0;

  /** @throws {TypeError} for numbers that make no sense */
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

  /** How many attempts were made in a row. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The wait before the next attempt, in milliseconds; undefined when there have been enough. */
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

  /** Starts anew, after a success. */
  reset(): void {
    this.#attempts = 0;
    this.#waitedMs = 0;
  }
}
