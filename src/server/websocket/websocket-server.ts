import http, { type Server } from 'node:http';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import { CLOSE_PATIENCE_MS } from '../keep-alive.ts';

const OPTIONS = {
  closeTimeout: CLOSE_PATIENCE_MS,
  // Followers have nothing to say, and appenders' messages do not pass through ws.
  maxPayload: 1024,
  skipUTF8Validation: true,
  // All that are open are in groups of ours, which end them when the server closes.
  clientTracking: false,
};

/** Those for which somebody passes handshakes on, however often the plugin is mounted on them. */
const served = new WeakSet<Server>();

/** Registers `@fastify/websocket`, unless the application has. */
export async function registerWebSockets(app: FastifyInstance): Promise<void> {
  const isServed = served.has(app.server);
  served.add(app.server);
  if (app.hasDecorator('websocketServer')) return;
  // Each listens to a server, and would route every handshake once more: the second one to a server without any.
  const options = isServed ? { ...OPTIONS, server: http.createServer() } : OPTIONS;
  await app.register(fastifyWebsocket, { options });
}
