import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { FeedRegistry } from '../core/feed-registry.ts';
import type { FollowRequest } from '../core/request.ts';
import { MethodNotAllowedError, ResourceNotFoundError, UpgradeRequiredError } from '../errors.ts';
import { SUBPROTOCOL } from '../protocol.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import { Root } from '../storage/root.ts';
import { AppendConnection } from './append-connection.ts';
import { ConnectionGroup } from './connection-group.ts';
import type { Dialect } from './dialect.ts';
import { sendFailure } from './failure.ts';
import { CLOSE_PATIENCE_MS, FollowConnection } from './follow-connection.ts';
import { KeepAlive } from './keep-alive.ts';
import { legacyDialect } from './legacy-dialect.ts';
import { appendRequestOf, followRequestOf } from './request-query.ts';
import { asksForWebSocket, assertHandshake, resourceOf, verbOf } from './request-target.ts';
import { ResourceResponder } from './resource-response.ts';
import { type HttpfstreamOptions, normaliseOptions } from './settings.ts';
import { UpgradeSockets } from './upgrade-sockets.ts';
import { v2Dialect } from './v2-dialect.ts';

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
 * appenders are told (close code 1012, legacy ones 1001), have `closeTimeoutMs` to go and are cut
 * off; followers get what is committed and are told (1012, 1001), have
 * `closeTimeoutMs` to take it and are cut off; files are synced and closed.
 *
 * @throws {InvalidRootError} at registration, when the root cannot be used
 */
export async function httpfstream(app: FastifyInstance, options: HttpfstreamOptions): Promise<void> {
  const settings = normaliseOptions(options);
  const root = await Root.open(settings.root);
  const registry = new FeedRegistry(root, settings);
  const appends = new ConnectionGroup<AppendConnection>();
  const follows = new ConnectionGroup<FollowConnection>();
  const { keepAliveMs, maxMessageBytes } = settings;
  const keepAlive = new KeepAlive(Math.ceil(keepAliveMs / 2));
  const responder = new ResourceResponder(root, registry, app.prefix);
  const followContext = { log: app.log, connections: follows, keepAlive, keepAliveMs };
  const appendContext = { registry, connections: appends, keepAlive, keepAliveMs, maxMessageBytes };
  const upgrades = new WeakMap<FastifyRequest, AppendConnection | FollowConnection>();

  const upgradeSockets = UpgradeSockets.of(app.server);

  // Before @fastify/websocket, whose own hook would close everybody without a word.
  app.addHook('preClose', async () => {
    upgradeSockets.refuse();
    const closed = registry.close();
    for (const connection of appends) connection.shutDown();
    for (const connection of follows) connection.shutDown();
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
    const { socket } = request.raw;
    const dialect = dialectOf(request);
    const connection = new AppendConnection(resource, dialect, socket, appendContext, request.log);
    await connection.open(dialect === v2Dialect ? appendRequestOf(request) : {});
    upgrades.set(request, connection);
  }

  /** A legacy client that follows what nobody appends to gets the file, in place of an upgrade. */
  async function openLegacyFollow(request: FastifyRequest, resource: ResourcePath): Promise<void> {
    const feed = await registry.liveFeed(resource);
    if (feed === undefined || feed.endReason !== undefined || request.raw.socket.destroyed) return;
    assertHandshake(request);
    const connection = new FollowConnection(legacyDialect, request.raw.socket, followContext);
    connection.follow(feed.join(0, connection));
    upgrades.set(request, connection);
  }

  async function openFollow(request: FastifyRequest, resource: ResourcePath): Promise<void> {
    assertHandshake(request);
    const { waitMs, ...wanted } = followRequestOf(request);
    const connection = new FollowConnection(v2Dialect, request.raw.socket, followContext);
    try {
      // Finding the last lines of a large file may take longer than a handshake otherwise may.
      request.raw.socket.setTimeout(0);
      connection.follow(await registry.follow(resource, wanted, connection, connection.signal));
    } catch (error) {
      if (!(error instanceof ResourceNotFoundError) || waitMs === 0) throw error;
      void followLater(connection, resource, wanted, waitMs);
    }
    upgrades.set(request, connection);
  }

  async function followLater(
    connection: FollowConnection,
    resource: ResourcePath,
    wanted: FollowRequest,
    waitMs: number,
  ): Promise<void> {
    const deadline = performance.now() + waitMs;
    try {
      while (await registry.arrival(resource, deadline - performance.now(), connection.signal)) {
        const follower = await registry
          .follow(resource, wanted, connection, connection.signal)
          .catch(ignoreMissing);
        if (follower !== undefined) return connection.follow(follower);
      }
      connection.refuse('missing', 'the resource did not appear in time');
    } catch (error) {
      connection.fail(error);
    }
  }

  /**
   * Decides before the upgrade: what is not opened here is answered as plain
   * HTTP. The last hook before the handler, so that whatever an application's
   * own hooks refuse has opened nothing.
   */
  async function preHandler(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const resource = resourceOf(request);
    if (verbOf(request) === 'APPEND') await openAppend(request, resource);
    else if (asksForWebSocket(request)) {
      await (dialectOf(request) === v2Dialect ? openFollow : openLegacyFollow)(request, resource);
    } else if (dialectOf(request) === v2Dialect) {
      throw new UpgradeRequiredError('a proxy on the way does not pass WebSocket handshakes');
    }

    if (upgrades.has(request)) {
      // No other subprotocol and no extension is spoken, whatever else the application's WebSockets may speak.
      request.raw.headers['sec-websocket-protocol'] = dialectOf(request).subprotocol;
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

/** The dialect of a client: whether it offers the subprotocol. */
function dialectOf(request: FastifyRequest): Dialect {
  const offered = request.headers['sec-websocket-protocol']?.split(',') ?? [];
  return offered.some((name) => name.trim() === SUBPROTOCOL) ? v2Dialect : legacyDialect;
}

function ignore(): void {}

/** It was there, and is gone again. */
function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError)) throw error;
}

async function refuseMethod(request: FastifyRequest): Promise<never> {
  throw new MethodNotAllowedError(`${request.method} is not supported here`);
}
