import type { Server as TlsServer } from 'node:tls';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { MethodNotAllowedError, ResourceNotFoundError } from '../wire/errors.ts';
import { METHODS } from '../wire/protocol.ts';
import { Gate } from './access/gate.ts';
import { PagePaths } from './access/page-paths.ts';
import { sendFailure } from './failure.ts';
import { limitConnections } from './limits/address-connections.ts';
import { answerClientError, refuseInWords } from './node/bare-refusals.ts';
import { Refusals } from './node/connections/refusals.ts';
import type { TlsCertificates } from './node/connections/tls-certificates.ts';
import { ServerSockets } from './node/server-sockets.ts';
import { loggerOf, logWhenOver, requestIdOf } from './operations/access-log.ts';
import { EventLoop } from './operations/event-loop.ts';
import { OperatorPages } from './operations/operator-pages.ts';
import { PatientLook } from './operations/patient-look.ts';
import { type Mounted, mount } from './plugin.ts';
import { AnswerNumbers } from './response/answer-numbers.ts';
import type { HttpfstreamOptions, LimitOptions } from './settings.ts';

/** Time for a client to send its whole request head. */
const HEADERS_TIMEOUT_MS = 10_000;

/**
 * Longest request line and headers together: 32 KiB of cookies, as some single
 * sign-ons have them, beside a long path.
 */
const MAX_HEAD_BYTES = 64 * 1024;

/** How often Node checks for clients that exceed it. */
const CONNECTIONS_CHECK_MS = 2000;

/**
 * How many connections there may be to where the server's own pages are: enough for all who watch it, and few beside the
 * descriptors that are kept for those who are connected already.
 */
const MAX_ADMIN_CONNECTIONS = 32;

/** Time for downloads to end once the server closes. */
const DOWNLOADS_CLOSE_MS = 2000;

/** Options of the standalone server: the plugin's, and its own. */
export interface StandaloneOptions extends HttpfstreamOptions {
  /** Where it logs. */
  logger: FastifyBaseLogger;
  /**
   * Proxies whose word counts of where and how a client has asked (`X-Forwarded-Host`, `-Proto`, `-For`): addresses,
   * networks as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`. Default none.
   */
  trustProxy?: readonly string[];
  /** Certificates, for a server that speaks TLS. Default: it does not. */
  certificates?: TlsCertificates;
  /** How many connections there may be; then 503. Default: half of the process's descriptors, less 256. */
  maxConnections?: number;
  /**
   * How many connections an address may have (of IPv6 a /64), but for this machine's own; then 429. Of a proxy that is
   * believed requests are counted, for the addresses that it says. Default 1,024.
   */
  maxConnectionsPerAddress?: number;
  /** Whether each request is logged, in one line, when it is over. Default false. */
  accessLog?: boolean;
  /** How many lines of the log were dropped. Default: none. */
  droppedLines?: () => number;
  /** Whether all that can be read again counts as it was read last. Default: it does. */
  isConfigurationCurrent?: () => boolean;
}

function noSchemas(): never {
  throw new Error('no route has a schema');
}

/** In the place of the compilers of schemas, which would take a sixth of the start to load. */
const WITHOUT_SCHEMAS = { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } };

/** Makes the server that `httpfstream-server` runs: the plugin, at `/`, and its own pages. Call `listen` on it. */
export async function createStandaloneServer(options: StandaloneOptions): Promise<FastifyInstance> {
  return (await createServers(options)).app;
}

/** What `httpfstream-server` listens with. */
export interface Servers {
  app: FastifyInstance;
  /**
   * Has the server's own pages, for whoever can reach it. It is closed with the other one, as late as can be: just before
   * the next server may have the root, and listen.
   */
  admin: FastifyInstance;
  /** Has other limits count from now on. @throws {TypeError} when they make no sense */
  changeLimits: (changed: AllLimits) => void;
}

/** How much there may be of everything, connections included. */
export type AllLimits = LimitOptions & Pick<StandaloneOptions, 'maxConnections' | 'maxConnectionsPerAddress'>;

/** As {@link createStandaloneServer}, with a second one for whoever runs it. */
export async function createServers({
  logger,
  trustProxy = [],
  certificates,
  maxConnections,
  maxConnectionsPerAddress,
  accessLog = false,
  droppedLines = () => 0,
  isConfigurationCurrent = () => true,
  ...options
}: StandaloneOptions): Promise<Servers> {
  const protocol = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    maxHeaderSize: MAX_HEAD_BYTES,
    // Else Node itself refuses requests without one.
    requireHostHeader: false,
  };
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: WITHOUT_SCHEMAS,
    trustProxy: trustProxy.length > 0 && [...trustProxy],
    clientErrorHandler: answerClientError,
    genReqId: requestIdOf,
    childLoggerFactory: loggerOf,
    frameworkErrors: (error, request, reply) => sendFailure(error, request, reply),
    // Recovery after a server that was killed takes the time that it takes.
    pluginTimeout: 0,
    ...(certificates === undefined
      ? { http: protocol }
      : { https: { ...protocol, ...certificates.options, handshakeTimeout: HEADERS_TIMEOUT_MS } }),
  }) as FastifyInstance;
  if (certificates !== undefined) {
    certificates.serve(app.server as unknown as TlsServer);
    app.addHook('onClose', async () => certificates.close());
  }
  // Also for requests without a route, and those that are refused before routing.
  app.setErrorHandler(sendFailure);
  refuseInWords(app, METHODS);
  // All requests are for the plugin.
  ServerSockets.of(app.server, app.log).allowHalfOpen(() => true);
  // First: what is refused is logged, too.
  if (accessLog) {
    app.addHook('onRequest', (request, reply, done) => {
      logWhenOver(request, reply);
      done();
    });
  }
  const changeConnections = limitConnections(app, { maxConnections, maxConnectionsPerAddress, trustProxy });
  let isClosing = false;
  let changeInPlugin: Mounted['changeLimits'] = () => {};
  const admin = createAdminServer(logger, options.allowedHosts);
  await app.register(async (scope) => {
    // The plugin has every URL, so what finds no route has a method that Fastify does not know. Within its scope, so
    // that its gate comes first.
    scope.setNotFoundHandler(({ method }) => {
      throw new MethodNotAllowedError(`${method} is not supported here`);
    });
    const { core, hasRights, changeLimits } = await mount(scope, options, () => admin.close());
    changeInPlugin = changeLimits;
    const pages = new OperatorPages({
      ...{ core, droppedLines, isConfigurationCurrent },
      disk: new PatientLook(() => core.limits.space.ask()),
      traffic: ServerSockets.of(app.server).traffic,
      refusals: Refusals.of(app.server),
      answers: AnswerNumbers.ofServer(app.server),
      loop: new EventLoop(),
      startedMs: Date.now(),
      isListening: () => app.server.listening,
      isClosing: () => isClosing || ServerSockets.of(app.server).isDraining,
    });
    pages.serveHealth(scope);
    // Without rights everybody would see them who reaches the server.
    if (hasRights) pages.serveInternals(scope, 'admin');
    pages.serveHealth(admin);
    pages.serveInternals(admin);
    app.addHook('onClose', async () => {
      // If what it is about could not be closed.
      await admin.close();
      pages.close();
    });
  });
  let closingAt = 0;
  app.addHook('preClose', async () => {
    isClosing = true;
    closingAt = performance.now();
  });
  // After that of the plugin, which ends appends and followers in order: what is left then is cut, so that closing is
  // bounded.
  await app.register(async (last) => {
    last.addHook('preClose', async () => {
      const elapsedMs = performance.now() - closingAt;
      await ServerSockets.of(app.server).close(Math.max(0, DOWNLOADS_CLOSE_MS - elapsedMs));
    });
  });
  return {
    app,
    admin,
    changeLimits: (changed) => {
      changeInPlugin(changed);
      changeConnections(changed);
    },
  };
}

/** A server for pages of its own, that only whoever runs it is to reach. */
function createAdminServer(logger: FastifyBaseLogger, allowedHosts: readonly string[] = []): FastifyInstance {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: WITHOUT_SCHEMAS,
    forceCloseConnections: true,
    // Who sends nothing must not have the place of somebody who asks.
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CONNECTIONS_CHECK_MS },
  });
  app.server.maxConnections = MAX_ADMIN_CONNECTIONS;
  app.setErrorHandler(sendFailure);
  const gate = new Gate({ allowedHosts, corsOrigins: [], pages: new PagePaths() });
  app.addHook('onRequest', (request, reply, done) => {
    gate.check(request, reply);
    done();
  });
  app.setNotFoundHandler(() => {
    throw new ResourceNotFoundError('there is nothing here');
  });
  return app;
}
