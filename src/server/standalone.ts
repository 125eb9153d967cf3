import type { Server as TlsServer } from 'node:tls';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { InvalidRequestError, MethodNotAllowedError, ServerClosingError } from '../wire/errors.ts';
import { METHODS } from '../wire/protocol.ts';
import { sendFailure } from './failure.ts';
import { limitConnections } from './limits/address-connections.ts';
import { answerClientError, refuseInWords } from './node/bare-refusals.ts';
import { ServerSockets } from './node/server-sockets.ts';
import type { TlsCertificates } from './node/tls-certificates.ts';
import { httpfstream } from './plugin.ts';
import type { HttpfstreamOptions } from './settings.ts';

/** Time for a client to send its whole request head. */
const HEADERS_TIMEOUT_MS = 10_000;

/**
 * Longest request line and headers together: 32 KiB of cookies, as some single
 * sign-ons have them, beside a long path.
 */
const MAX_HEAD_BYTES = 64 * 1024;

/** How often Node checks for clients that exceed it. */
const CONNECTIONS_CHECK_MS = 2000;

/** Time for downloads to end once the server closes. */
const DOWNLOADS_CLOSE_MS = 2000;

/** Health check for monitoring. A file at this path is not served. */
const HEALTH_PATH = '/-/health';

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
}

/** In the place of the compilers of schemas, which would take a sixth of the start to load. */
function noSchemas(): never {
  throw new Error('no route has a schema');
}

/** Makes the server that `httpfstream-server` runs: the plugin, at `/`, and `/-/health`. Call `listen` on it. */
export async function createStandaloneServer({
  logger,
  trustProxy = [],
  certificates,
  maxConnections,
  maxConnectionsPerAddress = 1024,
  ...options
}: StandaloneOptions): Promise<FastifyInstance> {
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
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    trustProxy: trustProxy.length > 0 && [...trustProxy],
    clientErrorHandler: answerClientError,
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
  limitConnections(app, { maxConnections, maxConnectionsPerAddress, trustProxy });
  // All requests are for the plugin.
  ServerSockets.of(app.server, app.log).allowHalfOpen(() => true);
  await app.register(async (scope) => {
    // The plugin has every URL, so what finds no route has a method that Fastify does not know. Within its scope, so
    // that its gate comes first.
    scope.setNotFoundHandler(({ method }) => {
      throw new MethodNotAllowedError(`${method} is not supported here`);
    });
    await httpfstream(scope, options);
    answerHealth(scope);
  });
  let closingAt = 0;
  app.addHook('preClose', async () => {
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
  return app;
}

/**
 * Answers `ok` to whoever asks whether the server is up, without a look at the
 * disk, which may be slow without that; 503 once it closes.
 */
function answerHealth(app: FastifyInstance): void {
  const isRead = (method: string) => method === 'GET' || method === 'HEAD';
  app.route({
    method: ['GET', 'HEAD'],
    url: HEALTH_PATH,
    preHandler: refuseHandshake,
    handler: (_request, reply) => {
      if (ServerSockets.of(app.server).isDraining)
        throw new ServerClosingError('the server is shutting down');
      return reply.type('text/plain; charset=utf-8').header('cache-control', 'no-store').send('ok\n');
    },
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
