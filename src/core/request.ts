import type { StartPosition } from './readers/start-position.ts';

/** What an appender asks for. */
export interface AppendRequest {
  /** The client's own random token; a request that brings it again goes on with the session. */
  session?: string | undefined;
  /** Grows with each request of a session: one that is not above the last is a repetition. */
  attempt?: number | undefined;
  /** Position at which the session must begin. */
  expect?: number | undefined;
  /** Generation that the file must have. */
  generation?: number | undefined;
  /** Content type of what it brings, for a file that begins with it. */
  fileType?: string | undefined;
  /** Whether the stream is closed when the append has finished. */
  closes?: boolean;
  /** Whether it brings what is on an upstream to the copy of that. Default false. */
  isCopying?: boolean;
}

/** What a follower asks for. */
export interface FollowRequest extends StartPosition {
  /** Generation that the file must have. */
  generation?: number | undefined;
  /**
   * For how long the file is kept open after its end for the follower, which comes back, in milliseconds. Default 0.
   */
  holdMs?: number;
}

/** Where a follower was that comes back; undefined for one that comes for the first time. */
export function returnPosition({ generation, from }: FollowRequest): number | undefined {
  return generation === undefined ? undefined : from;
}
