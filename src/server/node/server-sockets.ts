import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { TLSSocket, Server as TlsServer } from 'node:tls';
import type { FastifyBaseLogger } from 'fastify';
import { ClientSocket, connectionOf, type SocketOwner } from './connections/client-socket.ts';
import { ConnectionCounts, type ConnectionLimits } from './connections/connection-counts.ts';
import { descriptorLimit, firstReservedDescriptor } from './connections/descriptor-limit.ts';
import { rawProblem } from './connections/problem.ts';
import { RefusedConnections } from './connections/refused-connections.ts';
import { Traffic } from './connections/traffic.ts';
import { ReadPace } from './requests/read-pace.ts';
import { asksForWebSocket, headWithoutUpgrade } from './requests/request-head.ts';
import { RequestQueue } from './requests/request-queue.ts';
import { keepWhole, linger } from './requests/rest-of-body.ts';
import { handOverAtHead } from './requests/upgrade-heads.ts';

/**
 * How long a connection that asked for an upgrade may be idle before it has
 * one: long enough for an application's hooks. WebSocket libraries lift it.
 */
const IDLE_TIMEOUT_MS = 10_000;

/** When a connection is given that limit. Most have their WebSocket by then, and never need a timer of their own. */
const LIMITED_AFTER_MS = 1000;

const NOT_REPEATABLE = rawProblem({
  status: 400,
  code: 'HFS_INVALID_REQUEST',
  detail: 'this is not a request of HTTP/1.1',
});

/** One for each server, however often the plugin is mounted on it. */
const ofServer = new WeakMap<Server, ServerSockets>();

/**
 * All connections of a server, from accept to close: each has a
 * {@link ClientSocket}, and is owned here between two other owners.
 *
 * Node hands over a connection that asks for an upgrade before the earlier
 * requests are answered and before it has read a body, and does not close it
 * with the server. Here it waits for its turn. Upgrades to anything but a
 * WebSocket are ignored (RFC 9110, section 7.8): Java's client and `curl
 * --http2` offer HTTP/2 with their first request, whatever it is. Node is given
 * those once more, with a request that asks for none. (Newer versions can be
 * told what to upgrade, which is no help: they lose what comes in one packet
 * with a request whose upgrade they ignore.)
 */
export class ServerSockets implements SocketOwner {
  /** What is counted of them. */
  readonly traffic = new Traffic();
  readonly #server: Server;
  readonly #log: FastifyBaseLogger | undefined;
  readonly #emit: (event: string, ...args: unknown[]) => boolean;
  readonly #firstReserved = firstReservedDescriptor(descriptorLimit());
  /** Those that Node's HTTP owns. */
  readonly #sockets = new Set<Socket>();
  /** Those below TLS that are not secure yet. */
  readonly #handshaking = new Set<Socket>();
  /** Those that Node has handed over, and that have no new owner yet. */
  readonly #detached = new Set<Socket>();
  /** Those of them without a time limit, and the timer that sets it. */
  #unlimited: Socket[] = [];
  #limiting: NodeJS.Timeout | undefined;
  readonly #refused: RefusedConnections;
  #counts: ConnectionCounts | undefined;
  readonly #halfOpenRules = new Set<(request: IncomingMessage) => boolean>();
  #isDraining = false;
  #refusesUpgrades = false;
  #isShut = false;
  #onEmpty: () => void = () => undefined;

  private constructor(server: Server, log: FastifyBaseLogger | undefined) {
    this.#server = server;
    this.#log = log;
    this.#refused = new RefusedConnections(server, log);
    // Else Node ends its side as soon as the client has ended its own, answered or not.
    Object.assign(server, { httpAllowHalfOpen: true });
    handOverAtHead(server);
    // Before all listeners. What Fastify's second server for `localhost` passes on comes here, too.
    this.#emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
    server.emit = (event: string, ...args: unknown[]) =>
      this.#take(event, args) || this.#emit(event, ...args);
    // From then on errors are of connections that cannot be accepted; earlier ones are for whoever calls listen().
    server.on('listening', () => server.on('error', this.#logError));
    server.on('close', () => server.off('error', this.#logError));
  }

  /**
   * The one for `server`, made by the first call.
   *
   * @param log notified when connections are refused, or cannot be accepted
   */
  static of(server: Server, log?: FastifyBaseLogger): ServerSockets {
    let sockets = ofServer.get(server);
    if (sockets === undefined) {
      sockets = new ServerSockets(server, log);
      ofServer.set(server, sockets);
    }
    return sockets;
  }

  /**
   * Has the requests for which `isHeard` returns true processed and answered even
   * when their clients have closed their side or the connection. For all others
   * nothing changes: Node ends the connection then and destroys the request, on
   * which an application may rely.
   */
  allowHalfOpen(isHeard: (request: IncomingMessage) => boolean): void {
    this.#halfOpenRules.add(isHeard);
  }

  /** Bounds how many connections there are, from the next one on. @returns how many there are */
  limit(limits: ConnectionLimits): ConnectionCounts {
    this.#counts = new ConnectionCounts(limits);
    return this.#counts;
  }

  /** Hands over a connection that was upgraded. ws has lifted the time limit. */
  release(socket: Socket): void {
    if (this.#detached.delete(socket)) socket.off('timeout', cut);
  }

  /** Whether the server is about to close: {@link drain} was called. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /**
   * Says in each answer from now on that its connection closes after it, and waits until no connection is left on which
   * a request may come, for `timeoutMs` at most. Those without an answer under way are closed then: a client that has
   * just sent a request on one could not know whether it was processed.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const socket of this.#sockets) ClientSocket.of(socket).responses.forEach(closeAfter);
    await this.#emptied(timeoutMs);
    this.#closeIdle();
  }

  /** Announces that upgrades are refused from now on. */
  refuseUpgrades(): void {
    this.#refusesUpgrades = true;
  }

  /**
   * Accepts no more connections, closes those without an answer under way, and the
   * others after it: Node does not count a connection as idle that has sent
   * nothing yet, and keeps one that becomes idle.
   */
  shutDown(): void {
    this.#isShut = true;
    for (const socket of this.#detached) socket.destroy();
    this.#closeIdle();
  }

  /** As {@link shutDown}; those that are still there after `timeoutMs` are cut. */
  async close(timeoutMs: number): Promise<void> {
    this.shutDown();
    await this.#emptied(timeoutMs);
    this.cut();
  }

  /** Cuts all connections before it returns; an answer that is not finished ends in a reset. */
  cut(): void {
    for (const socket of [...this.#handshaking, ...this.#sockets, ...this.#detached]) socket.destroy();
  }

  get #isEmpty(): boolean {
    return this.#sockets.size + this.#handshaking.size === 0;
  }

  /** Waits until Node's HTTP owns no connection any more, for `timeoutMs` at most. */
  async #emptied(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      timer = setTimeout(resolve, timeoutMs);
      if (this.#isEmpty) resolve();
    });
    clearTimeout(timer);
  }

  #closeIdle(): void {
    for (const socket of this.#handshaking) socket.destroy();
    for (const socket of this.#sockets) {
      if (ClientSocket.of(socket).answer === undefined) socket.destroy();
    }
  }

  /** Returns whether an event was handled, so that it is not emitted. */
  #take(event: string, args: readonly unknown[]): boolean {
    switch (event) {
      case 'connection':
      case 'secureConnection':
        return this.#accept(args[0] as Socket);
      case 'request':
        this.#enqueue(...(args as [IncomingMessage, ServerResponse]));
        return true;
      case 'checkContinue':
      case 'checkExpectation':
        this.#begin(...(args as [IncomingMessage, ServerResponse]));
        return false;
      case 'upgrade':
        // An application's tests use fake connections.
        if (!(args[1] instanceof Socket)) return false;
        this.#detach(...(args as [IncomingMessage, Socket, Buffer]));
        return true;
      default:
        return false;
    }
  }

  #accept(socket: Socket): boolean {
    // Given back to Node.
    if (this.#sockets.has(socket)) return false;
    const client = ClientSocket.of(socket);
    if (!(socket instanceof TLSSocket)) client.countIn(this.traffic);
    if (this.#isShut) {
      socket.destroy();
      return true;
    }
    if (descriptorOf(socket) >= this.#firstReserved) {
      this.#refused.refuse(socket, 'descriptors');
      return true;
    }
    const isSecured = this.#server instanceof TlsServer && socket instanceof TLSSocket;
    // Of TLS the connection below it was counted.
    const refusal = isSecured ? undefined : this.#counts?.add(socket);
    if (refusal !== undefined) {
      this.#refused.refuse(socket, refusal);
      return true;
    }
    if (isSecured) {
      const below = connectionOf(socket);
      if (below !== undefined) this.#handshaking.delete(below);
    } else if (this.#server instanceof TlsServer) {
      // From then on nothing is known of what goes on in it.
      this.#handshaking.add(socket);
      client.serverOwner = this;
      return false;
    }
    this.#own(client, socket);
    return false;
  }

  #own(client: ClientSocket, socket: Socket): void {
    // As Node does by itself, except with TLS.
    socket.allowHalfOpen = true;
    this.#sockets.add(socket);
    client.serverOwner = this;
  }

  left(socket: Socket): void {
    const [first] = ClientSocket.of(socket).responses;
    if (first !== undefined && !this.#isHeard(first.req)) socket.destroySoon();
  }

  closed(socket: Socket): void {
    this.#detached.delete(socket);
    this.#sockets.delete(socket);
    this.#handshaking.delete(socket);
    this.#counts?.delete(socket);
    if (this.#isEmpty) this.#onEmpty();
  }

  #isHeard(request: IncomingMessage): boolean {
    for (const isHeard of this.#halfOpenRules) if (isHeard(request)) return true;
    return false;
  }

  #enqueue(request: IncomingMessage, response: ServerResponse): void {
    this.#begin(request, response);
    RequestQueue.of(request.socket, this.#server).enqueue(request, response, () => {
      // An application would never be notified that a request is gone that was gone before it saw it.
      if (this.#isHeard(request) || !request.destroyed) this.#emit('request', request, response);
    });
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const client = ClientSocket.of(socket);
    // For one with `Expect` this is called twice.
    if (!client.begin(response)) return;
    if (this.#isDraining) closeAfter(response);
    client.requested();
    if (hasBody(request) && this.#isHeard(request)) {
      keepWhole(request);
      ReadPace.keep(request, this.#server);
      // Before Node's own listener, which would read the rest without limit.
      response.prependOnceListener('finish', () => void linger(request));
    }
    const closed = () => {
      if (this.#isShut && client.answer === undefined) socket.destroySoon();
      // Node 24 emits this of a response that waits when its connection closes, and again when it was answered.
      if (!response.headersSent) return;
      response.off('close', closed);
      this.traffic.answered(request, response.statusCode);
    };
    response.on('close', closed);
  }

  #detach(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const client = ClientSocket.of(socket);
    // Fastify's second server has accepted it.
    if (!this.#sockets.has(socket)) this.#own(client, socket);
    this.#sockets.delete(socket);
    this.#detached.add(socket);
    client.requested();
    let takeUp = () => this.#passOn(request, socket, head);
    if (!asksForWebSocket(request)) {
      const requestHead = headWithoutUpgrade(request);
      // At once, while the stream has not ended, whatever the client does meanwhile.
      if (requestHead !== undefined) socket.unshift(Buffer.concat([requestHead, head]));
      takeUp = () => (requestHead === undefined ? client.end(NOT_REPEATABLE) : this.#giveBack(socket));
    }
    if (client.answer === undefined) takeUp();
    else client.whenAnswered(takeUp);
  }

  #passOn(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const client = ClientSocket.of(socket);
    if (client.hasLeft) {
      socket.destroySoon();
      return;
    }
    this.#limitSoon(socket);
    // A closing server refuses in this turn of the event loop; its answer is still sent.
    if (this.#refusesUpgrades) setImmediate(() => client.end(''));
    this.#emit('upgrade', request, socket, head);
    // A connection that was answered in place of an upgrade cannot be used again, and is not always closed.
    const { answer } = client;
    answer?.once('finish', () => {
      this.traffic.answered(request, answer.statusCode);
      client.end('');
    });
  }

  /** Limits how long a connection may be quiet, once it has waited a while for its WebSocket. */
  #limitSoon(socket: Socket): void {
    if (socket.timeout !== undefined) {
      socket.setTimeout(IDLE_TIMEOUT_MS).on('timeout', cut);
      return;
    }
    this.#unlimited.push(socket);
    this.#limiting ??= setTimeout(() => this.#limit(), LIMITED_AFTER_MS).unref();
  }

  #limit(): void {
    for (const socket of this.#unlimited) {
      // A new owner may have set a limit, or none, meanwhile.
      const isWaiting = this.#detached.has(socket) && socket.timeout === undefined;
      if (isWaiting) socket.setTimeout(IDLE_TIMEOUT_MS - LIMITED_AFTER_MS).on('timeout', cut);
    }
    this.#unlimited = [];
    this.#limiting = undefined;
  }

  #giveBack(socket: Socket): void {
    this.#detached.delete(socket);
    this.#sockets.add(socket);
    // For the next request, if an earlier one was answered meanwhile.
    socket.setTimeout(this.#server.timeout);
    this.#server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket);
  }

  readonly #logError = (error: Error): void => {
    this.#log?.error({ err: error }, 'a connection cannot be accepted');
  };
}

/** Announces in the head of an answer, unless that has been sent, that its connection closes after it. */
function closeAfter(response: ServerResponse): void {
  response.shouldKeepAlive = false;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}

/** Called when a connection without an owner has been quiet for too long. */
function cut(this: Socket): void {
  this.destroy();
}

/** -1 for sockets without one. */
function descriptorOf(socket: Socket): number {
  return (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
}
