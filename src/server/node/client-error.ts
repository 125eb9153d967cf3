import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ClientSocket } from './client-socket.ts';
import { type Problem, problemDocument } from './problem.ts';

/** What Node says of what it cannot read as a request. What is not here is no request of HTTP/1.1. */
const PROBLEM_OF_NODE_CODE: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'HFS_HEAD_TOO_LARGE', detail: 'the head is too long' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    code: 'HFS_INVALID_REQUEST',
    detail: 'the extensions of a chunk are too long',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'HFS_INVALID_REQUEST',
    detail: 'the head of the request has not come in time',
  },
};

const NO_REQUEST: Problem = {
  status: 400,
  code: 'HFS_INVALID_REQUEST',
  detail: 'this is not a request of HTTP/1.1',
};

/** The last line in what came that begins a request. */
const LAST_METHOD = /.*(?:^|\n)(?<method>[A-Z]+) [^\s]+ HTTP\/1\.\d\r?\n/s;

/** With the bytes that came last, and how many of them were read before what is wrong, where Node has read any. */
type ClientError = Error & { code?: string; rawPacket?: unknown; bytesParsed?: number };

/** Time for the head of a request that was held up here. */
const HEAD_MS = 10_000;

/** How long whoever reads a broken body has to answer, in milliseconds. */
const ANSWER_MS = 2000;

/**
 * Ends a connection on which something came that is no request, or that breaks
 * off: with an answer, after those to what was asked before, and in any case soon.
 */
export function answerClientError(error: ClientError, socket: Socket): void {
  const client = ClientSocket.of(socket);
  const { code = '' } = error;
  // Nobody is there any more.
  if (socket.destroyed || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  // It is us who do not read.
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && client.isHeld) {
    client.renewPatience(HEAD_MS);
    return;
  }
  // Node says so again with each packet; and the last answer may be on its way.
  if (client.isRefused || !socket.writable) return;
  const { responses } = client;
  const whole = responses.findLast(({ req }) => req.complete);
  const broken = responses.find(({ req }) => !req.complete);
  if (whole !== undefined) {
    client.endAfter(whole);
  } else if (broken?.headersSent === true) {
    client.cutSoon(ANSWER_MS);
  } else if (broken !== undefined && !client.hasLeft && broken.req.listenerCount('error') > 0) {
    client.cutSoon(ANSWER_MS);
    // Whoever reads the body refuses it.
    broken.req.emit('error', error);
  } else {
    const method = broken?.req.method ?? methodIn(error);
    const answer = rawProblem(PROBLEM_OF_NODE_CODE[code] ?? NO_REQUEST);
    client.dismiss(method === 'HEAD' ? answer.slice(0, answer.indexOf('\r\n\r\n') + 4) : answer);
  }
}

/** The method of the request that cannot be read, if it came with what is wrong. */
function methodIn({ rawPacket, bytesParsed }: ClientError): string | undefined {
  if (!Buffer.isBuffer(rawPacket)) return undefined;
  return LAST_METHOD.exec(rawPacket.toString('latin1', 0, bytesParsed))?.groups?.method;
}

/** An answer, as it goes over a connection that is closed then, where there is no response to write it to. */
export function rawProblem(
  problem: Problem,
  headers: readonly (readonly [name: string, value: string])[] = [],
): string {
  const { status } = problem;
  const body = problemDocument(problem);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
