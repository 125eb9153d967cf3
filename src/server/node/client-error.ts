import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ClientSocket } from './client-socket.ts';
import { type Problem, problemDocument } from './problem.ts';

/** What Node says of what it cannot read as a request. What is not here is 400. */
const STATUS_OF_NODE_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** How long whoever reads a broken body has to answer, in milliseconds. */
const ANSWER_MS = 2000;

/**
 * Ends a connection on which something came that is no request, or that breaks
 * off: with an answer, after those to what was asked before, and in any case soon.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  const client = ClientSocket.of(socket);
  const { code = '' } = error;
  // Nobody is there any more.
  if (socket.destroyed || code === 'ECONNRESET') {
    socket.destroy();
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
    const status = STATUS_OF_NODE_CODE[code] ?? 400;
    const detail = status === 400 ? 'this is not a request of HTTP/1.1' : String(STATUS_CODES[status]);
    client.dismiss(rawProblem({ status, code: 'HFS_INVALID_REQUEST', detail }));
  }
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
