import type { FastifyInstance, FastifyRequest } from 'fastify';
import { InvalidRequestError, MethodNotAllowedError } from '../wire/errors.ts';

/** Where those who watch the server ask whether it is up. What a file has there is not served. */
const HEALTH_PATH = '/-/health';

/**
 * Answers `ok` to whoever asks whether the server is up, without a look at the
 * disk, which may be slow without that; 503 once it closes.
 */
export function answerHealth(app: FastifyInstance): void {
  const isRead = (method: string) => method === 'GET' || method === 'HEAD';
  app.route({
    method: ['GET', 'HEAD'],
    url: HEALTH_PATH,
    preHandler: refuseHandshake,
    handler: (_request, reply) =>
      reply.type('text/plain; charset=utf-8').header('cache-control', 'no-store').send('ok\n'),
  });
  app.route({
    method: app.supportedMethods.filter((method) => !isRead(method)),
    url: HEALTH_PATH,
    handler: ({ method }) => {
      throw new MethodNotAllowedError(`${method} is not supported here`);
    },
  });
}

async function refuseHandshake(request: FastifyRequest): Promise<void> {
  if (request.ws) throw new InvalidRequestError('there is nothing to append to or to follow here');
}
