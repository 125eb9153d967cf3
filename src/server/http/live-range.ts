import type { IncomingHttpHeaders } from 'node:http';

/** A range that has no end yet. */
export interface LiveRange {
  /** Position of its first byte. */
  start: number;
  /** What `Content-Range` says. */
  contentRange: string;
}

/** From this last position on a range means: and whatever comes. */
const VERY_LARGE = 2n ** 53n - 1n;

const CONDITIONS = ['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since'];

const RANGE = /^bytes=(\d{1,16})-(\d{16,20})$/i;

/**
 * The range that a request asks for, if it is a live one (RFC 8673): its last
 * position is one that no file has. A request with a condition asks for what is there.
 */
export function liveRangeOf(headers: IncomingHttpHeaders): LiveRange | undefined {
  const [, first, last] = RANGE.exec(headers.range ?? '') ?? [];
  if (first === undefined || last === undefined || BigInt(last) < VERY_LARGE) return undefined;
  if (CONDITIONS.some((name) => name in headers)) return undefined;
  return { start: Number(first), contentRange: `bytes ${first}-${last}/*` };
}
