import type { FollowEnding, FollowOpening, FollowRequestOptions } from '../client/session/follow-request.ts';
import type { SessionOptions } from '../client/session/session-options.ts';
import type { HttpfstreamError } from '../wire/errors.ts';
import type { ActivityMessage, EndReason } from '../wire/protocol.ts';

/**
 * How it stands with what is followed:
 *
 * - `connecting`: a connection is being made; `attempt` is 0 for the first one;
 * - `missing`: there is nothing at the path yet, and the server waits for it;
 * - `live`: an appender is connected;
 * - `idle`: none is: what is there comes, and then the end, or more if it is an open stream;
 * - `waiting`: the appender was lost, and may come back;
 * - `reconnecting`: the connection was lost; the next attempt is made at `retryAt` (as `Date.now()` tells time);
 * - `closed`: its reader has left it;
 * - `finished`: it ended cleanly, and this was everything; with the status of the command that wrote it, if it has one;
 * - `failed`: it ended otherwise, with what the reader is told, too. `reason` says how, if it was an end.
 */
export type FollowState =
  | { readonly type: 'connecting'; readonly attempt: number }
  | { readonly type: 'missing' | 'live' | 'idle' | 'waiting' | 'closed' }
  | {
      readonly type: 'reconnecting';
      readonly attempt: number;
      readonly retryAt: number;
      readonly error: HttpfstreamError;
    }
  | { readonly type: 'finished'; readonly status: number | undefined; readonly ending: FollowEnding }
  | { readonly type: 'failed'; readonly error: Error; readonly reason: EndReason | undefined };

/**
 * What goes on, as a server tells it once a second: `time` (by its clock, in milliseconds since 1970), and, once there
 * is something, `position` (how many bytes there were), `followers` (how many there are at this server) and `rate` (in
 * bytes a second). Bytes between the positions of two of these came between their times.
 */
export type FollowActivity = Readonly<Omit<ActivityMessage, 'type'>>;

/** Options of `follow`. */
export interface FollowOptions
  extends FollowRequestOptions,
    Pick<SessionOptions, 'token' | 'signal' | 'retry'> {
  /** Called once, when the server has accepted. */
  onOpen?: (opening: FollowOpening) => void;
  /** Called when the appender says only after that what the content type is. */
  onType?: (contentType: string) => void;
  /**
   * Called once a second with what goes on. A server that tells it, and has gone without a word, is noticed within half
   * a minute.
   */
  onActivity?: (activity: FollowActivity) => void;
  /** Called with each change of the state, as it is told: bytes that came before may still wait to be read. */
  onState?: (state: FollowState) => void;
}

/** The bytes of a resource, for one reader. To leave the loop closes the connection. */
export interface FollowStream extends AsyncIterable<Uint8Array<ArrayBuffer>> {
  /** Position in the file of the next byte to be read. */
  readonly position: number;
  /** Distinguishes the file from a later one at the same path; undefined before `onOpen`. */
  readonly generation: number | undefined;
  /** The content type, as far as it is known by now: see {@link FollowOpening}. */
  readonly contentType: string | undefined;
  readonly state: FollowState;
  /** Connects now, in place of when the wait of the state `reconnecting` is over; else without effect. */
  reconnect(): void;
}
