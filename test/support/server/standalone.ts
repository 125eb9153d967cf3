import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { type TestServer, temporaryDirectory } from './server.ts';

/** Runs the standalone server on a free port, until the test is over. */
export async function startStandalone(): Promise<TestServer> {
  const root = path.join(await temporaryDirectory(), 'root');
  const app = await createStandaloneServer({ root, logger: pino({ level: 'silent' }) });
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  cutConnectionsAfterTest(app);
  const { port } = app.server.address() as AddressInfo;
  return { app, root, port, url: (urlPath) => `http://127.0.0.1:${port}${urlPath}` };
}

/** Keeps a connection that the server forgot from holding up the end of the test. */
export function cutConnectionsAfterTest(app: FastifyInstance): void {
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
}
