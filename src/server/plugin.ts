import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { Core } from '../core/core.ts';
import {
  MethodNotAllowedError,
  ResourceGoneError,
  ResourceNotFoundError,
  StorageBusyError,
} from '../wire/errors.ts';
import { ASSETS_PATH } from '../wire/page.ts';
import { METHODS } from '../wire/protocol.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { allowOrigins, announceMethods } from './access/cors.ts';
import { Gate } from './access/gate.ts';
import { PagePaths } from './access/page-paths.ts';
import { ActiveConnections } from './active-connections.ts';
import { StreamResponder } from './durable-streams/stream-responder.ts';
import { sendFailure } from './failure.ts';
import { assertWriteConditions } from './files/file-response.ts';
import { INDEX_NAME, ResourceResponder } from './files/resource-responder.ts';
import { isHttpAppend } from './http/append-responder.ts';
import { HttpResponder } from './http/http-responder.ts';
import { ClientLimits } from './limits/client-limits.ts';
import { descriptorLimit, openStreamsWithin } from './node/connections/descriptor-limit.ts';
import { Continues } from './node/requests/continues.ts';
import { RequestQueue } from './node/requests/request-queue.ts';
import { ServerSockets } from './node/server-sockets.ts';
import type { RelayResponder } from './relay/relay-responder.ts';
import { allowAnyType } from './request/headers.ts';
import { asksForPage } from './request/page-request.ts';
import { assertParameters } from './request/query-parameters.ts';
import { assertLength, assertNoBody } from './request/request-body.ts';
import { resourceOf } from './request/request-target.ts';
import { isBelow } from './request/target.ts';
import { permitToWrite } from './rights/permits.ts';
import { keepPrivate } from './rights/private-answers.ts';
import { Rights } from './rights/rights.ts';
import { type HttpfstreamOptions, type LimitOptions, normaliseOptions } from './settings.ts';
import { PageRequests } from './viewer/page-requests.ts';
import { Viewer } from './viewer/viewer.ts';
import { registerWebSockets, WebSocketUpgrades } from './websocket/upgrades.ts';

/** Answers the requests of one protocol. */
interface Responder {
  /** Answers a request. Resolves when that is done, or to false if the request is not one of this protocol. */
  send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean>;
}

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
 * After a server that was killed the registration takes as long as its journal needs to be
 * replayed, which is logged every second: Fastify's `pluginTimeout` (10 s) must not be in the way, so set it to 0.
 * If it fails nothing is lost, and it can be tried again.
 *
 * @throws {InvalidRootError} at registration, when the root cannot be used
 * @throws {RootInUseError} at registration, when another server uses the root, still, after `waitRootMs`
 */
export async function httpfstream(app: FastifyInstance, options: HttpfstreamOptions): Promise<void> {
  await mount(app, options);
}

/** What is served. */
export interface Mounted {
  core: Core;
  /** Whether it is asked who may do what. */
  hasRights: boolean;
  /** Has other limits count from now on. @throws {TypeError} when they make no sense */
  changeLimits: (changed: LimitOptions) => void;
}

/**
 * As {@link httpfstream}, for whoever wants to know what the server does.
 *
 * @param beforeRelease called when it closes, before another server may have the root
 */
export async function mount(
  app: FastifyInstance,
  options: HttpfstreamOptions,
  beforeRelease?: () => Promise<unknown>,
): Promise<Mounted> {
  const { log, prefix } = app;
  const settings = { ...normaliseOptions(options), prefix };
  const core = await Core.open(settings.root, {
    ...settings,
    maxOpenStreams: openStreamsWithin(descriptorLimit()),
    report: (message, detail) => log.warn(detail, message),
  });
  const appends = new ActiveConnections(settings.keepAliveMs);
  const follows = new ActiveConnections(settings.keepAliveMs);
  const continues = Continues.of(app.server);
  const sockets = ServerSockets.of(app.server, log);
  const pages = new PagePaths();
  const viewer = settings.viewer ? new Viewer(prefix) : undefined;
  const pageRequests = settings.viewer ? new PageRequests(core) : undefined;
  const limits = new ClientLimits(settings, log);

  const relay = await openRelay();
  const upgrades = new WebSocketUpgrades(core, appends, follows, log);
  /**
   * In the order in which they are asked. They are not plugins with routes of their own, since they share URLs and
   * methods: the headers and parameters of a request decide which of them it is for, and, with a range that grows,
   * whether somebody is appending. Fastify could route only some of that, by constraints on the whole application.
   */
  const responders: readonly Responder[] = [
    new HttpResponder(core, appends, follows, app, settings),
    new StreamResponder(core, follows, log, settings),
    ...(pageRequests === undefined ? [] : [pageRequests]),
    new ResourceResponder(core, {
      ...settings,
      ...{ pages, viewer },
      relayed: settings.upstreams.map(({ prefix: below }) => below),
    }),
  ];

  // Before @fastify/websocket, whose own hook would close all WebSockets without a code.
  app.addHook('preClose', async () => {
    sockets.refuseUpgrades();
    rights?.close();
    const closed = core.close(beforeRelease);
    // Its failure is for the await below.
    closed.catch(ignore);
    const stopped = relay?.close();
    const searched = pageRequests?.close();
    appends.shutDown();
    follows.shutDown();
    await appends.drain(settings.closeTimeoutMs);
    await follows.drain(settings.closeTimeoutMs);
    sockets.shutDown();
    await stopped;
    await searched;
    await closed;
  });
  app.addHook('onClose', async () => relay?.disconnect());
  await registerWebSockets(app);
  app.websocketServer.on('connection', (_websocket, request) => sockets.release(request.socket));
  app.setErrorHandler<FastifyError>((error, request, reply) =>
    viewer?.concerns(error, request)
      ? viewer.sendFailure(error, request, reply)
      : sendFailure(error, request, reply),
  );
  const gate = new Gate({ ...settings, pages });
  const { access, authorize } = settings;
  const rights =
    access === undefined && authorize === undefined
      ? undefined
      : new Rights({
          ...{ access, authorize, prefix },
          indexName: settings.index ? INDEX_NAME : undefined,
          isElsewhere: (path) => relay?.covers(path) === true,
          ...{ limits, log, sessions: core.sessions },
        });
  app.addHook('onRequest', (request, reply, done) => {
    gate.check(request, reply);
    announceMethods(request, reply);
    allowAnyType(request);
    done();
  });
  await allowOrigins(app, settings.corsOrigins);
  // After that: a page must be able to see why it was refused.
  app.addHook('onRequest', (request, reply, done) => {
    const letIn = () => {
      // The health of the server is everybody's.
      if ((request.params as { '*'?: string })['*'] !== undefined) limits.countRequest(request);
      // An append gets it when it has its lease.
      if (!isHttpAppend(request.raw, prefix)) continues.send(request.raw, reply.raw);
      done();
    };
    const deciding = rights?.check(request, reply);
    if (deciding === undefined) letIn();
    else deciding.then(letIn).catch(done);
  });
  if (rights !== undefined) app.addHook('onSend', keepPrivate);
  continues.defer(
    (request) =>
      isHttpAppend(request, prefix) ||
      (isBelow(prefix, request.url) && (rights !== undefined || gate.mayRefuse(request))),
  );
  sockets.allowHalfOpen(({ url }) => isBelow(prefix, url));
  // The body is read by whoever needs it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  /** Loaded if it is needed: a server without it has nothing of it. */
  async function openRelay(): Promise<RelayResponder | undefined> {
    if (settings.upstreams.length === 0) return undefined;
    const { RelayResponder } = await import('./relay/relay-responder.ts');
    const responder = new RelayResponder(core, appends, app, settings);
    // Nobody waits for that.
    void responder.findCopies();
    return responder;
  }

  /**
   * Decides before the upgrade: what is not opened here is answered as plain
   * HTTP. The last hook before the handler, so that whatever an application's
   * own hooks refuse has opened nothing.
   */
  function preHandler(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    if (request.ws) assertNoBody(request.headers);
    assertParameters(request);
    if (upgrades.concerns(request)) upgrade(request, reply).then(() => done(), done);
    else done();
  }

  function resourceAt(request: FastifyRequest): ResourcePath {
    return resourceOf(request, (path) => relay?.covers(path) === true);
  }

  async function upgrade(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const path = resourceAt(request);
    const isHere = await answerBelow(request, reply, path, async () => {
      const isOpen = await upgrades.open(request, reply, path);
      // The route's handler is not called for a request that asks for a WebSocket.
      if (!isOpen && request.ws) await answerHere(request, reply, path);
    });
    // Until it is sent, the route would take the connection for a WebSocket.
    if (!isHere && !reply.sent) await reply;
  }

  /** Answers with what comes from an upstream, or is here. */
  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const path = resourceAt(request);
    const isAsked = viewer !== undefined && asksForPage(request);
    const isPage = isAsked && (await relay?.isShownHere(request, path)) === true;
    if (isPage && (await viewer.sendElsewhere(request, reply, path))) return reply;
    await answerBelow(request, reply, path, () => answerHere(request, reply, path));
    return reply;
  }

  /**
   * Has a relay answer, or a protocol if it is here. What a relay has found here may be dropped before it is opened: that it
   * is gone from here says nothing of what is there, where who comes again is told.
   *
   * @param here answers with what is here
   * @returns false when the relay has answered
   * @throws {StorageBusyError} when it was dropped
   */
  async function answerBelow(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    here: () => Promise<unknown>,
  ): Promise<boolean> {
    if (await relay?.send(request, reply, path)) return false;
    try {
      await here();
      return true;
    } catch (error) {
      const isMissing = error instanceof ResourceGoneError || error instanceof ResourceNotFoundError;
      if (!isMissing || relay?.covers(path) !== true) throw error;
      throw new StorageBusyError('what was kept of this is being replaced', { cause: error });
    }
  }

  async function answerHere(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
  ): Promise<FastifyReply> {
    for (const responder of responders) {
      if (await responder.send(request, reply, path)) break;
    }
    return reply;
  }

  /** Answers other methods than GET and HEAD. */
  async function write(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (request.method === 'OPTIONS') return reply.code(204).send();
    if (request.method !== 'DELETE') assertLength(request.raw);
    assertParameters(request);
    const path = resourceAt(request);
    if (await relay?.send(request, reply, path)) return reply;
    await assertWriteConditions(request, permitToWrite(request, path), core.resources);
    return answerHere(request, reply, path);
  }

  const config = { pageScripts: settings.pageScripts };
  const isRead = (method: string) => method === 'GET' || method === 'HEAD';
  app.route({
    method: 'GET',
    url: '/*',
    config,
    exposeHeadRoute: false,
    preHandler,
    handler: answer,
    wsHandler: (websocket: WebSocket, request: FastifyRequest) => upgrades.start(request, websocket),
  });
  app.route({
    method: 'HEAD',
    url: '/*',
    config,
    preHandler,
    handler: answer,
  });
  if (viewer !== undefined) {
    const url = `${ASSETS_PATH}/:name`;
    app.route<{ Params: { name: string } }>({
      method: 'GET',
      url,
      handler: (request, reply) => viewer.sendAsset(request, reply, request.params.name),
    });
    app.route({
      method: METHODS.filter((method) => !isRead(method) && method !== 'OPTIONS'),
      url,
      handler: refuseMethod,
    });
  }
  // Where CORS is registered, it has a route of its own.
  const hasOptions = app.hasRoute({ method: 'OPTIONS', url: `${prefix}/*` });
  const methods = METHODS.filter((method) => !isRead(method) && !(method === 'OPTIONS' && hasOptions));
  app.route({
    method: methods,
    url: '/*',
    config,
    preHandler: refuseUpgrade,
    handler: (request, reply) =>
      RequestQueue.of(request.raw.socket, app.server).inTurn(() => write(request, reply)),
  });
  const others = app.supportedMethods.filter((method) => !METHODS.includes(method));
  app.route({ method: others, url: '/*', onRequest: refuseMethod, handler: refuseMethod });
  return {
    core,
    hasRights: rights !== undefined,
    changeLimits: (changed) => {
      const fresh = normaliseOptions({ root: options.root, ...changed });
      core.limits.change(fresh.limits);
      limits.change(fresh);
    },
  };
}

function ignore(): void {}

/** Node has handed over a connection that asked for a WebSocket, and reads no body from it. */
async function refuseUpgrade(request: FastifyRequest): Promise<void> {
  if (request.ws) await refuseMethod(request);
}

async function refuseMethod(request: FastifyRequest): Promise<never> {
  throw new MethodNotAllowedError(`${request.method} is not supported here`);
}
