import type { Readable } from 'node:stream';
import type { EndReason } from '../../wire/protocol.ts';
import type { FollowEnding, FollowOpening, FollowRequestOptions } from '../session/follow-request.ts';
import type { AnyListener, StreamOptions } from '../stream-options.ts';

/** Options of `follow`. */
export interface FollowOptions extends FollowRequestOptions, StreamOptions {}

/**
 * Adds or removes a listener of a {@link FollowStream}, which emits `open` when
 * the server has accepted, `waiting` when the appender was lost and may come
 * back, or the resource does not exist yet, `live` when it is back, or exists, and
 * `type` when the appender says only then what the content type is.
 */
interface FollowListening<Self> {
  (event: 'open', listener: (opening: FollowOpening) => void): Self;
  (event: 'type', listener: (contentType: string) => void): Self;
  (event: 'data', listener: (chunk: Buffer) => void): Self;
  (event: 'error', listener: (error: Error) => void): Self;
  (event: 'waiting' | 'live' | 'readable' | 'pause' | 'resume' | 'end' | 'close', listener: () => void): Self;
  (event: string | symbol, listener: AnyListener): Self;
}

/** A readable of a resource's bytes: of Buffers, unless `setEncoding` asks for text. */
export interface FollowStream extends Readable {
  on: FollowListening<this>;
  once: FollowListening<this>;
  off: FollowListening<this>;
  [Symbol.asyncIterator](): NodeJS.AsyncIterator<Buffer>;
  /**
   * Position in the file of the next byte to be read. After `setEncoding` it is
   * computed from the text that was read: exactly, if the bytes are valid in that encoding.
   */
  readonly position: number;
  /** Distinguishes the file from a later one at the same path; undefined before `open`, and from a legacy server. */
  readonly generation: number | undefined;
  /** The content type, as far as it is known by now: see {@link FollowOpening}. */
  readonly contentType: string | undefined;
  /** Why the stream ended. */
  readonly reason: EndReason | undefined;
  /**
   * Exit status of the command that wrote the stream: 0 to 255, 128 and the signal's number if one killed it. Known
   * when the stream has finished, if its appender has sent it, the server is not a legacy one, and nothing was appended
   * since.
   */
  readonly status: number | undefined;
  /** What else is known of the end; empty before it. */
  readonly ending: FollowEnding;
}
