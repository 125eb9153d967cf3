import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ExpectationFailedError } from '../../errors.ts';

/**
 * Refuses requests that expect what nobody knows (RFC 9110, section 10.1.1) as
 * any other is refused. Node would by itself, without a word of why.
 */
export function refuseExpectations(app: FastifyInstance): void {
  const unknown = new WeakSet<IncomingMessage>();
  app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    unknown.add(request);
    app.server.emit('request', request, response);
  });
  app.addHook('onRequest', async ({ raw }) => {
    if (unknown.has(raw)) throw new ExpectationFailedError('nothing but 100-continue can be expected here');
  });
}
