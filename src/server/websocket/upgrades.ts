import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Core } from '../../core/core.ts';
import type { FollowRequest } from '../../core/request.ts';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import { SUBPROTOCOL } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { ignoreMissing } from '../failure.ts';
import { allowSilence } from '../keep-alive.ts';
import { appendRequestOf, followRequestOf } from '../request/request-query.ts';
import { assertHandshake } from '../request/request-target.ts';
import { AppendConnection, type AppendContext } from './append-connection.ts';
import type { Dialect } from './dialect.ts';
import { FollowConnection, type FollowContext } from './follow-connection.ts';
import { legacyDialect } from './legacy-dialect.ts';
import { v2Dialect } from './v2-dialect.ts';

const CONNECTION = Symbol('connection');

/** A request with what is open for it. */
type Upgrading = FastifyRequest & { [CONNECTION]?: AppendConnection | FollowConnection };

/** What is opened for WebSockets before their upgrade. */
export class WebSocketUpgrades {
  readonly #core: Core;
  readonly #appendContext: AppendContext;
  readonly #followContext: FollowContext;

  constructor(appendContext: AppendContext, followContext: FollowContext) {
    this.#core = appendContext.core;
    this.#appendContext = appendContext;
    this.#followContext = followContext;
  }

  /** Whether something is open for the request, so that it is to be upgraded. */
  has(request: Upgrading): boolean {
    return request[CONNECTION] !== undefined;
  }

  /** Gives what is open for a request its WebSocket. */
  start(request: Upgrading, websocket: WebSocket): void {
    request[CONNECTION]?.start(websocket);
  }

  /**
   * Opens an append.
   *
   * @throws {UpgradeRequiredError} when the request is no handshake
   * @throws what {@link SessionRegistry.open} throws
   */
  async openAppend(request: Upgrading, path: ResourcePath): Promise<void> {
    assertHandshake(request);
    const { socket } = request.raw;
    const dialect = dialectOf(request);
    const connection = new AppendConnection(path, dialect, socket, this.#appendContext, request.log);
    await connection.open(dialect === v2Dialect ? appendRequestOf(request) : {});
    request[CONNECTION] = connection;
  }

  /**
   * Opens what a client follows, or waits for. For a legacy client of what
   * nobody appends to nothing is opened: it gets the file, in place of an upgrade.
   *
   * @throws what {@link Followers.follow} throws
   */
  async openFollow(request: Upgrading, path: ResourcePath): Promise<void> {
    await (dialectOf(request) === v2Dialect
      ? this.#openV2Follow(request, path)
      : this.#openLegacyFollow(request, path));
  }

  async #openLegacyFollow(request: Upgrading, path: ResourcePath): Promise<void> {
    const { socket } = request.raw;
    await this.#core.followers.withLiveFeed(path, (feed) => {
      if (socket.destroyed) return;
      assertHandshake(request);
      const connection = new FollowConnection(legacyDialect, socket, this.#followContext);
      connection.follow(feed.join(0, connection, 'session'));
      request[CONNECTION] = connection;
    });
  }

  async #openV2Follow(request: Upgrading, path: ResourcePath): Promise<void> {
    assertHandshake(request);
    const { waitMs, ...wanted } = followRequestOf(request);
    // Who has gone already would never be seen to leave.
    if (request.raw.socket.destroyed) return;
    const connection = new FollowConnection(v2Dialect, request.raw.socket, this.#followContext);
    try {
      // Finding the last lines of a large file may take longer than a handshake otherwise may.
      allowSilence(request.raw.socket);
      connection.follow(await this.#core.followers.follow(path, wanted, connection, connection.signal));
    } catch (error) {
      if (!(error instanceof ResourceNotFoundError) || waitMs === 0) throw error;
      void this.#followLater(connection, path, wanted, waitMs);
    }
    request[CONNECTION] = connection;
  }

  async #followLater(
    connection: FollowConnection,
    path: ResourcePath,
    wanted: FollowRequest,
    waitMs: number,
  ): Promise<void> {
    const deadline = performance.now() + waitMs;
    try {
      while (await this.#core.arrivals.wait(path, deadline - performance.now(), connection.signal)) {
        const reader = await this.#core.followers
          .follow(path, wanted, connection, connection.signal)
          .catch(ignoreMissing);
        if (reader !== undefined) return connection.follow(reader);
      }
      connection.refuse('missing', 'the resource did not appear in time');
    } catch (error) {
      connection.fail(error);
    }
  }
}

/** The dialect of a client: whether it offers the subprotocol. */
export function dialectOf(request: FastifyRequest): Dialect {
  const offered = request.headers['sec-websocket-protocol']?.split(',') ?? [];
  return offered.some((name) => name.trim() === SUBPROTOCOL) ? v2Dialect : legacyDialect;
}
