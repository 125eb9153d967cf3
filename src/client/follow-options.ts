import type { Readable } from 'node:stream';
import { type EndReason, MAX_WAIT_SECONDS } from '../protocol.ts';
import { assertInteger, type StreamOptions } from './options.ts';

/** Options of `follow`. */
export interface FollowOptions extends StreamOptions {
  /** First byte wanted; negative: that many bytes before the end. Default 0. */
  from?: number;
  /** Only the last so many lines, then what comes. Not together with `from`. */
  lines?: number;
  /** Fails with {@link ResourceGoneError} unless the file has this generation, which `open` told. */
  generation?: number;
  /** How long to wait for a resource that does not exist yet, in seconds. Default 0. */
  wait?: number;
}

/** What a follower is told first. */
export interface FollowOpening {
  /** Tells the file from one that is made anew; undefined from a legacy server. */
  generation: number | undefined;
  /** Position of the first byte that comes. */
  position: number;
  /** Whether somebody appends; undefined from a legacy server. */
  live: boolean | undefined;
}

/** A readable of a resource's bytes. */
export interface FollowStream extends Readable {
  /** Position in the file of the next byte that is read from here. */
  readonly position: number;
  /** Tells the file from one that is made anew; undefined before `open`, and from a legacy server. */
  readonly generation: number | undefined;
  /** Why the stream ended. */
  readonly reason: EndReason | undefined;
  /**
   * Exit status of the command that wrote the stream: 0 to 255, 128 and the signal's number if one killed it. Known when
   * the stream has finished, if its appender told, the server is no legacy one, and nothing was appended after that.
   */
  readonly status: number | undefined;
}

/** @throws {TypeError} for options that make no sense */
export function assertOptions({ from, lines, generation, wait = 0 }: FollowOptions): void {
  if (from !== undefined && lines !== undefined) {
    throw new TypeError('the options from and lines exclude each other');
  }
  assertInteger('from', from, Number.MIN_SAFE_INTEGER);
  assertInteger('lines', lines, 0);
  assertInteger('generation', generation, 0);
  if (!(wait >= 0 && wait <= MAX_WAIT_SECONDS)) {
    throw new TypeError(`the option wait must be a number of seconds from 0 to ${MAX_WAIT_SECONDS}`);
  }
}
