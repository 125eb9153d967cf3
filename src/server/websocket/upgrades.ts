import http, { type Server } from 'node:http';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import { ignoreMissing } from '../../core/preconditions.ts';
import type { FollowRequest } from '../../core/request.ts';
import { InvalidRequestError, ResourceNotFoundError, UpgradeRequiredError } from '../../wire/errors.ts';
import { SUBPROTOCOL } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { type ActiveConnections, DRAIN_TIMEOUT_MS } from '../active-connections.ts';
import { enterWaiting } from '../limits/client-limits.ts';
import { allowIdle, ClientSocket } from '../node/connections/client-socket.ts';
import { ServerSockets } from '../node/server-sockets.ts';
import { noteUpgrade } from '../operations/access-log.ts';
import { appendRequestOf, asksForStatus, followRequestOf, isWatch } from '../request/query-parameters.ts';
import { assertHandshake, isHandshake, verbOf } from '../request/request-target.ts';
import { noteFirstByte } from '../response/answer-numbers.ts';
import { admissionOf } from '../rights/admission.ts';
import { ActivityReports } from './activity-reports.ts';
import { AppendConnection } from './append-connection.ts';
import { type Dialect, dialectOf, legacyDialect, v2Dialect } from './dialects.ts';
import { DirectoryConnection } from './directory-connection.ts';
import { FollowConnection } from './follow-connection.ts';

const SERVER_OPTIONS = {
  closeTimeout: DRAIN_TIMEOUT_MS,
  // Followers have nothing to say, and appenders' messages do not pass through ws.
  maxPayload: 1024,
  skipUTF8Validation: true,
  // The plugin keeps lists of its own, and ends the connections when the server closes.
  clientTracking: false,
};

const CONNECTION = Symbol('connection');

/** A request with what is open for it. */
type Upgrading = FastifyRequest & {
  [CONNECTION]?: AppendConnection | DirectoryConnection | FollowConnection;
};

/** Opens what WebSockets append to or follow, before the upgrade: a refusal is an answer of plain HTTP. */
export class WebSocketUpgrades {
  readonly #core: Core;
  readonly #appends: ActiveConnections;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;
  readonly #reports = new ActivityReports();

  constructor(core: Core, appends: ActiveConnections, follows: ActiveConnections, log: FastifyBaseLogger) {
    this.#core = core;
    this.#appends = appends;
    this.#follows = follows;
    this.#log = log;
  }

  /** Whether a request asks for a WebSocket, or for what needs one. */
  concerns(request: FastifyRequest): boolean {
    return request.ws || verbOf(request) === 'APPEND' || isWatch(request) || dialectOf(request) === v2Dialect;
  }

  /**
   * Opens what a request wants to append to or to follow.
   *
   * @returns whether the request is to be upgraded, after which {@link start} is to be called; false for a legacy
   *   client of what nobody appends to, which gets the file in place of an upgrade
   * @throws {UpgradeRequiredError} when the request is no handshake, and would have to be
   * @throws what {@link SessionRegistry.open} and {@link Followers.follow} throw
   */
  async open(request: Upgrading, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    if (verbOf(request) === 'APPEND') await this.#openAppend(request, path);
    else if (isWatch(request)) await this.#openDirectory(request, path);
    else if (isHandshake(request)) await this.#openFollow(request, path);
    else if (dialectOf(request) === v2Dialect) {
      throw new UpgradeRequiredError('a proxy on the way does not pass WebSocket handshakes');
    }
    if (request[CONNECTION] !== undefined) {
      prepareUpgrade(request, reply);
      return true;
    }
    if (request.ws) prepareAnswer(request, reply);
    return false;
  }

  /** Starts the append or the follower that was opened for a request. */
  start(request: Upgrading, websocket: WebSocket): void {
    // In place of @fastify/websocket's listener, which would keep the request in memory; ws closes by itself.
    websocket.removeAllListeners('error').on('error', ignore);
    ClientSocket.of(request.raw.socket).upgraded();
    ServerSockets.of(request.server.server).traffic.answered(request.raw, 101);
    noteFirstByte(request, 'handshake');
    noteUpgrade(request);
    request[CONNECTION]?.start(websocket);
  }

  /**
   * Opens an append. A request that is no handshake is refused as one would be: browsers tell their pages nothing of
   * refused handshakes, and so these ask.
   *
   * @throws {UpgradeRequiredError} when the request is no handshake, and as one would be accepted
   * @throws what {@link SessionRegistry.open} throws
   */
  async #openAppend(request: Upgrading, path: ResourcePath): Promise<void> {
    const dialect = dialectOf(request);
    const permit = admissionOf(request).require('append', path);
    if (!isHandshake(request)) await this.#core.sessions.assertMayOpen(permit, appendRequestOf(request));
    assertHandshake(request);
    const connection = new AppendConnection(this.#core, this.#appends, permit, dialect, request);
    admissionOf(request).onWithdrawn((withdrawal) => connection.withdraw(withdrawal));
    await connection.open(dialect === v2Dialect ? appendRequestOf(request) : {});
    request[CONNECTION] = connection;
  }

  /**
   * Opens what a client follows, or waits for. For a legacy client of what
   * nobody appends to nothing is opened: it gets the file, in place of an upgrade.
   *
   * @throws what {@link Followers.follow} throws
   */
  async #openFollow(request: Upgrading, path: ResourcePath): Promise<void> {
    await (dialectOf(request) === v2Dialect
      ? this.#openV2Follow(request, path)
      : this.#openLegacyFollow(request, path));
  }

  /**
   * Opens what tells of the changes in a directory. A request that is no handshake is refused as one would be.
   *
   * @throws {UpgradeRequiredError} when the request is no handshake, and as one would be accepted
   * @throws {InvalidRequestError} when the client does not speak the subprotocol: it would not understand
   * @throws what {@link DirectoryWatches.watch} throws
   */
  async #openDirectory(request: Upgrading, path: ResourcePath): Promise<void> {
    if (!isHandshake(request)) {
      await this.#core.directoryWatches.assertMayWatch(admissionOf(request).require('list', path));
    }
    assertHandshake(request);
    if (dialectOf(request) !== v2Dialect) {
      throw new InvalidRequestError(`to follow a directory, offer the subprotocol ${SUBPROTOCOL}`);
    }
    const admission = admissionOf(request);
    const permit = admission.require('list', path);
    if (request.raw.socket.destroyed) return;
    const connection = new DirectoryConnection(this.#follows, admission, permit, request.raw.socket);
    await connection.open(this.#core);
    request[CONNECTION] = connection;
  }

  async #openLegacyFollow(request: Upgrading, path: ResourcePath): Promise<void> {
    const { socket } = request.raw;
    const permit = admissionOf(request).permit('follow', path);
    // It may be a directory, which is listed.
    if (permit === undefined) return;
    await this.#core.followers.withLiveFeed(permit, (feed) => {
      if (socket.destroyed) return;
      assertHandshake(request);
      const connection = this.#newFollow(legacyDialect, request);
      const reader = feed.join(0, connection, 'session');
      reader.path = permit.path;
      connection.follow(reader);
      request[CONNECTION] = connection;
    });
  }

  async #openV2Follow(request: Upgrading, path: ResourcePath): Promise<void> {
    assertHandshake(request);
    const { waitMs, ...wanted } = followRequestOf(request);
    const isReported = asksForStatus(request);
    const permit = admissionOf(request).require('follow', path);
    // It would go unnoticed that a client leaves that is gone already.
    if (request.raw.socket.destroyed) return;
    const connection = this.#newFollow(v2Dialect, request);
    try {
      // To find the last lines of a large file may take longer than a handshake may otherwise.
      allowIdle(request.raw.socket);
      connection.follow(await this.#core.followers.follow(permit, wanted, connection, connection.signal));
    } catch (error) {
      if (!(error instanceof ResourceNotFoundError) || waitMs === 0) throw error;
      const leave = enterWaiting(request);
      void this.#followLater(connection, permit, wanted, waitMs).finally(leave);
    }
    if (isReported) this.#reports.add(connection);
    request[CONNECTION] = connection;
  }

  #newFollow(dialect: Dialect, request: FastifyRequest): FollowConnection {
    const { websocket } = this.#core.numbers.reads;
    const connection = new FollowConnection(this.#follows, this.#log, dialect, request.raw.socket, websocket);
    admissionOf(request).onWithdrawn((withdrawal) => connection.withdraw(withdrawal));
    return connection;
  }

  async #followLater(
    connection: FollowConnection,
    permit: Permit<'follow'>,
    wanted: FollowRequest,
    waitMs: number,
  ): Promise<void> {
    const deadline = performance.now() + waitMs;
    try {
      while (await this.#core.arrivals.wait(permit, deadline - performance.now(), connection.signal)) {
        const reader = await this.#core.followers
          .follow(permit, wanted, connection, connection.signal)
          .catch(ignoreMissing);
        if (reader !== undefined) return connection.follow(reader);
      }
      connection.refuse('missing', 'the resource did not appear in time');
    } catch (error) {
      connection.fail(error);
    }
  }
}

function prepareUpgrade(request: FastifyRequest, reply: FastifyReply): void {
  const { headers, socket } = request.raw;
  // No other subprotocol and no extension is negotiated, whatever the application's own WebSockets support.
  headers['sec-websocket-protocol'] = dialectOf(request).subprotocol;
  headers['sec-websocket-extensions'] = undefined;
  // Attached to the socket, the response would stay in memory as long as the connection.
  reply.raw.detachSocket(socket);
  // The answer is sent together with the first messages of start(), which come before the next tick.
  socket.cork();
  process.nextTick(() => socket.uncork());
}

/** Prepares a plain answer over a connection that Node has handed over for the upgrade. */
function prepareAnswer({ raw: { socket } }: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close');
  // A follower may read as slowly as it likes.
  allowIdle(socket);
  // Node no longer passes this on.
  socket.on('drain', () => reply.raw.emit('drain'));
}

function ignore(): void {}

/** Servers whose handshakes are routed already: the plugin may be mounted on one several times. */
const served = new WeakSet<Server>();

/** Registers `@fastify/websocket`, unless the application has. */
export async function registerWebSockets(app: FastifyInstance): Promise<void> {
  const isServed = served.has(app.server);
  served.add(app.server);
  if (app.hasDecorator('websocketServer')) return;
  // Each registration listens to a server and would route every handshake again: a second one gets a server without
  // any.
  const options = isServed ? { ...SERVER_OPTIONS, server: http.createServer() } : SERVER_OPTIONS;
  await app.register(fastifyWebsocket, { options });
}
