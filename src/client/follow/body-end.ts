import type { IncomingMessage } from 'node:http';

/**
 * What the end of a body is worth: `told` when the server says where it is;
 * `presumed` when it is the end of the connection, as HTTP/1.0 has no better one
 * (RFC 1945, section 7.2.2); `unknown` when it is that in HTTP/1.1, whose servers
 * can say more, so that it may as well have broken.
 */
export type BodyEnd = 'told' | 'presumed' | 'unknown';

type AnswerHead = Pick<IncomingMessage, 'statusCode' | 'headers' | 'httpVersion'>;

/** How the end of an answer's body would be known. */
export function bodyEndOf({ statusCode, headers, httpVersion }: AnswerHead): BodyEnd {
  const isTold =
    statusCode === NO_CONTENT ||
    headers['content-length'] !== undefined ||
    /\bchunked\s*$/i.test(headers['transfer-encoding'] ?? '');
  if (isTold) return 'told';
  return httpVersion === '1.0' ? 'presumed' : 'unknown';
}

/** Ends with its head. */
const NO_CONTENT = 204;
