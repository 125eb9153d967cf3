import type { FastifyReply, FastifyRequest } from 'fastify';
import fresh from 'fresh';
import { RangeNotSatisfiableError } from '../errors.ts';
import { type Piece, streamPieces } from '../storage/range-stream.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import { contentRange, multipartBody, rangesFor } from './byte-ranges.ts';
import { contentTypeOfBytes, contentTypeOfName, SNIFFED_BYTES } from './content-type.ts';

/** Up to this size a body is read at once instead of streamed. */
const SMALL_BODY_BYTES = 64 * 1024;

/**
 * Answers GET and HEAD with the first `size` bytes of a file: whole or in
 * ranges, or not at all when the client has them already. Closes the file.
 *
 * @param size the committed bytes; the file may be growing beyond them
 */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: StoredFile,
  name: string,
  size: number,
): Promise<FastifyReply> {
  try {
    const etag = `"${size.toString(36)}-${file.stat.mtimeNs.toString(36)}"`;
    const lastModified = new Date(Number(file.stat.mtimeNs / 1_000_000n)).toUTCString();
    reply.headers({
      'accept-ranges': 'bytes',
      'cache-control': 'no-cache',
      etag,
      'last-modified': lastModified,
      'x-content-type-options': 'nosniff',
    });
    if (fresh(request.headers, { etag, 'last-modified': lastModified })) {
      await file.close();
      return reply.code(304).send();
    }

    const answer = rangesFor(request.headers, size, etag, lastModified);
    if (answer.kind === 'unsatisfiable') {
      reply.header('content-range', `bytes */${size}`);
      throw new RangeNotSatisfiableError(`the resource has ${size} bytes`);
    }
    const contentType =
      contentTypeOfName(name) ?? contentTypeOfBytes(await file.read(0, Math.min(size, SNIFFED_BYTES)));
    const [first, second] = answer.kind === 'partial' ? answer.ranges : [];
    if (answer.kind === 'whole' || first === undefined) {
      return await sendPieces(request, reply.type(contentType), file, [{ start: 0, end: size }], size);
    }
    reply.code(206);
    if (second === undefined) {
      reply.type(contentType).header('content-range', contentRange(first, size));
      return await sendPieces(request, reply, file, [first], first.end - first.start);
    }
    const body = multipartBody(answer.ranges, size, contentType);
    return await sendPieces(request, reply.type(body.contentType), file, body.pieces, body.contentLength);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function sendPieces(
  request: FastifyRequest,
  reply: FastifyReply,
  file: StoredFile,
  pieces: readonly Piece[],
  contentLength: number,
): Promise<FastifyReply> {
  reply.header('content-length', contentLength);
  if (request.method === 'HEAD') {
    await file.close();
    return reply.send();
  }
  const [piece] = pieces;
  if (
    pieces.length === 1 &&
    piece !== undefined &&
    !Buffer.isBuffer(piece) &&
    contentLength <= SMALL_BODY_BYTES
  ) {
    const body = await file.read(piece.start, contentLength);
    await file.close();
    return reply.send(body);
  }
  return reply.send(streamPieces(file, pieces));
}
