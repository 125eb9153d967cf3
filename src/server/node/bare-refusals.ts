import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ExpectationFailedError, HeadTooLargeError } from '../../wire/errors.ts';
import { rawProblem } from './client-error.ts';
import { ClientSocket } from './client-socket.ts';

/** More headers than this are refused: Node leaves out those beyond its limit without a word, be they conditions. */
const MAX_HEADERS = 2000;

/**
 * Refuses as any other what Node would refuse by itself, without a word of why:
 * what expects what nobody knows (RFC 9110, section 10.1.1), too many headers, tunnels.
 *
 * @param methods those that there are
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
    client.whenAnswered(() => client.dismiss(noTunnel));
  });
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    if (raw.rawHeaders.length > 2 * MAX_HEADERS) {
      throw new HeadTooLargeError(`there are more than ${MAX_HEADERS} headers`);
    }
    if (unknown.has(raw)) throw expectationFailed();
    done();
  });
}

/** For a client that expects what nobody here does. */
export function expectationFailed(): ExpectationFailedError {
  return new ExpectationFailedError('nothing but 100-continue can be expected here');
}
