import { type EndFacts, MAX_HOLD_SECONDS, MAX_WAIT_SECONDS } from '../../wire/protocol.ts';
import { assertInteger } from './session-options.ts';

/** What a follower asks for. */
export interface FollowRequestOptions {
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

/** @throws {TypeError} for invalid options */
export function assertFollowRequest({
  from,
  lines,
  generation,
  wait = 0,
  hold = 0,
}: FollowRequestOptions): void {
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
