import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { FeedRegistry } from '../core/feed-registry.ts';
import { MethodNotAllowedError } from '../errors.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import { Root } from '../storage/root.ts';
import { AppendConnection } from './append-connection.ts';
import { ConnectionGroup } from './connection-group.ts';
import { sendFailure } from './failure.ts';
import { CLOSE_PATIENCE_MS, FollowConnection } from './follow-connection.ts';
import { KeepAlive } from './keep-alive.ts';
import { asksForWebSocket, assertHandshake, resourceOf, verbOf } from './request-target.ts';
import { ResourceResponder } from './resource-response.ts';
import { type HttpfstreamOptions, normaliseOptions } from './settings.ts';
import { UpgradeSockets } from './upgrade-sockets.ts';

const WEBSOCKET_OPTIONS = {
  closeTimeout: CLOSE_PATIENCE_MS,
  // Followers have nothing to say, and appenders' messages do not pass through ws.
  maxPayload: 1024,
  skipUTF8Validation: true,
};

/**
 * The server as a Fastify plugin: `app.register(httpfstream, { root, prefix })`.
 *
 * It serves every URL below its prefix and needs `@fastify/websocket`: if the
 * application has registered that before, it is used as it is, otherwise the
 * plugin registers it for itself.
 *
 * `app.close()` closes in this order: new appends are refused with 503;
 * appenders are told (close code 1001), have `closeTimeoutMs` to go and are cut
 * off; followers get what is committed and are told (1001), have
 * `closeTimeoutMs` to take it and are cut off; files are synced and closed.
 *
 * @throws {InvalidRootError} at registration, when the root cannot be used
 */
export async function httpfstream(app: FastifyInstance, options: HttpfstreamOptions): Promise<void> {
  const settings = normaliseOptions(options);
  const root = await Root.open(settings.root);
  const registry = new FeedRegistry(root);
  const appends = new ConnectionGroup<AppendConnection>();
  const follows = new ConnectionGroup<FollowConnection>();
  const keepAlive = new KeepAlive(settings.keepAliveMs);
  const responder = new ResourceResponder(root, registry, app.prefix);
  const followContext = { log: app.log, connections: follows, keepAlive, keepAliveMs: settings.keepAliveMs };
  const upgrades = new WeakMap<FastifyRequest, AppendConnection | FollowConnection>();

  const upgradeSockets = UpgradeSockets.of(app.server);

  // Before @fastify/websocket, whose own hook would close everybody without a word.
  app.addHook('preClose', async () => {
    upgradeSockets.refuse();
    const closed = registry.close();
    for (const connection of appends) connection.shutDown();
    await appends.drain(settings.closeTimeoutMs);
    await follows.drain(settings.closeTimeoutMs);
    upgradeSockets.terminate();
    await closed;
  });
  if (!app.hasDecorator('websocketServer')) {
    await app.register(fastifyWebsocket, { options: WEBSOCKET_OPTIONS });
  }
  app.websocketServer.on('connection', (_websocket, request) => upgradeSockets.release(request.socket));
  app.setErrorHandler(sendFailure);

  async function openAppend(request: FastifyRequest, resource: ResourcePath): Promise<void> {
    assertHandshake(request);
    const context = { registry, connections: appends, maxMessageBytes: settings.maxMessageBytes };
    const connection = new AppendConnection(resource, request.raw.socket, context, request.log);
    await connection.open();
    upgrades.set(request, connection);
  }

  async function openFollow(request: FastifyRequest, resource: ResourcePath): Promise<void> {
    const { identity } = await root.stat(resource);
    const feed = registry.live(identity);
    if (feed === undefined || request.raw.socket.destroyed) return;
    assertHandshake(request);
    upgrades.set(request, new FollowConnection(feed, request.raw.socket, followContext));
  }

  /**
   * Decides before the upgrade: what is not opened here is answered as plain
   * HTTP. The last hook before the handler, so that whatever an application's
   * own hooks refuse has opened nothing.
   */
  async function preHandler(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const resource = resourceOf(request);
    if (verbOf(request) === 'APPEND') await openAppend(request, resource);
    else if (asksForWebSocket(request)) await openFollow(request, resource);

    if (upgrades.has(request)) {
      // No subprotocol or extension is spoken, whatever else the application's WebSockets may speak.
      request.raw.headers['sec-websocket-protocol'] = undefined;
      request.raw.headers['sec-websocket-extensions'] = undefined;
      // Attached to the socket, the response would live as long as the connection does.
      reply.raw.detachSocket(request.raw.socket);
    } else if (request.ws) {
      reply.header('connection', 'close');
      // A follower may read as slowly as it likes.
      request.raw.socket.setTimeout(0);
      // Node has let go of the socket for the upgrade and no longer passes this on.
      request.raw.socket.on('drain', () => reply.raw.emit('drain'));
      await responder.send(request, reply, resource);
    }
  }

  function handler(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    return responder.send(request, reply, resourceOf(request));
  }

  function wsHandler(websocket: WebSocket, request: FastifyRequest): void {
    // In place of @fastify/websocket's listener, which would keep the request for as long; ws closes by itself.
    websocket.removeAllListeners('error').on('error', ignore);
    upgrades.get(request)?.start(websocket);
  }

  app.route({ method: 'GET', url: '/*', exposeHeadRoute: false, preHandler, handler, wsHandler });
  app.route({ method: 'HEAD', url: '/*', preHandler, handler });
  app.route({
    method: app.supportedMethods.filter((method) => method !== 'GET' && method !== 'HEAD'),
    url: '/*',
    onRequest: refuseMethod,
    handler: refuseMethod,
  });
}

function ignore(): void {}

async function refuseMethod(request: FastifyRequest): Promise<never> {
  throw new MethodNotAllowedError(`${request.method} is not supported here`);
}
