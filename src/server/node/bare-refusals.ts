import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ExpectationFailedError, HeadTooLargeError } from '../../wire/errors.ts';
import { ClientSocket } from './connections/client-socket.ts';
import { type Problem, rawProblem } from './connections/problem.ts';
import { type RefusalReason, Refusals } from './connections/refusals.ts';

/** Most headers: Node silently drops those beyond its limit, even if they are conditions. */
const MAX_HEADERS = 2000;

/**
 * Refuses with a problem document what Node would refuse without a reason: unknown
 * expectations (RFC 9110, section 10.1.1), too many headers, tunnels.
 *
 * @param methods those that are supported
 */
export function refuseInWords(app: FastifyInstance, methods: readonly string[]): void {
  const { server } = app;
  const noTunnel = rawProblem(
    { status: 405, code: 'HFS_METHOD_NOT_ALLOWED', detail: 'CONNECT is not supported here' },
    [['Allow', methods.join(', ')]],
  );
  const unknown = new WeakSet<IncomingMessage>();
  server.maxHeadersCount = MAX_HEADERS + 1;
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    unknown.add(request);
    server.emit('request', request, response);
  });
  server.on('connect', (_request: IncomingMessage, socket: Socket) => {
    const client = ClientSocket.of(socket);
    client.whenAnswered(() => client.end(noTunnel));
  });
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    if (raw.rawHeaders.length > 2 * MAX_HEADERS) {
      throw new HeadTooLargeError(`there are more than ${MAX_HEADERS} headers`);
    }
    if (unknown.has(raw)) throw expectationFailed();
    done();
  });
}

/** For a client that expects anything but `100-continue`. */
export function expectationFailed(): ExpectationFailedError {
  return new ExpectationFailedError('nothing but 100-continue can be expected here');
}

/** By the code of Node's parser error. Any other one: {@link NO_REQUEST}, or {@link BROKEN_BODY} behind a good head. */
const PROBLEM_OF_NODE_CODE: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'HFS_HEAD_TOO_LARGE', detail: 'the head is too long' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    code: 'HFS_INVALID_REQUEST',
    detail: 'the extensions of a chunk are too long',
  },
  HPE_INVALID_EOF_STATE: {
    status: 400,
    code: 'HFS_INVALID_REQUEST',
    detail: 'the request was cut short',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'HFS_INVALID_REQUEST',
    detail: 'the head of the request has not come in time',
  },
};

/** What refusals of these kinds count as. Any other one: `malformed`. */
const REASON_OF_NODE_CODE: Readonly<Record<string, RefusalReason>> = {
  HPE_HEADER_OVERFLOW: 'head_size',
  ERR_HTTP_REQUEST_TIMEOUT: 'head_time',
  // Not even TLS has come.
  ERR_TLS_HANDSHAKE_TIMEOUT: 'head_time',
};

const NO_REQUEST: Problem = {
  status: 400,
  code: 'HFS_INVALID_REQUEST',
  detail: 'this is not a request of HTTP/1.1',
};

const BROKEN_BODY: Problem = {
  status: 400,
  code: 'HFS_INVALID_REQUEST',
  detail: 'the chunks of the body are malformed',
};

/**
 * Finds the last request line in what came. It is tried from the start alone: from anywhere it would take the square of
 * the length, which is seconds for a packet.
 */
const LAST_METHOD = /^.*(?:^|\n)(?<method>[A-Z]+) [^\s]+ HTTP\/1\.\d\r?\n/s;

/** With the last packet, and how much of it was parsed before the error, where Node knows. */
type ClientError = Error & { code?: string; rawPacket?: unknown; bytesParsed?: number };

/** Time for the head of a request that could not come, since the connection was paused here. */
const HEAD_MS = 10_000;

/** Time to answer a request whose body is broken, in milliseconds. */
const ANSWER_MS = 2000;

/**
 * Ends a connection on which something came that is no request, or that broke
 * off: with an answer, after those to earlier requests, and in any case soon.
 */
export function answerClientError(
  this: Pick<FastifyInstance, 'server'>,
  error: ClientError,
  socket: Socket,
): void {
  const client = ClientSocket.of(socket);
  const { code = '' } = error;
  // The client is gone.
  if (socket.destroyed || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  // It is the server that does not read.
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && client.isPaused) {
    client.renewHeadTimeout(HEAD_MS);
    return;
  }
  // Node reports it again with each packet; and the last answer may have been sent.
  if (client.isRefused || !socket.writable) return;
  const { responses } = client;
  const whole = responses.findLast(({ req }) => req.complete);
  const broken = responses.find(({ req }) => !req.complete);
  if (whole !== undefined) {
    client.endAfter(whole);
  } else if (broken?.headersSent === true) {
    client.cutAfter(ANSWER_MS);
  } else if (broken !== undefined && !client.hasLeft && broken.req.listenerCount('error') > 0) {
    client.cutAfter(ANSWER_MS);
    // Whoever reads the body refuses it.
    broken.req.emit('error', error);
  } else {
    Refusals.of(this.server).count(REASON_OF_NODE_CODE[code] ?? 'malformed');
    const method = broken?.req.method ?? methodIn(error);
    const problem = PROBLEM_OF_NODE_CODE[code] ?? (broken === undefined ? NO_REQUEST : BROKEN_BODY);
    const answer = rawProblem(problem);
    client.end(method === 'HEAD' ? answer.slice(0, answer.indexOf('\r\n\r\n') + 4) : answer);
  }
}

/** The method of the request that cannot be read, if it came with what is wrong. */
function methodIn({ rawPacket, bytesParsed }: ClientError): string | undefined {
  if (!Buffer.isBuffer(rawPacket)) return undefined;
  return LAST_METHOD.exec(rawPacket.toString('latin1', 0, bytesParsed))?.groups?.method;
}
