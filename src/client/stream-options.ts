import { type EventEmitter, setMaxListeners } from 'node:events';
import type { Agent } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { HttpfstreamError } from '../wire/errors.ts';
import { type StreamToken, withBearer } from './token.ts';

/** Request headers by their names. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** Request headers, or a function that returns them before each connection, for a token that changes. */
export type HandshakeHeaders = RequestHeaders | (() => RequestHeaders | Promise<RequestHeaders>);

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

/** Options of every stream. */
export interface StreamOptions {
  /**
   * Extra request headers, such as `authorization`; a function is called before each connection. What it throws is the
   * stream's error.
   */
  headers?: HandshakeHeaders;
  /**
   * Is sent as `Authorization: Bearer`. A function is asked before each connection, and once more when the server has
   * refused the token, or ends the connection because it has expired: with the new one the stream goes on. What it
   * throws is the stream's error.
   */
  token?: StreamToken | undefined;
  /**
   * Makes the connections, of `http` or `https` as the URL is. Default: through the proxy that the environment names,
   * if any.
   */
  agent?: Agent;
  /** Certificates of the authorities that are trusted, in PEM, in place of Node's own. */
  ca?: SecureContextOptions['ca'];
  /** Aborts the stream: it is destroyed with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How the stream reconnects after its connection broke; false: not at all. The first
   * connection is not retried: what is wrong from the start is reported at once.
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

export type AnyListener = Parameters<EventEmitter['on']>[1];

/** The longest time of a timer, in milliseconds: a longer one fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws {TypeError} when the option is given and is not an integer of at least `min` */
export function assertInteger(name: string, value: number | undefined, min: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return;
  const limit = min === Number.MIN_SAFE_INTEGER ? '' : `, ${min} or more`;
  throw new TypeError(`the option ${name} must be an integer${limit}`);
}

/**
 * Calls `connect` with the headers of the next handshake, the token's among them: synchronously if there is no function
 * to be asked, so that what cannot be sent throws, or once the functions have returned them.
 *
 * @param stream destroyed with what fails later; if it is destroyed in the meantime, `connect` is not called
 */
export function withHeaders(
  stream: Readable | Writable,
  { headers = {}, token }: StreamOptions,
  connect: (headers: RequestHeaders) => void,
): void {
  if (typeof headers !== 'function' && typeof token !== 'function') {
    connect(withBearer(headers, token));
    return;
  }
  const asked = async () =>
    withBearer(
      typeof headers === 'function' ? await headers() : headers,
      typeof token === 'function' ? await token() : token,
    );
  asked()
    .then((resolved) => {
      if (!stream.destroyed) connect(resolved);
    })
    .catch((error) => stream.destroy(error));
}

/** Destroys `stream` with the signal's reason when it aborts; stops listening when the stream closes. */
export function destroyOnAbort(stream: Readable | Writable, signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  // Node's streams take any truthy value for an error, so the reason is passed on as it is.
  const abort = () =>
    stream.destroy((signal.reason || new DOMException('This operation was aborted', 'AbortError')) as Error);
  if (signal.aborted) {
    abort();
    return;
  }
  // Any number of streams may share one signal: that is not a leak.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
}
