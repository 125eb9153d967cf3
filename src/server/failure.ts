import accepts from 'accepts';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { HttpfstreamError } from '../errors.ts';

/** What each failure is on the wire. What is not here is 500. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  HFS_INVALID_PATH: 400,
  HFS_INVALID_REQUEST: 400,
  HFS_FORBIDDEN_PATH: 403,
  HFS_APPEND_CONFLICT: 403,
  HFS_RESOURCE_NOT_FOUND: 404,
  HFS_METHOD_NOT_ALLOWED: 405,
  HFS_PATH_CONFLICT: 409,
  HFS_POSITION_MISMATCH: 409,
  HFS_RESOURCE_GONE: 410,
  HFS_RANGE_NOT_SATISFIABLE: 416,
  HFS_REPEATED_REQUEST: 425,
  HFS_UPGRADE_REQUIRED: 426,
  HFS_SERVER_CLOSING: 503,
  HFS_STORAGE_BUSY: 503,
  HFS_STORAGE_FULL: 507,
};

const HEADERS_OF_CODE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  HFS_INVALID_REQUEST: { 'sec-websocket-version': '13' },
  HFS_METHOD_NOT_ALLOWED: { allow: 'GET, HEAD' },
  HFS_UPGRADE_REQUIRED: { upgrade: 'websocket', connection: 'upgrade, close' },
  HFS_SERVER_CLOSING: { 'retry-after': '1' },
};

interface Failure {
  status: number;
  code: string;
  /** For the client: nothing of the server's machine. */
  detail: string;
  headers: Readonly<Record<string, string>>;
}

/**
 * Answers a request that failed: a short text for people, or
 * `application/problem+json` (RFC 9457) for those who ask for JSON. The log gets the cause.
 */
export function sendFailure(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = describe(error);
  const { status, code, detail } = failure;
  const level = status >= 500 && status !== 503 ? 'error' : 'info';
  request.log[level](
    {
      status,
      code,
      method: request.method,
      path: request.url.split('?', 1)[0],
      ...(level === 'error' && { err: error }),
    },
    `refused: ${detail}`,
  );

  reply.code(status).headers(failure.headers).header('x-content-type-options', 'nosniff');
  if ('upgrade' in request.raw && request.raw.upgrade === true) {
    // Node has let go of the socket, and not every refusal passes the hook of @fastify/websocket that closes it.
    reply.header('connection', 'close');
    reply.raw.once('finish', () => request.raw.socket.destroySoon());
  }
  const wanted = accepts(request.raw).type(['text/plain', 'application/problem+json', 'application/json']);
  if (wanted === false || wanted === 'text/plain') {
    return reply.type('text/plain; charset=utf-8').send(`${detail}\n`);
  }
  return reply
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send({ type: 'about:blank', title: code, status, detail, code });
}

function describe(error: Error): Failure {
  if (error instanceof HttpfstreamError) {
    const status = STATUS_OF_CODE[error.code] ?? 500;
    return { status, code: error.code, detail: error.message, headers: HEADERS_OF_CODE[error.code] ?? {} };
  }
  const { statusCode = 500, code = 'HFS_INTERNAL' } = error as Partial<FastifyError>;
  // The framework's refusals (a malformed escape, say) are for the client; its failures are not.
  const detail = statusCode < 500 ? error.message : 'internal error';
  return { status: statusCode, code, detail, headers: {} };
}
