import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpenFile } from '../../core/open-file.ts';
import { RangeNotSatisfiableError } from '../../wire/errors.ts';
import { contentRange, multipartBody, rangesFor } from './byte-ranges.ts';
import type { LastModified } from './last-modified.ts';
import { sendBytes } from './send-bytes.ts';

/** The type of what has none. */
const ANY_TYPE = 'application/octet-stream';

/** What ranges are parts of. */
export interface Ranged {
  /** How many of the file's first bytes. */
  size: number;
  /** What tells it from others; empty when no strong entity tag does. */
  etag: string;
  lastModified: LastModified;
}

/**
 * Answers with what a request asks for of a file: all of it, or ranges, of the type that the reply has. The file is
 * closed when it has been sent.
 *
 * @throws {RangeNotSatisfiableError} when there is nothing of what is asked for
 * @throws what {@link sendBytes} throws
 */
export async function sendRanges(
  request: FastifyRequest,
  reply: FastifyReply,
  file: OpenFile,
  { size, etag, lastModified }: Ranged,
): Promise<FastifyReply> {
  const wanted = rangesFor(request.headers, size, etag, lastModified);
  if (wanted.kind === 'unsatisfiable') {
    reply.header('content-range', `bytes */${size}`);
    throw new RangeNotSatisfiableError(`the resource has ${size} bytes`);
  }
  const [first, second] = wanted.kind === 'partial' ? wanted.ranges : [];
  if (wanted.kind === 'whole' || first === undefined) {
    return sendBytes(request, reply, file, [{ start: 0, end: size }], size);
  }
  reply.code(206);
  if (second === undefined) {
    reply.header('content-range', contentRange(first, size));
    return sendBytes(request, reply, file, [first], first.end - first.start);
  }
  const type = String(reply.getHeader('content-type') ?? ANY_TYPE);
  const { contentType, contentLength, pieces } = multipartBody(wanted.ranges, size, type);
  return sendBytes(request, reply.type(contentType), file, pieces, contentLength);
}
