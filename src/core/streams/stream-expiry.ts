import type { StreamState } from '../../storage/stream-state.ts';

/** Part of its time to live by which what the disk says of the last access may be too old. */
const TOLERANCE = 0.05;

/**
 * Whether a stream has outlived its time.
 *
 * @param accessedMs when it was read or written last, in milliseconds since 1970
 */
export function isExpired({ ttlSeconds, expiresAt }: StreamState, accessedMs: number): boolean {
  const nowMs = Date.now();
  if (expiresAt !== undefined && nowMs >= Date.parse(expiresAt)) return true;
  return ttlSeconds !== undefined && nowMs >= accessedMs + ttlSeconds * 1000;
}

/** Whether a stream ends to live by itself. */
export function canExpire({ ttlSeconds, expiresAt }: StreamState): boolean {
  return ttlSeconds !== undefined || expiresAt !== undefined;
}

/** How old what the disk says of the last access to a stream may be, in milliseconds. Undefined when nobody asks. */
export function accessToleranceMs({ ttlSeconds }: StreamState): number | undefined {
  return ttlSeconds === undefined ? undefined : ttlSeconds * 1000 * TOLERANCE;
}
