import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import { type EndFacts, type EndReason, MAX_HOLD_SECONDS, MAX_WAIT_SECONDS } from '../../wire/protocol.ts';
import { assertInteger, type StreamOptions } from '../options.ts';

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
  /**
   * How long the server holds the file after the end, in seconds, at most 300, so that who follows again with
   * `generation` gets the rest of what is renamed, replaced or deleted meanwhile. Default 0.
   */
  hold?: number;
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

/** What is known of an end beside its reason. */
export interface FollowEnding extends Readonly<Omit<EndFacts, 'status'>> {
  /** Whether it only is presumed: a legacy server that speaks HTTP/1.0 has closed its connection, which says no more. */
  readonly presumed?: boolean;
}

type AnyListener = Parameters<EventEmitter['on']>[1];

/**
 * Adds or removes a listener of a {@link FollowStream}, which emits `open` when
 * the server has accepted, `waiting` when the appender was lost and may come
 * back, or the resource is not there yet, and `live` when it is.
 */
interface FollowListening<Self> {
  (event: 'open', listener: (opening: FollowOpening) => void): Self;
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
   * Position in the file of the next byte that is read from here. After
   * `setEncoding` it is known by the text that was read: exactly, where the bytes are text in that encoding.
   */
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
  /** What else is known of the end; nothing before it. */
  readonly ending: FollowEnding;
}

/** @throws {TypeError} for options that make no sense */
export function assertOptions({ from, lines, generation, wait = 0, hold = 0 }: FollowOptions): void {
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
