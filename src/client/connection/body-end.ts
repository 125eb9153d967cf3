import type { IncomingMessage } from 'node:http';

/**
 * How it is known that a body is complete: `told` when the server says where it ends;
 * `presumed` when only the connection ends, which is the best that HTTP/1.0 has
 * (RFC 1945, section 7.2.2); `unknown` when that happens in HTTP/1.1, whose servers
 * can say more, so that the connection may as well have broken.
 */
export type BodyEnd = 'told' | 'presumed' | 'unknown';

const NO_CONTENT = 204;

/** How it is known that the body of an answer is complete. */
export function bodyEndOf({
  statusCode,
  headers,
  httpVersion,
}: Pick<IncomingMessage, 'statusCode' | 'headers' | 'httpVersion'>): BodyEnd {
  const isTold =
    statusCode === NO_CONTENT ||
    headers['content-length'] !== undefined ||
    /\bchunked\s*$/i.test(headers['transfer-encoding'] ?? '');
  if (isTold) return 'told';
  return httpVersion === '1.0' ? 'presumed' : 'unknown';
}
