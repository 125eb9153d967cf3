import type { Readable } from 'node:stream';
import { type EndFacts, type EndReason, MAX_HOLD_SECONDS, MAX_WAIT_SECONDS } from '../../wire/protocol.ts';
import { type AnyListener, assertInteger, type StreamOptions } from '../stream-options.ts';

/** Options of `follow`. */
export interface FollowOptions extends StreamOptions {
  /** Position of the first byte; negative: that many bytes before the end. Default 0. */
  from?: number;
  /** Begin with the last so many lines. Not together with `from`. */
  lines?: number;
  /** Fails with {@link ResourceGoneError} unless the file has this generation, which an earlier `open` has reported. */
  generation?: number;
  /** How long to wait for a resource that does not exist yet, in seconds. Default 0. */
  wait?: number;
  /**
   * How long the server keeps the file open after the end, in seconds, at most 300, so that a follower that comes
   * back with `generation` gets the rest even if it is renamed, replaced or deleted in the meantime. Default 0.
   */
  hold?: number;
}

/** What the server tells a follower first. */
export interface FollowOpening {
  /** Distinguishes the file from a later one at the same path; undefined from a legacy server. */
  generation: number | undefined;
  /** Position of the first byte. */
  position: number;
  /** Whether an appender is connected; undefined from a legacy server. */
  live: boolean | undefined;
  /** How many bytes the file had then; missing from servers that do not tell. */
  size?: number;
  /**
   * Whether this is a part of something as long as it has not finished, of which nothing is worth anything without the
   * rest.
   */
  part?: true;
  /** Content type of what was made as a stream, or that an append has given to a file. Missing when nobody has said it. */
  contentType?: string;
  /** Whether it was made as a stream of that type. */
  stream?: true;
}

/** What is known of an end besides its reason. */
export interface FollowEnding extends Readonly<Omit<EndFacts, 'status'>> {
  /**
   * Whether the end is only presumed: a legacy server that speaks HTTP/1.0 has closed its connection, which may mean
   * anything.
   */
  readonly presumed?: boolean;
}

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

/** @throws {TypeError} for invalid options */
export function assertFollowOptions({ from, lines, generation, wait = 0, hold = 0 }: FollowOptions): void {
  if (from !== undefined && lines !== undefined) {
    throw new TypeError('the options from and lines exclude each other');
  }
  assertInteger('from', from, Number.MIN_SAFE_INTEGER);
  assertInteger('lines', lines, 0);
  assertInteger('generation', generation, 0);
  assertSeconds('wait', wait, MAX_WAIT_SECONDS);
  assertSeconds('hold', hold, MAX_HOLD_SECONDS);
}

function assertSeconds(name: string, value: number, max: number): void {
  if (value >= 0 && value <= max) return;
  throw new TypeError(`the option ${name} must be a number of seconds from 0 to ${max}`);
}
