import type { HttpfstreamError } from '../../wire/errors.ts';
import type { StreamToken } from './token.ts';

/** How a stream reconnects after its connection broke. */
export interface RetryOptions {
  /** How many attempts in a row may fail. Default 100, which takes about eight minutes. */
  times?: number;
  /** Wait before the first attempt, in milliseconds; it doubles from one to the next. Default 100. */
  minDelayMs?: number;
  /** Longest wait, in milliseconds; for the first minute of waiting it is 2,000 at most. Default 10,000. */
  maxDelayMs?: number;
}

/** An attempt to reconnect that is about to be made. */
export interface ReconnectEvent {
  /** Number of the attempt since the stream last made progress, from 1. */
  attempt: number;
  /** Wait before the attempt, in milliseconds. */
  delayMs: number;
  /** Why it is needed. */
  error: HttpfstreamError;
}

/** What is known when a stream has resumed. */
export interface ReconnectedEvent {
  /** Of a follower: how many bytes the file has by now; missing from servers that do not tell. */
  size?: number;
  /** Of a follower: whether an appender is connected. */
  live?: boolean;
}

/** Options of every stream, wherever it runs. */
export interface SessionOptions {
  /**
   * Is sent as `Authorization: Bearer`. A function is asked before each connection, and once more when the server has
   * refused the token, or ends the connection because it has expired: with the new one the stream goes on. What it
   * throws is the stream's error.
   */
  token?: StreamToken | undefined;
  /** Aborts the stream: it is destroyed with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How the stream reconnects after its connection broke; false: not at all. The first
   * connection is not retried: what is wrong from the start is reported at once. But when the server says that it
   * closes (503 `HFS_SERVER_CLOSING`), another one is waited for, for 30 s.
   */
  retry?: RetryOptions | false;
  /** Called before each attempt to reconnect. */
  onReconnect?: (event: ReconnectEvent) => void;
  /**
   * Called when the stream has resumed after that. A follower is told what the server has said of the file, as by
   * `open`.
   */
  onReconnected?: (event: ReconnectedEvent) => void;
}

/** The longest time of a timer, in milliseconds: a longer one fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws {TypeError} when the option is given and is not an integer of at least `min` */
export function assertInteger(name: string, value: number | undefined, min: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return;
  const limit = min === Number.MIN_SAFE_INTEGER ? '' : `, ${min} or more`;
  throw new TypeError(`the option ${name} must be an integer${limit}`);
}

/**
 * Calls `then` with a value, at once or when it has come, and `onFailure` with what either fails with later; what is
 * wrong at once is thrown.
 */
export function withValue<Value>(
  value: Value | Promise<Value>,
  then: (value: Value) => void,
  onFailure: (error: Error) => void,
): void {
  if (value instanceof Promise) value.then(then).catch(onFailure);
  else then(value);
}
