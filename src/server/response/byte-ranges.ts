import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import parseRange from 'range-parser';
import type { BodyPart, Range } from './file-body.ts';
import type { LastModified } from './last-modified.ts';

/** More ranges than this in one request are answered with the whole file. */
const MAX_RANGES = 100;

/** What a request with a `Range` header gets (RFC 9110, section 14). */
export type RangeAnswer =
  | { kind: 'whole' }
  | { kind: 'unsatisfiable' }
  | { kind: 'partial'; ranges: readonly Range[] };

/**
 * Decides which part of a representation to send.
 *
 * @param headers of the request: `range` and `if-range` are looked at
 * @param size of the representation in bytes
 * @param etag strong entity tag of the representation
 */
export function rangesFor(
  headers: IncomingHttpHeaders,
  size: number,
  etag: string,
  lastModified: LastModified,
): RangeAnswer {
  const { range, 'if-range': ifRange } = headers;
  // To ask an empty file for its first bytes is not worth an error.
  if (range === undefined || size === 0) return { kind: 'whole' };
  const isSame = ifRange === undefined || ifRange === etag || lastModified.isStronglyEqualTo(String(ifRange));
  if (!isSame) return { kind: 'whole' };

  const parsed = parseRange(size, normalise(range, size), { combine: true });
  if (parsed === -1) return { kind: 'unsatisfiable' };
  if (parsed === -2 || parsed.type !== 'bytes' || parsed.length > MAX_RANGES) return { kind: 'whole' };
  return { kind: 'partial', ranges: parsed.map(({ start, end }) => ({ start, end: end + 1 })) };
}

/**
 * range-parser takes the unit in lower case only, and no suffix that is longer
 * than the representation, which means all of it.
 */
function normalise(range: string, size: number): string {
  return range
    .replace(/^bytes(?==)/i, 'bytes')
    .replace(/(?<=[=,]\s*-)\d+/g, (suffix) => String(Math.min(Number(suffix), size)));
}

/** The `Content-Range` of one part. */
export function contentRange({ start, end }: Range, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`;
}

/** Several ranges as one `multipart/byteranges` body. */
export function multipartBody(ranges: readonly Range[], size: number, contentType: string) {
  const boundary = randomBytes(18).toString('base64url');
  const pieces: BodyPart[] = ranges.flatMap((range, i) => [
    Buffer.from(
      `${i === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${contentType}\r\n` +
        `Content-Range: ${contentRange(range, size)}\r\n\r\n`,
    ),
    range,
  ]);
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`));
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    contentLength: pieces.reduce((sum, piece) => sum + pieceBytes(piece), 0),
    pieces,
  };
}

function pieceBytes(piece: BodyPart): number {
  return Buffer.isBuffer(piece) ? piece.length : piece.end - piece.start;
}
