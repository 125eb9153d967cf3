import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Permit } from '../../core/permit.ts';
import { answerTo, type Forwarder, isStale } from '../../relay/upstream/forward.ts';
import { Silence } from '../../relay/upstream/silence.ts';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import {
  HttpfstreamError,
  ServerClosingError,
  UpstreamError,
  UpstreamTimeoutError,
} from '../../wire/errors.ts';
import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { allowIdle, reset } from '../node/connections/client-socket.ts';
import { Continues } from '../node/requests/continues.ts';
import { isBodyUnderWay } from '../node/requests/rest-of-body.ts';
import { ServerSockets } from '../node/server-sockets.ts';
import { assertTransferCoding } from '../request/request-body.ts';
import { isHandshake } from '../request/request-target.ts';
import { breakOff } from '../response/break-off.ts';
import { privacyOf } from '../rights/private-answers.ts';
import {
  assertConnection,
  FOR_THE_NEXT,
  framingOf,
  headersOfOther,
  passedOn,
  passedTo,
  sandboxed,
  varyOf,
} from './passed-on.ts';
import { referencesIn } from './references.ts';
import { writtenPath } from './written-path.ts';

/** How answers may be coded for their way: Node decodes the one, and the other says nothing. */
const PASSABLE = ['chunked', 'identity'];

/** What is passed on. */
export interface Passage {
  /** Whoever asks may do that here. */
  permit: Permit;
  upstream: Upstream;
  path: ResourcePath;
  /** The query, without its question mark: that of the request, or less. */
  queryString: string;
  /** The servers through which it has come, this one included. */
  via: string;
  /**
   * What is said in other words than by who asks: what the user says of himself, for example, if that is for the
   * upstream.
   */
  headers: Readonly<Record<string, string>>;
  /**
   * Longest time to a connection, to the next byte of the request that is taken there, and to the head of the answer
   * once all of it has been, in milliseconds.
   */
  headTimeoutMs: number;
  /** How long the upstream waits before it answers, because it was asked to, in milliseconds. */
  waitMs: number;
  /** Longest time without a byte of an answer of an upstream, in milliseconds. */
  silenceMs: number;
}

/** Passes requests and handshakes on to an upstream, and answers and bytes of both back, as they come. */
export class Tunnel {
  readonly #forwarder: Forwarder;
  readonly #appends: ActiveConnections;
  readonly #sockets: ServerSockets;
  readonly #continues: Continues;
  readonly #prefix: string;

  /**
   * @param forwarder makes the connections
   * @param appends which the server lets come to an end when it closes; what is read is among them
   * @param prefix what stands before every resource's path in URLs; empty or `/…`
   */
  constructor(server: Server, forwarder: Forwarder, appends: ActiveConnections, prefix: string) {
    this.#forwarder = forwarder;
    this.#sockets = ServerSockets.of(server);
    this.#continues = Continues.of(server);
    this.#appends = appends;
    this.#prefix = prefix;
  }

  /**
   * Passes a request on. Resolves when its answer has begun.
   *
   * @param isRepeated whether that was tried on a connection that the server had just closed
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when there is none
   */
  async pass(
    request: FastifyRequest,
    reply: FastifyReply,
    passage: Passage,
    isRepeated = false,
  ): Promise<void> {
    const { raw } = request;
    const { upstream, path, queryString, headTimeoutMs, waitMs } = passage;
    const url = upstream.urlAt(writtenPath(request, this.#prefix, path), queryString);
    const outgoing = this.#begin(request, url, passage);
    allowIdle(raw.socket);
    const cut = () => void outgoing.destroy();
    raw.socket.once('close', cut);
    outgoing.once('close', () => raw.socket.off('close', cut));
    if (raw.socket.destroyed) cut();
    const late = new UpstreamTimeoutError(`${upstream.origin} does not answer`);
    const cutLate = () => void outgoing.destroy(late);
    const unsent = new Silence(headTimeoutMs, () => isHeldUp(outgoing), cutLate);
    let timer: NodeJS.Timeout | undefined;
    const sent = () => {
      unsent.stop();
      timer = setTimeout(cutLate, headTimeoutMs + waitMs);
    };
    const over = () => unsent.over();
    outgoing.once('finish', sent).on('drain', over);
    if (!isBodiless(raw)) raw.on('data', over);
    const refuse = () => void outgoing.destroy(new ServerClosingError('the server is shutting down'));
    const isWhole = () => raw.complete && waitMs === 0;
    const connection = { shutDown: () => isWhole() || refuse(), terminate: refuse };
    this.#appends.add(connection);
    try {
      const answered = answerTo(outgoing);
      outgoing.once('continue', () => this.#continues.send(raw, reply.raw));
      sendBody(raw, outgoing);
      const { response, socket, head } = await answered;
      if (socket === undefined) this.#answer(request, reply, response, url, passage);
      else if (isHandshake(request)) this.#join(request, reply, response, socket, head);
      else {
        socket.destroy();
        throw new UpstreamError(`${upstream.origin} has answered as nobody has asked`);
      }
      return;
    } catch (error) {
      if (error instanceof HttpfstreamError) throw error;
      if (isRepeated || !mayRepeat(raw) || !isStale(outgoing, error)) throw upstream.unreachable(error);
    } finally {
      outgoing.off('finish', sent).off('drain', over);
      raw.off('data', over);
      unsent.stop();
      clearTimeout(timer);
      this.#appends.delete(connection);
    }
    return this.pass(request, reply, passage, true);
  }

  /**
   * Gives an answer that was got already.
   *
   * @throws {UpstreamError} when it cannot be given
   */
  give(
    request: FastifyRequest,
    reply: FastifyReply,
    response: IncomingMessage,
    passage: Omit<Passage, 'queryString' | 'headers' | 'headTimeoutMs' | 'waitMs'>,
  ): void {
    allowIdle(request.raw.socket);
    try {
      const url = passage.upstream.urlOf(passage.path);
      this.#answer(request, reply, response, url, passage, 'fwd=uri-miss');
    } catch (error) {
      response.destroy();
      throw error;
    }
  }

  #begin(request: FastifyRequest, url: URL, { upstream, via, headers }: Passage): ClientRequest {
    const { raw } = request;
    assertConnection(raw.headers);
    assertTransferCoding(raw.headers);
    return this.#forwarder.begin(url, {
      method: raw.method as string,
      isHandshake: isHandshake(request),
      headers: {
        ...passedTo(upstream, raw),
        ...upstream.headers,
        ...headers,
        via,
        ...framingOf(raw),
      },
    });
  }

  /**
   * Past Fastify, which knows no trailers.
   *
   * @throws {UpstreamError} when it is over already, or would be taken for something else without its coding, or is not
   *   valid
   */
  #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    response: IncomingMessage,
    url: URL,
    { upstream, via, silenceMs }: Pick<Passage, 'upstream' | 'via' | 'silenceMs'>,
    cacheStatus = 'fwd=bypass',
  ): void {
    const { socket } = request.raw;
    const { raw } = reply;
    assertPassable(response, upstream);
    if (!isAcknowledged(request, response, upstream)) {
      response.destroy();
      throw upstream.notItself();
    }
    const { 'transfer-encoding': coding, ...framing } = framingOf(response);
    const isChunked = coding !== undefined && request.raw.httpVersion !== '1.0';
    const headers = passedOn(response.headers, FOR_THE_NEXT);
    const isUntilClose =
      coding === undefined && framing['content-length'] === undefined && hasBody(request, response);
    const isLast = request.ws || isUntilClose || isBodyUnderWay(request.raw);
    const given =
      upstream.kind === 'httpfstream'
        ? sandboxed(request, headers)
        : headersOfOther(request, headers, cacheStatus);
    const answered = { ...given, ...varyOf(reply, response.headers) };
    const all = {
      ...reply.getHeaders(),
      ...answered,
      ...referencesIn(response.headers, { request, upstream, url, prefix: this.#prefix }),
      ...privacyOf(request, answered),
      // Without chunks there are no trailers, and without a body there is no length.
      ...((coding === undefined || isChunked) && response.statusCode !== 204 && framing),
      via,
      ...(isLast && { connection: 'close' }),
    };
    // In chunks it would look whole, which nobody knows.
    if (isUntilClose) raw.useChunkedEncodingByDefault = false;
    // Of a connection that Node has handed over for an upgrade it passes on no events.
    if (request.ws) socket.on('drain', () => raw.emit('drain'));
    try {
      raw.writeHead(response.statusCode as number, all as OutgoingHttpHeaders);
    } catch (cause) {
      response.destroy();
      throw new UpstreamError(`${upstream.origin} has answered what cannot be passed on`, { cause });
    }
    reply.hijack();
    raw.flushHeaders();
    const cut = () => void raw.destroy();
    const isEndless = mayBeSilent(response);
    // What comes to an end may do so.
    const connection = { shutDown: isEndless ? cut : ignore, terminate: cut };
    this.#appends.add(connection);
    raw.once('close', () => {
      this.#appends.delete(connection);
      response.destroy();
    });
    response.once('close', () => {
      if (response.readableEnded) return;
      if (!breakOff(raw, framing['content-length'] !== undefined)) raw.destroy();
    });
    response.once('end', () => {
      if (isChunked) raw.addTrailers(response.trailers as Record<string, string>);
      raw.end();
    });
    if (upstream.kind !== 'httpfstream' && !isEndless) breakWhenSilent(response, raw, silenceMs);
    response.on('error', ignore).pipe(raw, { end: false });
  }

  /** From here on both sides have one connection. */
  #join(
    request: FastifyRequest,
    reply: FastifyReply,
    response: IncomingMessage,
    server: Socket,
    head: Buffer,
  ): void {
    const { socket: client } = request.raw;
    reply.hijack();
    reply.raw.detachSocket(client);
    this.#sockets.release(client);
    const cut = () => void client.destroy();
    const connection = { shutDown: cut, terminate: cut };
    this.#appends.add(connection);
    const passed = passedOn(response.headers, FOR_THE_NEXT);
    const headers = { ...passed, connection: 'Upgrade', upgrade: 'websocket' };
    const lines = Object.entries(headers).flatMap(([name, values]) =>
      [values].flat().map((value) => `${name}: ${value}\r\n`),
    );
    client.write(`HTTP/1.1 101 ${response.statusMessage}\r\n${lines.join('')}\r\n`);
    client.write(head);
    server.write(sentAhead(request));
    server.on('error', ignore);
    server.once('close', () => cutLike(server, client));
    client.once('close', () => {
      this.#appends.delete(connection);
      cutLike(client, server);
    });
    client.pipe(server).pipe(client);
    if (client.destroyed) server.destroy();
  }
}

function isBodiless({ headers }: IncomingMessage): boolean {
  const { 'transfer-encoding': coding, 'content-length': length } = headers;
  return coding === undefined && !(Number(length) > 0);
}

/** Whether a request can be sent twice: it changes nothing, and there is nothing more of it. */
function mayRepeat(raw: IncomingMessage): boolean {
  return (raw.method === 'GET' || raw.method === 'HEAD') && isBodiless(raw);
}

/** Sends the body of a request, with its trailers. */
function sendBody(raw: IncomingMessage, outgoing: ClientRequest): void {
  const { 'transfer-encoding': coding } = raw.headers;
  if (isBodiless(raw)) {
    outgoing.end();
    return;
  }
  raw.once('end', () => {
    if (coding !== undefined) outgoing.addTrailers(raw.trailers as Record<string, string>);
    outgoing.end();
  });
  raw.on('error', ignore).pipe(outgoing, { end: false });
}

/** Whether what there is of a request by now has not been taken. */
function isHeldUp({ socket }: ClientRequest): boolean {
  return socket === null || socket.connecting || socket.writableLength > 0;
}

/**
 * @throws {UpstreamError} when an answer is over before its end, or is coded for its way in a manner that is not passed
 * on
 */
function assertPassable(response: IncomingMessage, { origin }: Upstream): void {
  const { 'transfer-encoding': coding } = response.headers;
  if (response.destroyed) {
    throw new UpstreamError(`${origin} has broken off`, { cause: response.errored ?? undefined });
  }
  if (coding === undefined || PASSABLE.includes(coding.trim().toLowerCase())) return;
  response.destroy();
  throw new UpstreamError(`${origin} has coded its answer for the way as ${coding}`);
}

/**
 * Whether an answer of success to what was written is one of an httpfstream server, which all say how browsers are to
 * take them: a page in front of it acknowledges nothing.
 */
function isAcknowledged(
  { method }: FastifyRequest,
  { statusCode = 0, headers }: IncomingMessage,
  { kind }: Upstream,
): boolean {
  const isWritten = kind === 'httpfstream' && method !== 'GET' && method !== 'HEAD';
  return !isWritten || statusCode >= 300 || headers['x-content-type-options'] === 'nosniff';
}

/** Whether an answer may have a body. */
function hasBody({ method }: FastifyRequest, { statusCode }: IncomingMessage): boolean {
  return method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
}

/**
 * Whether it is natural that nothing comes for long: of what is followed at a server that turns out to be an
 * httpfstream server, too.
 */
function mayBeSilent({ headers }: IncomingMessage): boolean {
  return GENERATION_HEADER in headers || /^\s*text\/event-stream\b/i.test(headers['content-type'] ?? '');
}

/** Breaks an answer of which nothing comes for too long, though its reader takes what comes. */
function breakWhenSilent(response: IncomingMessage, raw: ServerResponse, silenceMs: number): void {
  const silence = new Silence(
    silenceMs,
    () => !raw.writableNeedDrain,
    () => response.destroy(new UpstreamTimeoutError('the answer has stalled')),
  );
  const over = () => silence.over();
  response.on('data', over).once('close', () => {
    silence.stop();
    raw.off('drain', over);
  });
  raw.on('drain', over);
}

/** Ends a connection as the other one has ended: what was cut looks cut. */
function cutLike(ended: Socket, other: Socket): void {
  if (ended.readableEnded && ended.errored === null) other.destroySoon();
  else reset(other);
}

/** What a client has sent right behind its handshake, which @fastify/websocket keeps. */
function sentAhead({ raw }: FastifyRequest): Buffer {
  const symbol = Object.getOwnPropertySymbols(raw).find(({ description }) => description === 'ws-head');
  return symbol === undefined
    ? Buffer.alloc(0)
    : ((raw as unknown as Record<symbol, Buffer>)[symbol] as Buffer);
}

function ignore(): void {}
