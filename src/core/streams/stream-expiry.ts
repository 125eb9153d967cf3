import type { StreamState } from '../../storage/records/stream-state.ts';

/** Part of its time to live by which what the disk says of the last access may be too old. */
const TOLERANCE = 0.05;

/**
 * When a stream expires, in milliseconds since 1970. Undefined when it never does.
 *
 * @param accessedMs when it was read or written last, in milliseconds since 1970
 */
export function expiryMs({ ttlSeconds, expiresAt }: StreamState, accessedMs: number): number | undefined {
  const ends = [
    ...(expiresAt === undefined ? [] : [Date.parse(expiresAt)]),
    ...(ttlSeconds === undefined ? [] : [accessedMs + ttlSeconds * 1000]),
  ];
  return ends.length === 0 ? undefined : Math.min(...ends);
}

/** Whether a stream has expired. */
export function isExpired(state: StreamState, accessedMs: number): boolean {
  const endMs = expiryMs(state, accessedMs);
  return endMs !== undefined && Date.now() >= endMs;
}

/** Whether a stream can expire. */
export function canExpire({ ttlSeconds, expiresAt }: StreamState): boolean {
  return ttlSeconds !== undefined || expiresAt !== undefined;
}

/** How old what the disk says of the last access to a stream may be, in milliseconds. Undefined when nobody asks. */
export function accessToleranceMs({ ttlSeconds }: StreamState): number | undefined {
  return ttlSeconds === undefined ? undefined : ttlSeconds * 1000 * TOLERANCE;
}
