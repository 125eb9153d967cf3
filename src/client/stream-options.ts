import { type EventEmitter, setMaxListeners } from 'node:events';
import type { Agent } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { SessionOptions } from './session/session-options.ts';

/** Request headers by their names. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** Request headers, or a function that returns them before each connection, for a token that changes. */
export type HandshakeHeaders = RequestHeaders | (() => RequestHeaders | Promise<RequestHeaders>);

/** Options of every stream. */
export interface StreamOptions extends SessionOptions {
  /**
   * Extra request headers, such as `authorization`; a function is called before each connection. What it throws is the
   * stream's error.
   */
  headers?: HandshakeHeaders;
  /**
   * Makes the connections, of `http` or `https` as the URL is. Default: through the proxy that the environment names,
   * if any.
   */
  agent?: Agent;
  /** Certificates of the authorities that are trusted, in PEM, in place of Node's own. */
  ca?: SecureContextOptions['ca'];
}

export type AnyListener = Parameters<EventEmitter['on']>[1];

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
