import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OpenFile } from '../../core/open-file.ts';
import { StorageError } from '../../wire/errors.ts';
import { AnswerNumbers, noteFirstByte } from './answer-numbers.ts';
import { type BodyPart, FileBody, type Range } from './file-body.ts';

/** Up to this size a body is read at once, in line, instead of streamed: more takes longer than a trip to a thread. */
export const SMALL_BODY_BYTES = 64 * 1024;

/** Answers with `pieces` of a file, which is closed at the end, however it comes. */
export async function sendBytes(
  request: FastifyRequest,
  reply: FastifyReply,
  file: OpenFile,
  pieces: readonly BodyPart[],
  contentLength: number,
): Promise<FastifyReply> {
  if (request.method === 'HEAD') {
    await file.close();
    return reply.header('content-length', contentLength).send();
  }
  noteFirstByte(request, 'file');
  const { files } = AnswerNumbers.of(request);
  const [piece] = pieces;
  const isSmall = pieces.length === 1 && contentLength <= SMALL_BODY_BYTES;
  if (!isSmall || piece === undefined || Buffer.isBuffer(piece)) {
    reply.header('content-length', contentLength);
    return sendStream(request, reply, new FileBody(file, pieces, files));
  }
  try {
    const body = readWhole(file, piece);
    files.bytes += body.length;
    return reply.header('content-length', contentLength).send(body);
  } finally {
    await file.close();
  }
}

/**
 * Reads a small part of a file, in line.
 *
 * @throws {StorageError} when the file has become shorter: a part must not look like the whole
 */
export function readWhole(file: OpenFile, { start, end }: Range): Buffer {
  const bytes = file.readInLine(start, end - start);
  if (bytes.length < end - start) throw new StorageError('the file has become shorter while it was read');
  return bytes;
}

/** Answers with a stream, which is destroyed when the client goes. */
export function sendStream(request: FastifyRequest, reply: FastifyReply, stream: Readable): FastifyReply {
  const { socket } = request.raw;
  // Node does not notify a response of it that waits behind another one on the connection.
  const destroy = () => void stream.destroy();
  socket.once('close', destroy);
  stream.once('close', () => socket.off('close', destroy));
  if (socket.destroyed) destroy();
  return reply.send(stream);
}
