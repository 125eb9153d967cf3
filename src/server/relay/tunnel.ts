import http, { type IncomingMessage, type Server } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Upstream } from '../../relay/upstream.ts';
import { UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import { TCP_KEEP_ALIVE_MS } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { allowSilence } from '../node/client-socket.ts';
import { Continues } from '../node/continues.ts';
import { ServerSockets } from '../node/server-sockets.ts';
import { absoluteUrl } from '../request/request-target.ts';
import { parseTarget } from '../request/target.ts';
import { sendStream } from '../response/send-bytes.ts';

/** Those of one connection (RFC 9110, section 7.6.1), besides what `Connection` names. */
const OF_CONNECTIONS = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** What is for this server: who asks, and for whom. */
const FOR_US = [
  'authorization',
  'cookie',
  'forwarded',
  'host',
  'origin',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-user',
  'sec-purpose',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
];

/** What this server says itself. */
const FOR_THE_NEXT = ['set-cookie', 'access-control-allow-origin', 'access-control-expose-headers'];

const NOTHING: Buffer = Buffer.alloc(0);

/** What is passed on. */
export interface Passage {
  upstream: Upstream;
  path: ResourcePath;
  /** The servers through which it has come, this one included. */
  via: string;
  /** Longest time to the head of the answer once the request has been sent, in milliseconds. */
  headTimeoutMs: number;
}

/** Passes requests and handshakes on to another server, and answers and bytes of both back, as they come. */
export class Tunnel {
  readonly #appends: ActiveConnections;
  readonly #agents = {
    http: new http.Agent({ keepAlive: true, timeout: 4000 }),
    https: new https.Agent({ keepAlive: true, timeout: 4000 }),
  };

  readonly #sockets: ServerSockets;
  readonly #continues: Continues;
  readonly #prefix: string;

  /**
   * @param appends which the server lets come to an end when it closes
   * @param prefix what stands before every resource's path in URLs; empty or `/…`
   */
  constructor(server: Server, appends: ActiveConnections, prefix: string) {
    this.#sockets = ServerSockets.of(server);
    this.#continues = Continues.of(server);
    this.#appends = appends;
    this.#prefix = prefix;
  }

  /** Closes the connections that nobody uses. */
  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  /**
   * Passes a request on. Resolves when its answer has begun.
   *
   * @throws {UpstreamError} {@link UpstreamTimeoutError} when there is none
   */
  async pass(request: FastifyRequest, reply: FastifyReply, passage: Passage): Promise<void> {
    const { raw } = request;
    const { upstream, path, via, headTimeoutMs } = passage;
    const url = upstream.urlOf(path, parseTarget(raw.url).queryString);
    const isHttps = url.protocol === 'https:';
    const headers: Record<string, string | string[]> = { ...passedOn(raw.headers, FOR_US), via };
    if (request.ws) Object.assign(headers, { connection: 'upgrade', upgrade: 'websocket' });
    // Else Node would say that there is a body where there is none.
    const hasBody =
      raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length']) > 0;
    const outgoing = (isHttps ? https : http).request(url, {
      method: raw.method,
      headers,
      // A connection that becomes a tunnel is nobody else's.
      agent: request.ws ? false : this.#agents[isHttps ? 'https' : 'http'],
    });
    allowSilence(raw.socket);
    const cut = () => void outgoing.destroy();
    raw.socket.once('close', cut);
    outgoing.once('close', () => raw.socket.off('close', cut));
    let timer: NodeJS.Timeout | undefined;
    const late = new UpstreamTimeoutError(`${upstream.origin} does not answer`);
    const startTimer = () => {
      timer = setTimeout(() => outgoing.destroy(late), headTimeoutMs);
    };
    try {
      const answered = answerOf(outgoing);
      outgoing.once('continue', () => this.#continues.send(raw, reply.raw));
      if (hasBody) raw.pipe(outgoing).once('finish', startTimer);
      else {
        outgoing.end();
        startTimer();
      }
      const { response, socket, head } = await answered;
      clearTimeout(timer);
      if (socket === undefined) {
        // What goes wrong after the head is told to the request only: without this a cut looks like an end.
        outgoing.on('error', (error) => response.destroy(error));
        this.#answer(request, reply, response, passage);
      } else this.#join(request, reply, response, socket, head);
    } catch (error) {
      if (error === late) throw late;
      throw new UpstreamError(`${upstream.origin} cannot be reached`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    response: IncomingMessage,
    { upstream, via }: Passage,
  ): void {
    const { location } = response.headers;
    reply.code(response.statusCode as number).headers({
      ...passedOn(response.headers, FOR_THE_NEXT),
      ...(location !== undefined && { location: this.#locationOf(request, upstream, location) }),
      via,
    });
    void sendStream(request, reply, response);
  }

  /** Where something is by way of this server. */
  #locationOf(request: FastifyRequest, upstream: Upstream, location: string): string {
    const path = upstream.localPathOf(location);
    return path === undefined ? location : absoluteUrl(request, this.#prefix + path);
  }

  /** From here on both sides have one connection. */
  #join(
    request: FastifyRequest,
    reply: FastifyReply,
    response: IncomingMessage,
    there: Socket,
    head: Buffer,
  ): void {
    const { socket: here } = request.raw;
    reply.hijack();
    reply.raw.detachSocket(here);
    this.#sockets.release(here);
    const connection = { shutDown: () => undefined, terminate: () => void here.destroy() };
    this.#appends.add(connection);
    const lines = [`HTTP/1.1 101 ${response.statusMessage}`];
    const headers = { ...passedOn(response.headers, []), connection: 'Upgrade', upgrade: 'websocket' };
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    here.write(`${lines.join('\r\n')}\r\n\r\n`);
    here.write(head);
    there.write(sentAhead(request));
    there.on('error', ignore);
    there.once('close', () => cutLike(there, here));
    here.once('close', () => {
      this.#appends.delete(connection);
      cutLike(here, there);
    });
    here.pipe(there).pipe(here);
  }
}

/** Ends a connection as the other one has ended: what was cut looks cut. */
function cutLike(ended: Socket, other: Socket): void {
  if (ended.readableEnded && ended.errored === null) other.destroySoon();
  else other.resetAndDestroy();
}

/** What a client has sent right behind its handshake, which @fastify/websocket keeps. */
function sentAhead({ raw }: FastifyRequest): Buffer {
  const symbol = Object.getOwnPropertySymbols(raw).find(({ description }) => description === 'ws-head');
  return symbol === undefined ? NOTHING : ((raw as unknown as Record<symbol, Buffer>)[symbol] as Buffer);
}

function ignore(): void {}

/** An answer: a response, or, for a handshake, the connection. */
interface Answer {
  response: IncomingMessage;
  socket: Socket | undefined;
  /** What has come with it. */
  head: Buffer;
}

function answerOf(outgoing: http.ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    outgoing
      .once('response', (response) => resolve({ response, socket: undefined, head: NOTHING }))
      .once('upgrade', (response, duplex, head) => {
        const socket = duplex as Socket;
        socket.setTimeout(0);
        socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
        resolve({ response, socket, head });
      })
      .on('error', reject);
  });
}

/** The headers that go on: not those of the connection, nor those of `others`. */
function passedOn(
  headers: http.IncomingHttpHeaders,
  others: readonly string[],
): Record<string, string | string[]> {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const dropped = new Set([...OF_CONNECTIONS, ...named, ...others]);
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) passed[name] = value;
  }
  return passed;
}
