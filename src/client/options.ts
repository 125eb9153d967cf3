import type { Agent } from 'node:http';
import type { SecureContextOptions } from 'node:tls';
import type { HandshakeHeaders } from './connection/handshake-headers.ts';
import type { ReconnectEvent, RetryOptions } from './retry.ts';

/** What every stream can be given. */
export interface StreamOptions {
  /** Extra request headers, `authorization` for instance; a function is asked before each connection. What it throws is the stream's error. */
  headers?: HandshakeHeaders;
  /** Makes the connections, of `http` or `https` as the URL is. Default: through the proxy that the environment names, if any. */
  agent?: Agent;
  /** Certificates of the authorities that are trusted, in PEM, in place of Node's own. */
  ca?: SecureContextOptions['ca'];
  /** Gives up when aborted: the stream is destroyed with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How a stream goes on whose connection broke; false: not at all. The first
   * connection is not tried again: what is wrong from the start is told at once.
   */
  retry?: RetryOptions | false;
  /** Called before each attempt to go on. */
  onReconnect?: (event: ReconnectEvent) => void;
  /** Called when the stream goes on after that. */
  onReconnected?: () => void;
}

/** @throws {TypeError} when the option is given and no integer from `min` on */
export function assertInteger(name: string, value: number | undefined, min: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return;
  const limit = min === Number.MIN_SAFE_INTEGER ? '' : `, ${min} or more`;
  throw new TypeError(`the option ${name} must be an integer${limit}`);
}
