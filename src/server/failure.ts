import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import {
  HttpfstreamError,
  ServerBusyError,
  TooManyRequestsError,
  UpstreamRefusalError,
} from '../wire/errors.ts';
import { METHODS } from '../wire/protocol.ts';
import { type Problem, problemDocument } from './node/connections/problem.ts';
import { type RefusalReason, Refusals } from './node/connections/refusals.ts';
import { retryAfterOf } from './node/connections/retry-after.ts';
import { asksForWebSocket } from './node/requests/request-head.ts';
import { EarlyAnswer, isBodyUnderWay } from './node/requests/rest-of-body.ts';
import { noteRefusal, shownPath } from './operations/access-log.ts';
import { preferredType } from './request/headers.ts';

/** The status of each failure. Any other one: 500. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  HFS_INVALID_PATH: 400,
  HFS_INVALID_REQUEST: 400,
  HFS_UNAUTHORIZED: 401,
  HFS_FORBIDDEN_PATH: 403,
  HFS_FOREIGN_ORIGIN: 403,
  HFS_FORBIDDEN_RIGHT: 403,
  HFS_APPEND_CONFLICT: 403,
  HFS_PRODUCER_FENCED: 403,
  HFS_RESOURCE_NOT_FOUND: 404,
  HFS_METHOD_NOT_ALLOWED: 405,
  HFS_BODY_TIMEOUT: 408,
  HFS_PATH_CONFLICT: 409,
  HFS_POSITION_MISMATCH: 409,
  HFS_STREAM_TRUNCATED: 409,
  HFS_STREAM_CLOSED: 409,
  HFS_STREAM_CONFLICT: 409,
  HFS_CONTENT_MISMATCH: 409,
  HFS_CONTENT_TYPE_MISMATCH: 409,
  HFS_SEQUENCE_CONFLICT: 409,
  HFS_PRODUCER_GAP: 409,
  HFS_RESOURCE_GONE: 410,
  HFS_STREAM_GONE: 410,
  HFS_LENGTH_REQUIRED: 411,
  HFS_PRECONDITION_FAILED: 412,
  HFS_PAYLOAD_TOO_LARGE: 413,
  HFS_RESOURCE_TOO_LARGE: 413,
  HFS_UNSUPPORTED_ENCODING: 415,
  HFS_RANGE_NOT_SATISFIABLE: 416,
  HFS_EXPECTATION_FAILED: 417,
  HFS_UNKNOWN_HOST: 421,
  HFS_REPEATED_REQUEST: 425,
  HFS_UPGRADE_REQUIRED: 426,
  HFS_TOO_MANY_REQUESTS: 429,
  HFS_HEAD_TOO_LARGE: 431,
  HFS_UNSUPPORTED_TRANSFER: 501,
  HFS_UPSTREAM: 502,
  HFS_SERVER_CLOSING: 503,
  HFS_STORAGE_BUSY: 503,
  HFS_SERVER_BUSY: 503,
  HFS_APPEND_BUSY: 503,
  HFS_UNREAD: 503,
  HFS_UPSTREAM_TIMEOUT: 504,
  HFS_STORAGE_FULL: 507,
  HFS_QUOTA_EXCEEDED: 507,
  HFS_RELAY_LOOP: 508,
};

const HEADERS_OF_CODE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // The same request of another page may be allowed.
  HFS_FOREIGN_ORIGIN: { vary: 'Origin', 'cache-control': 'no-store' },
  // The rest of the body may never come.
  HFS_BODY_TIMEOUT: { connection: 'close' },
  // It is unknown whether its body comes.
  HFS_EXPECTATION_FAILED: { connection: 'close' },
  // A header that was dropped may have said where the request ends.
  HFS_HEAD_TOO_LARGE: { connection: 'close' },
  // It is unknown where the body ends.
  HFS_LENGTH_REQUIRED: { connection: 'close' },
  HFS_METHOD_NOT_ALLOWED: { allow: METHODS.join(', ') },
  HFS_UNSUPPORTED_ENCODING: { 'accept-encoding': 'gzip, deflate, br' },
  HFS_UPGRADE_REQUIRED: { upgrade: 'websocket', connection: 'upgrade, close' },
  HFS_STREAM_CLOSED: { 'stream-closed': 'true' },
};

/** Why the server does not let somebody in, or does not do what it could: what it is asked for is not wrong. */
const REASON_OF_CODE: Readonly<Record<string, RefusalReason>> = {
  HFS_UNAUTHORIZED: 'credential',
  HFS_FORBIDDEN_RIGHT: 'right',
  HFS_FOREIGN_ORIGIN: 'origin',
  HFS_UNKNOWN_HOST: 'host',
  HFS_INVALID_PATH: 'path',
  HFS_HEAD_TOO_LARGE: 'head_size',
  HFS_BODY_TIMEOUT: 'body_idle',
  HFS_PAYLOAD_TOO_LARGE: 'body_size',
  HFS_RESOURCE_TOO_LARGE: 'resource_size',
  HFS_QUOTA_EXCEEDED: 'quota',
  HFS_STORAGE_FULL: 'disk_full',
  HFS_STORAGE_BUSY: 'busy',
  HFS_APPEND_BUSY: 'busy',
  HFS_SERVER_CLOSING: 'closing',
};

const JSON_TYPES = ['application/problem+json', 'application/json'] as const;

/** Not logged as errors: they are expected, and logged once elsewhere. */
const EXPECTED: readonly number[] = [501, 502, 503, 504, 507, 508];

/** What a client is told of a failure. */
export function problemOf(error: Error): Problem {
  if (error instanceof UpstreamRefusalError) {
    return { status: error.status, code: error.code, detail: error.message };
  }
  if (error instanceof HttpfstreamError) {
    return { status: STATUS_OF_CODE[error.code] ?? 500, code: error.code, detail: error.message };
  }
  const { statusCode = 500, code } = error as Partial<FastifyError>;
  // The framework's refusals are for the client; its failures are not.
  if (statusCode >= 500) return { status: statusCode, code: 'HFS_INTERNAL', detail: 'internal error' };
  if (code === 'FST_ERR_BAD_URL') {
    // Its message quotes the query, too, in which there may be what lets in whoever knows it.
    return { status: statusCode, code: 'HFS_INVALID_PATH', detail: 'the path cannot be decoded' };
  }
  return { status: statusCode, code: 'HFS_INVALID_REQUEST', detail: error.message };
}

/**
 * Answers a request that failed: `application/problem+json` (RFC 9457), or a
 * short text for those who ask for that. The log gets the cause.
 */
export function sendFailure(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = beginFailure(error, request, reply);
  if (prefersText(request)) {
    return sendText(request, reply.type('text/plain; charset=utf-8'), `${problem.detail}\n`);
  }
  return sendText(request, reply.type('application/problem+json'), problemDocument(problem));
}

/** Counts and logs that a request failed, and says it in the head of its answer, but for the type of the body. */
export function beginFailure(error: Error, request: FastifyRequest, reply: FastifyReply): Problem {
  const problem = problemOf(error);
  countRefusal(Refusals.of(request.server.server), error, problem);
  logFailure(error, problem, request);
  const { status, code } = problem;
  reply
    .code(status)
    .headers(HEADERS_OF_CODE[code] ?? {})
    .header('x-content-type-options', 'nosniff');
  const retryAfter = retryAfterOf(code);
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  if (code === 'HFS_INVALID_REQUEST' && asksForWebSocket(request.raw)) {
    reply.header('sec-websocket-version', '13');
  }
  if (code === 'HFS_UNAUTHORIZED') reply.header('www-authenticate', challengesFor(request));
  if ('upgrade' in request.raw && request.raw.upgrade === true) {
    // Node has handed over the socket.
    reply.header('connection', 'close');
  }
  return problem;
}

/** Counts a failure, if it is a refusal: by the limit that was met, or else by what it is about. */
export function countRefusal(
  refusals: Refusals,
  error: Error,
  { code }: Pick<Problem, 'code'> = problemOf(error),
): void {
  // What an upstream has said may be anything.
  if (error instanceof UpstreamRefusalError) return;
  const isOfLimit = error instanceof TooManyRequestsError || error instanceof ServerBusyError;
  const reason = isOfLimit ? error.limit : REASON_OF_CODE[code];
  if (reason !== undefined) refusals.count(reason);
}

/** What a browser asks for by itself, in its window or for what it shows there; `undefined`: who is none. */
const PROMPTED: readonly unknown[] = [undefined, 'navigate', 'no-cors'];

/** How to bring a token. For what scripts ask for a browser would open a prompt of its own, under every page. */
function challengesFor({ headers }: FastifyRequest): string[] {
  const basic = 'Basic realm="httpfstream", charset="UTF-8"';
  return ['Bearer realm="httpfstream"', ...(PROMPTED.includes(headers['sec-fetch-mode']) ? [basic] : [])];
}

/** Sends a short answer, even while the client is still sending. */
export function sendText(request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  const bytes = Buffer.from(text);
  // A client that has gone reads nothing, so that its connection need not be kept for it.
  if (!isBodyUnderWay(request.raw) || request.raw.socket.destroyed) return reply.send(bytes);
  reply.headers({ connection: 'close', 'content-length': bytes.length });
  return reply.send(new EarlyAnswer(request, bytes));
}

function logFailure(error: Error, { status, code, detail }: Problem, request: FastifyRequest): void {
  // A client that left before its answer began is no failure of the server.
  const isOfClient =
    error.name === 'AbortError' || ('code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE');
  const isAbandoned = isOfClient && request.raw.socket.destroyed;
  const level = status >= 500 && !EXPECTED.includes(status) && !isAbandoned ? 'error' : 'info';
  if (level === 'info' && noteRefusal(request, code, detail)) return;
  request.log[level](
    {
      status,
      code,
      method: request.method,
      path: shownPath(request.url),
      ...(level === 'error' && { err: error }),
    },
    `refused: ${detail}`,
  );
}

/** People see the refusal of a handshake in a terminal, if at all; other clients must ask for text. */
function prefersText(request: FastifyRequest): boolean {
  return asksForWebSocket(request.raw)
    ? (preferredType(request, ['text/plain', ...JSON_TYPES]) ?? 'text/plain') === 'text/plain'
    : preferredType(request, [...JSON_TYPES, 'text/plain']) === 'text/plain';
}
