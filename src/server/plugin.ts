import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { Core } from '../core/core.ts';
import { StreamQuery } from '../wire/durable-streams.ts';
import { MethodNotAllowedError, UpgradeRequiredError } from '../wire/errors.ts';
import { METHODS } from '../wire/protocol.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { allowOrigins, tellMethods } from './access/cors.ts';
import { Gate } from './access/gate.ts';
import { PagePaths } from './access/page-paths.ts';
import { ConnectionGroup } from './connection-group.ts';
import { StreamResponder } from './durable-streams/stream-responder.ts';
import { sendFailure } from './failure.ts';
import { assertWriteConditions } from './files/file-response.ts';
import { ResourceResponder } from './files/resource-responder.ts';
import { HttpAppendResponder, isHttpAppend } from './http/append-responder.ts';
import { HttpFollowResponder } from './http/follow-responder.ts';
import { allowSilence, KeepAlive } from './keep-alive.ts';
import { Continues } from './node/continues.ts';
import { RequestQueue } from './node/request-queue.ts';
import { ServerSockets } from './node/server-sockets.ts';
import { allowAnyType } from './request/headers.ts';
import { assertParameters } from './request/query-parameters.ts';
import { assertLength, assertNoBody } from './request/request-body.ts';
import { isHandshake, resourceOf, verbOf } from './request/request-target.ts';
import { hasParameter, isBelow } from './request/target.ts';
import { type HttpfstreamOptions, normaliseOptions } from './settings.ts';
import { v2Dialect } from './websocket/dialects.ts';
import { dialectOf, registerWebSockets, WebSocketUpgrades } from './websocket/upgrades.ts';

const STREAM_PARAMETERS: ReadonlySet<string> = new Set(Object.values(StreamQuery));

/**
 * The server as a Fastify plugin: `app.register(httpfstream, { root, prefix })`.
 *
 * It serves every URL below its prefix and needs `@fastify/websocket`: if the
 * application has registered that before, it is used as it is, otherwise the
 * plugin registers it for itself.
 *
 * `app.close()` closes in this order: new appends are refused with 503;
 * appenders are told (close code 1012, legacy ones 1001; 503 over plain HTTP), have
 * `closeTimeoutMs` to go and are cut off; followers get what is committed and are told
 * (1012, legacy ones 1011; a broken connection over plain HTTP), have `closeTimeoutMs` to take it and
 * are cut off; files are synced and closed; another server may have the root.
 *
 * After a server that was killed the registration takes as long as its journal needs to be made
 * good, which is told every second: Fastify's `pluginTimeout` (10 s) must not be in the way, so set it to 0.
 * If it fails nothing is lost, and it can be tried again.
 *
 * @throws {InvalidRootError} at registration, when the root cannot be used
 * @throws {RootInUseError} at registration, when another server uses the root
 */
export async function httpfstream(app: FastifyInstance, options: HttpfstreamOptions): Promise<void> {
  const settings = normaliseOptions(options);
  const core = await Core.open(settings.root, {
    ...settings,
    report: (message, detail) => app.log.warn(detail, message),
  });
  const appends = new ConnectionGroup();
  const follows = new ConnectionGroup();
  const { keepAliveMs } = settings;
  const { log, prefix } = app;
  const keepAlive = new KeepAlive(Math.ceil(keepAliveMs / 2));
  const continues = Continues.of(app.server);
  const sockets = ServerSockets.of(app.server, log);

  const pages = new PagePaths();
  const reads = new ResourceResponder(core, { prefix, index: settings.index, pages });
  const httpFollows = new HttpFollowResponder(core, { log, connections: follows, keepAlive });
  const httpAppends = new HttpAppendResponder({
    ...settings,
    core,
    connections: appends,
    continues,
    prefix,
  });
  const streams = new StreamResponder({
    ...settings,
    resources: core.resources,
    streams: core.streams,
    prefix,
    core,
    sse: { log, connections: follows, keepAlive, keepAliveMs },
  });
  const upgrades = new WebSocketUpgrades(
    { core, connections: appends, keepAlive, keepAliveMs },
    { log, connections: follows, keepAlive, keepAliveMs },
  );

  // Before @fastify/websocket, whose own hook would close everybody without a word.
  app.addHook('preClose', async () => {
    sockets.refuseUpgrades();
    const closed = core.close();
    // Whoever waits for it comes later.
    closed.catch(ignore);
    appends.shutDown();
    follows.shutDown();
    await appends.drain(settings.closeTimeoutMs);
    await follows.drain(settings.closeTimeoutMs);
    sockets.shutDown();
    await closed;
  });
  await registerWebSockets(app);
  app.websocketServer.on('connection', (_websocket, request) => sockets.release(request.socket));
  app.setErrorHandler(sendFailure);
  const gate = new Gate({ ...settings, pages });
  app.addHook('onRequest', (request, reply, done) => {
    gate.check(request, reply);
    // Appends are told to go on when what they want is held.
    if (!isHttpAppend(request.raw, prefix)) continues.release(request.raw, reply.raw);
    tellMethods(request, reply);
    allowAnyType(request);
    done();
  });
  await allowOrigins(app, settings.corsOrigins);
  continues.hold(
    (request) => isHttpAppend(request, prefix) || (isBelow(prefix, request.url) && gate.mayRefuse(request)),
  );
  sockets.allowHalfOpen(({ url }) => isBelow(prefix, url));
  // Whoever wants the body reads it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  /**
   * Decides before the upgrade: what is not opened here is answered as plain
   * HTTP. The last hook before the handler, so that whatever an application's
   * own hooks refuse has opened nothing.
   */
  function preHandler(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    if (request.ws) assertNoBody(request.headers);
    assertParameters(request);
    const isPlain = !request.ws && verbOf(request) !== 'APPEND' && dialectOf(request) !== v2Dialect;
    if (isPlain) done();
    else upgrade(request, reply).then(() => done(), done);
  }

  async function upgrade(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const path = resourceOf(request);
    if (verbOf(request) === 'APPEND') await upgrades.openAppend(request, path);
    else if (isHandshake(request)) await upgrades.openFollow(request, path);
    else if (dialectOf(request) === v2Dialect) {
      throw new UpgradeRequiredError('a proxy on the way does not pass WebSocket handshakes');
    }

    if (upgrades.has(request)) {
      // No other subprotocol and no extension is spoken, whatever else the application's WebSockets may speak.
      request.raw.headers['sec-websocket-protocol'] = dialectOf(request).subprotocol;
      request.raw.headers['sec-websocket-extensions'] = undefined;
      const { socket } = request.raw;
      // Attached to the socket, the response would live as long as the connection does.
      reply.raw.detachSocket(socket);
      // The answer goes out together with what is told at once, by the handler below, before the next tick.
      socket.cork();
      process.nextTick(() => socket.uncork());
    } else if (request.ws) {
      reply.header('connection', 'close');
      // A follower may read as slowly as it likes.
      allowSilence(request.raw.socket);
      // Node has let go of the socket for the upgrade and no longer passes this on.
      request.raw.socket.on('drain', () => reply.raw.emit('drain'));
      await read(request, reply, path);
    }
  }

  /** Answers GET and HEAD. */
  async function read(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
  ): Promise<FastifyReply> {
    const isFollow = verbOf(request) === 'FOLLOW';
    if (request.method === 'GET' && !isHandshake(request)) {
      if (isFollow) return httpFollows.send(request, reply, path);
      if (await httpFollows.sendRange(request, reply, path)) return reply;
    }
    if (!isFollow && isStreamRead(request)) return streams.send(request, reply, path);
    return reads.send(request, reply, path);
  }

  /** Answers the other methods. */
  async function write(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (request.method === 'OPTIONS') return reply.code(204).send();
    if (request.method !== 'DELETE') assertLength(request.raw);
    assertParameters(request);
    const path = resourceOf(request);
    await assertWriteConditions(request, path, core.resources);
    if (verbOf(request) === 'APPEND') return httpAppends.send(request, reply, path);
    return streams.send(request, reply, path);
  }

  app.route({
    method: 'GET',
    url: '/*',
    exposeHeadRoute: false,
    preHandler,
    handler: (request, reply) => read(request, reply, resourceOf(request)),
    wsHandler: (websocket: WebSocket, request: FastifyRequest): void => {
      // In place of @fastify/websocket's listener, which would keep the request for as long; ws closes by itself.
      websocket.removeAllListeners('error').on('error', ignore);
      upgrades.start(request, websocket);
    },
  });
  app.route({
    method: 'HEAD',
    url: '/*',
    preHandler,
    handler: (request, reply) => read(request, reply, resourceOf(request)),
  });
  const isRead = (method: string) => method === 'GET' || method === 'HEAD';
  // Where CORS has taken it, it answers by itself.
  const hasOptions = app.hasRoute({ method: 'OPTIONS', url: `${prefix}/*` });
  const methods = METHODS.filter((method) => !isRead(method) && !(method === 'OPTIONS' && hasOptions));
  app.route({
    method: methods,
    url: '/*',
    preHandler: refuseUpgrade,
    handler: (request, reply) =>
      RequestQueue.of(request.raw.socket, app.server).inTurn(() => write(request, reply)),
  });
  const others = app.supportedMethods.filter((method) => !METHODS.includes(method));
  app.route({ method: others, url: '/*', onRequest: refuseMethod, handler: refuseMethod });
}

/** Whether GET or HEAD is one of the Durable Streams protocol. */
function isStreamRead(request: FastifyRequest): boolean {
  return hasParameter(request, STREAM_PARAMETERS);
}

function ignore(): void {}

/** Node has let go of a connection that asked for a WebSocket, and reads no body from it. */
async function refuseUpgrade(request: FastifyRequest): Promise<void> {
  if (request.ws) await refuseMethod(request);
}

async function refuseMethod(request: FastifyRequest): Promise<never> {
  throw new MethodNotAllowedError(`${request.method} is not supported here`);
}
