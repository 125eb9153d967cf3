import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import { Relay, type Served } from '../../relay/relay.ts';
import type { Upstream } from '../../relay/upstream.ts';
import type { UpstreamOption } from '../../relay/upstream-option.ts';
import { StreamQuery } from '../../wire/durable-streams.ts';
import { SUBPROTOCOL } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { followRequestOf, parameterOf } from '../request/query-parameters.ts';
import { isHandshake, verbOf } from '../request/request-target.ts';
import { parseTarget } from '../request/target.ts';
import { contentTypeOf } from '../response/content-type.ts';
import { statusHeaders, userContentHeaders } from '../response/headers.ts';
import { sendStream } from '../response/send-bytes.ts';
import { JoinedBody } from './joined-body.ts';
import { type Kept, KeptResponder } from './kept-responder.ts';
import { Tunnel } from './tunnel.ts';

/** Longest time to the head of an answer of another server, in milliseconds. */
const HEAD_TIMEOUT_MS = 30_000;

/** Longest time without a byte of what does not come from a server of ours, in milliseconds. */
const SILENCE_MS = 60_000;

/** How long something is fetched that nobody reads, in milliseconds. */
const IDLE_MS = 30_000;

/** With one of these a read is not about the file as it is now. */
const CONDITIONS = [
  'range',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
];

/** Options of {@link RelayResponder}. */
export interface RelayResponderOptions {
  upstreams: readonly UpstreamOption[];
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
}

/** What is kept of an answer. */
type Found = Pick<Kept, 'answer' | 'copied'>;

/** How a request is served that is for what comes from another server. */
type Way =
  /** By the protocols of this server: it is here. */
  | 'here'
  /** From the file while it still comes. */
  | 'joined'
  /** As the other server has answered: it is here, or under way. */
  | 'kept'
  /** By the other server. */
  | 'there';

/**
 * Asked before all protocols: what comes from other servers is here, or under way, when it goes on to them. What cannot be
 * read from here is passed on.
 */
export class RelayResponder {
  readonly #core: Core;
  readonly #relay: Relay;
  readonly #tunnel: Tunnel;
  readonly #kept: KeptResponder;

  constructor(
    core: Core,
    appends: ActiveConnections,
    { log, server }: FastifyInstance,
    { upstreams, prefix }: RelayResponderOptions,
  ) {
    this.#core = core;
    this.#relay = new Relay({
      core,
      log,
      upstreams,
      headTimeoutMs: HEAD_TIMEOUT_MS,
      silenceMs: SILENCE_MS,
      idleMs: IDLE_MS,
    });
    this.#tunnel = new Tunnel(server, appends, prefix);
    this.#kept = new KeptResponder(core);
  }

  /** Fetches nothing more. */
  async close(): Promise<void> {
    this.#tunnel.close();
    await this.#relay.close();
  }

  /**
   * Answers a request, if that is not for the protocols of this server.
   *
   * @returns whether it was answered
   * @throws what {@link Relay.ready} and {@link Tunnel.pass} throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const upstream = this.#relay.upstreamOf(path);
    if (upstream === undefined || request.method === 'OPTIONS') return false;
    const via = this.#relay.viaOf(headerText(request.headers.via));
    const client = new Client(request);
    try {
      const { way, served, kept } = await this.#wayOf(request, path, upstream, client);
      if (way === 'here') return false;
      if (way === 'kept')
        await this.#kept.send(
          request,
          reply,
          path,
          { ...(kept as Found), served: served as Served, via },
          client.signal,
        );
      else if (way === 'joined') await this.#join(request, reply, path, served as Served, client.signal);
      else await this.#pass(request, reply, path, { upstream, via });
      return true;
    } finally {
      client.release();
    }
  }

  async #pass(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { upstream, via }: { upstream: Upstream; via: string },
  ): Promise<void> {
    if (!isRead(request)) this.#relay.changed(path);
    await this.#tunnel.pass(request, reply, { upstream, path, via, headTimeoutMs: HEAD_TIMEOUT_MS });
    if (!isRead(request)) this.#relay.changed(path);
  }

  async #wayOf(
    request: FastifyRequest,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<{ way: Way; served?: Served; kept?: Found }> {
    if (!isRead(request)) return { way: 'there' };
    if (isFollow(request)) return { way: await this.#wayOfFollow(request, path, client) };
    if (path.isRoot || path.trailingSlash) return { way: 'there' };
    if (parameterOf(request, StreamQuery.live) !== undefined) {
      return { way: await this.#wayOfLive(request, path, client) };
    }
    const isOurs = upstream.kind === 'ours';
    if (!isOurs && isPersonal(request)) return { way: 'there' };
    const isWhole = request.method === 'GET' && !CONDITIONS.some((name) => name in request.headers);
    // For a part of what is not here the whole of it is not fetched.
    const served = isWhole ? await this.#ready(request, path, 0, client) : this.#relay.peek(path);
    if (served === undefined || served === 'missing') return { way: 'there' };
    // Its kind may be known by now.
    const kept = upstream.kind === 'ours' ? undefined : await this.#relay.keptAt(path);
    if (kept !== undefined) {
      const isThere = served.isCaughtUp || isWhole;
      return isThere ? { way: 'kept', served, kept } : { way: 'there' };
    }
    if (served.isCaughtUp) return { way: 'here' };
    const isPlain = isWhole && parameterOf(request, StreamQuery.offset) === undefined;
    return isPlain && served.size !== undefined ? { way: 'joined', served } : { way: 'there' };
  }

  async #wayOfFollow(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Way> {
    const { from = 0, lines, holdMs = 0, waitMs } = followRequestOf(request);
    // Which files were there one after the other is known there.
    if (holdMs > 0) return 'there';
    const isSubprotocol = request.headers['sec-websocket-protocol']?.includes(SUBPROTOCOL) === true;
    if (isHandshake(request) && !isSubprotocol) {
      return (await this.#ready(request, path, 0, client)) === undefined ? 'there' : 'here';
    }
    const served = await this.#ready(request, path, waitMs, client);
    if (served === undefined) return 'there';
    // It is made here as soon as it is there.
    if (served === 'missing') {
      client.stay();
      return 'here';
    }
    const isThere = lines === undefined && from >= 0 && from <= served.committed;
    return isThere || served.isCaughtUp ? 'here' : 'there';
  }

  async #wayOfLive(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Way> {
    const served = await this.#ready(request, path, 0, client);
    if (served === undefined || served === 'missing') return 'there';
    const isFromBeginning = (parameterOf(request, StreamQuery.offset) ?? '-1') === '-1';
    return served.isCaughtUp || isFromBeginning ? 'here' : 'there';
  }

  #ready(
    request: FastifyRequest,
    path: ResourcePath,
    waitMs: number,
    { signal }: Client,
  ): Promise<Served | 'missing' | undefined> {
    return this.#relay.ready(path, { via: headerText(request.headers.via), waitMs, signal });
  }

  /** Answers with what the file had when it was asked for, as it comes. */
  async #join(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { size = 0 }: Served,
    signal: AbortSignal,
  ): Promise<void> {
    const body = new JoinedBody(size);
    const reader = await this.#core.followers.follow(path, {}, body, signal);
    body.follow(reader);
    const { feed, outcome } = reader;
    const type = feed.type ?? contentTypeOf(path.segments.at(-1) ?? '', feed.file, feed.committed);
    reply.headers({
      ...userContentHeaders(type),
      'content-type': type,
      'content-length': size,
      'cache-control': 'no-cache',
      ...statusHeaders(outcome?.status),
    });
    void sendStream(request, reply, body);
  }
}

/** Whether somebody is still there who has asked. */
class Client {
  readonly #aborter = new AbortController();
  readonly #socket: FastifyRequest['raw']['socket'];
  #stays = false;

  constructor({ raw: { socket } }: FastifyRequest) {
    this.#socket = socket;
    socket.once('close', this.#abort);
    if (socket.destroyed) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Waits on, after the request has been given to others. */
  stay(): void {
    this.#stays = true;
  }

  release(): void {
    if (this.#stays) return;
    this.#socket.off('close', this.#abort);
    this.#abort();
  }

  readonly #abort = (): void => this.#aborter.abort();
}

function isRead(request: FastifyRequest): boolean {
  const { method } = request;
  return (method === 'GET' || method === 'HEAD') && verbOf(request) !== 'APPEND';
}

/** Whether what a server that is none of ours answers may be for this reader only, or for this query. */
function isPersonal({ headers, raw }: FastifyRequest): boolean {
  const { queryString } = parseTarget(raw.url);
  return queryString !== '' || headers.authorization !== undefined || headers.cookie !== undefined;
}

function isFollow(request: FastifyRequest): boolean {
  return request.method === 'GET' && (isHandshake(request) || verbOf(request) === 'FOLLOW');
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
