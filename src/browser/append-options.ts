import type { AppendRequestOptions, AppendResult } from '../client/session/append-request.ts';
import type { SessionOptions } from '../client/session/session-options.ts';
import type { HttpfstreamError } from '../wire/errors.ts';

/**
 * How it stands with an append:
 *
 * - `connecting`: a connection is being made; `attempt` is 0 for the first one;
 * - `open`: the server takes what is written;
 * - `reconnecting`: the connection was lost; the next attempt is made at `retryAt` (as `Date.now()` tells time);
 * - `finished`: all of it is safe;
 * - `failed`: it ended otherwise.
 */
export type AppendState =
  | { readonly type: 'connecting'; readonly attempt: number }
  | { readonly type: 'open' }
  | {
      readonly type: 'reconnecting';
      readonly attempt: number;
      readonly retryAt: number;
      readonly error: HttpfstreamError;
    }
  | { readonly type: 'finished'; readonly result: AppendResult }
  | { readonly type: 'failed'; readonly error: unknown };

/** Options of `append` and `openAppend`. */
export interface AppendOptions
  extends AppendRequestOptions,
    Pick<SessionOptions, 'token' | 'signal' | 'retry'> {
  /** Called with each change of the state. */
  onState?: (state: AppendState) => void;
}

/** An append to a resource. */
export interface AppendStream {
  /** Position in the file of this append's first byte; undefined before the server has accepted. */
  readonly startPosition: number | undefined;
  /** How many bytes of this append are safe. */
  readonly acknowledgedBytes: number;
  /**
   * Content type that the file was given, by this append or before; null when it was given none, so that its name says
   * it, or its first bytes. Undefined before the server has accepted.
   */
  readonly contentType: string | null | undefined;
  readonly state: AppendState;
  /** Resolves when all of it is confirmed, after `close`, and rejects when it fails. */
  readonly closed: Promise<AppendResult>;
  /**
   * Takes bytes, or text, which is encoded as UTF-8, after those that were written before. Resolves when there is room
   * for more; rejects with the append's error.
   */
  write(chunk: Uint8Array | string): Promise<void>;
  /** Ends the append after what was written. Resolves and rejects as `closed` does. */
  close(): Promise<AppendResult>;
  /** Gives up: unless all is confirmed, the append ends as interrupted, with this reason as its error. */
  abort(reason?: unknown): void;
  /** Connects now, in place of when the wait of the state `reconnecting` is over; else without effect. */
  reconnect(): void;
}
