import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import { asGone } from '../../core/preconditions.ts';
import { placeOf } from '../../core/streams/stream-offset.ts';
import { isJsonType } from '../../core/streams/stream-type.ts';
import { type Asker, isServed, type Served } from '../../relay/readiness.ts';
import { Relay } from '../../relay/relay.ts';
import { Forwarder } from '../../relay/upstream/forward.ts';
import type { OpenAnswer } from '../../relay/upstream/open-answer.ts';
import { isCanonical, type Upstream } from '../../relay/upstream/upstream.ts';
import type { UpstreamOption } from '../../relay/upstream-option.ts';
import { StreamQuery } from '../../wire/durable-streams.ts';
import {
  MethodNotAllowedError,
  ResourceGoneError,
  StorageBusyError,
  UpstreamError,
} from '../../wire/errors.ts';
import { SUBPROTOCOL } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { descriptorLimit, liveResourcesWithin } from '../node/descriptor-limit.ts';
import { headerOf } from '../request/headers.ts';
import { followRequestOf, parameterOf } from '../request/query-parameters.ts';
import { isHandshake, verbOf } from '../request/request-target.ts';
import { parseTarget } from '../request/target.ts';
import { permitToPass } from '../rights/needs.ts';
import { askerOf, Client, viaOf } from './client.ts';
import { ForkedFrom } from './forked-from.ts';
import { type Joined, sendJoined, tagOf } from './joined-download.ts';
import { partOfComing } from './joined-part.ts';
import { type Kept, KeptResponder } from './kept-responder.ts';
import { asCopy } from './passed-on.ts';
import { type Passage, Tunnel } from './tunnel.ts';
import { passedQuery, writtenPath } from './written-path.ts';

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

/** Of those, the ones that ask for a part of it. */
const PARTS = ['range', 'if-range'];

/** Options of {@link RelayResponder}. */
export interface RelayResponderOptions {
  upstreams: readonly UpstreamOption[];
  /** How long what is kept may be, in bytes. */
  upstreamMaxBytes: number;
  /** How much is kept, in bytes. */
  upstreamKeepBytes: number;
  /** Whether what nobody reads is fetched on. */
  upstreamKeep: boolean;
  /** How long a long-poll waits, in milliseconds. */
  longPollMs: number;
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
}

/** How a request is served that is for what comes from another server. */
type Found =
  /** By the protocols of this server: it is here. Who reads it live may stay for longer than it comes. */
  | { way: 'here'; isLive?: boolean; served?: Served }
  /** From the file while it still comes. */
  | ({ way: 'joined' } & Joined)
  /** As the other server has answered: it is here, or under way. */
  | ({ way: 'kept' } & Omit<Kept, 'via' | 'upstream'>)
  /** With the answer that was got for it, and is not kept. */
  | { way: 'given'; answer: OpenAnswer }
  /** By dropping what is here. */
  | { way: 'forgotten' }
  /** By the other server. */
  | { way: 'there'; authorization?: string };

const HERE: Found = { way: 'here' };

const THERE: Found = { way: 'there' };

/**
 * Asked before all protocols: what comes from other servers is here, or under way, when it goes on to them. What cannot
 * be read from here is passed on.
 */
export class RelayResponder {
  readonly #core: Core;
  readonly #forwarder = new Forwarder();
  readonly #relay: Relay;
  readonly #tunnel: Tunnel;
  readonly #kept: KeptResponder;
  readonly #forkedFrom: ForkedFrom;
  readonly #prefix: string;
  readonly #longPollMs: number;

  constructor(
    core: Core,
    appends: ActiveConnections,
    { log, server }: FastifyInstance,
    {
      upstreams,
      upstreamMaxBytes,
      upstreamKeepBytes,
      upstreamKeep,
      longPollMs,
      prefix,
    }: RelayResponderOptions,
  ) {
    this.#core = core;
    this.#relay = new Relay({
      core,
      log,
      forwarder: this.#forwarder,
      upstreams,
      headTimeoutMs: HEAD_TIMEOUT_MS,
      silenceMs: SILENCE_MS,
      idleMs: IDLE_MS,
      maxBytes: upstreamMaxBytes,
      keptBytes: upstreamKeepBytes,
      goesOnForNobody: upstreamKeep,
      // Each has a connection and a file, and somebody reads it.
      maxPulls: Math.max(1, liveResourcesWithin(descriptorLimit())),
    });
    this.#forkedFrom = new ForkedFrom(this.#relay, prefix);
    this.#prefix = prefix;
    this.#longPollMs = longPollMs;
    this.#tunnel = new Tunnel(server, this.#forwarder, appends, prefix);
    this.#kept = new KeptResponder(core, prefix);
  }

  /** Finds what a server before this one has kept. Never rejects. */
  findKept(): Promise<void> {
    return this.#relay.findKept();
  }

  /** Whether a path comes from another server. */
  covers(path: ResourcePath): boolean {
    return this.#relay.upstreamOf(path) !== undefined;
  }

  /** Fetches nothing more. */
  close(): Promise<void> {
    return this.#relay.close();
  }

  /** Closes its connections, when all that is passed on has come to an end. */
  disconnect(): void {
    this.#forwarder.close();
  }

  /**
   * Answers a request, if that is not for the protocols of this server.
   *
   * @returns whether it was answered
   * @throws what {@link Relay.ready} and {@link Tunnel.pass} throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const upstream = this.#relay.upstreamOf(path);
    if (request.method === 'OPTIONS') return false;
    const client = new Client(request);
    try {
      if (upstream === undefined) {
        if (request.method === 'PUT') await this.#forkedFrom.ready(request, askerOf(request, 0, client));
        return false;
      }
      const permit = permitToPass(request, path, this.#prefix);
      const via = this.#relay.viaOf(viaOf(request));
      const found = await this.#wayOf(request, reply, path, upstream, client);
      if (found.way === 'here') {
        if (found.served !== undefined) reply.headers(asCopy(found.served, via));
        if (found.isLive === true && !request.raw.socket.destroyed) {
          reply.raw.once('close', this.#relay.watch(path, viaOf(request)));
        }
        return false;
      }
      if (found.way === 'kept') {
        await this.#kept.send(request, reply, path, { ...found, via, upstream }, client.signal);
      } else if (found.way === 'joined') {
        reply.headers(asCopy(found.served, via));
        await sendJoined(this.#core, request, reply, path, found, client.signal);
      } else if (found.way === 'given') {
        const passage = { permit, upstream, path, via, silenceMs: SILENCE_MS };
        this.#tunnel.give(request, reply, found.answer.release(), passage);
      } else if (found.way === 'forgotten') {
        this.#kept.assertMeant(request, await this.#relay.keptAt(path));
        await this.#relay.invalidate(path);
        await reply.code(204).header('x-content-type-options', 'nosniff').send();
      } else {
        const { authorization } = found;
        if (isHandshake(request) && authorization === undefined) {
          await this.#assertOurs(path, askerOf(request, 0, client));
        }
        const headers = {
          ...(authorization !== undefined && { authorization }),
          ...(request.method === 'PUT' && this.#forkedFrom.headersAt(upstream, request)),
        };
        await this.#pass(request, reply, { permit, upstream, path, via, headers });
      }
      return true;
    } finally {
      client.release();
    }
  }

  async #pass(
    request: FastifyRequest,
    reply: FastifyReply,
    passage: Omit<Passage, 'queryString' | 'headTimeoutMs' | 'waitMs' | 'silenceMs'>,
  ): Promise<void> {
    const { path } = passage;
    if (!isRead(request)) this.#relay.changed(path);
    await this.#tunnel.pass(request, reply, {
      ...passage,
      queryString: passedQuery(request, path),
      headTimeoutMs: HEAD_TIMEOUT_MS,
      waitMs: this.#waitOf(request),
      silenceMs: SILENCE_MS,
    });
    if (isRead(request)) return;
    this.#relay.changed(path);
    // The connection is the append's own.
    if (isHandshake(request)) request.raw.socket.once('close', () => this.#relay.changed(path));
  }

  /** How long the other server waits before it answers, because it was asked to, in milliseconds. */
  #waitOf(request: FastifyRequest): number {
    if (!isRead(request)) return 0;
    if (isFollow(request)) return followRequestOf(request).waitMs;
    return parameterOf(request, StreamQuery.live) === undefined ? 0 : this.#longPollMs;
  }

  async #wayOf(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<Found> {
    const { authorization } = request.headers;
    const isUsers = authorization !== undefined && upstream.passesAuthorization;
    // What is read from here is written here.
    if ((isUsers || !isRead(request)) && (await this.#relay.isOwn(path))) return HERE;
    if (isUsers) {
      // What this user may see is decided there, and is for nobody else.
      const kind = await this.#relay.kindOf(path, askerOf(request, 0, client), authorization);
      if (kind === 'ours') return { way: 'there', authorization };
    }
    if (!isRead(request)) return this.#wayOfWrite(request, path, client);
    if (path.isRoot || path.trailingSlash) return THERE;
    if (upstream.kind !== 'ours' && !isCanonical(writtenPath(request, this.#prefix, path), path))
      return THERE;
    if (isFollow(request)) return this.#wayOfFollow(request, reply, path, upstream, client);
    if (parameterOf(request, StreamQuery.live) !== undefined) {
      const found = await this.#wayOfLive(request, path, upstream, client);
      return found.way === 'here' ? { ...found, isLive: upstream.kind === 'ours' } : found;
    }
    if (upstream.kind !== 'ours' && isPersonal(request)) return THERE;
    const isGet = request.method === 'GET';
    const isWhole = isGet && !CONDITIONS.some((name) => name in request.headers);
    // For a part of what is not here the whole of it is not fetched.
    const asker = askerOf(request, 0, client);
    const served = isWhole
      ? await this.#relay.ready(path, { ...asker, asksTo: 'read' })
      : await this.#relay.readyIfHere(path, asker);
    if (served === undefined || served === 'missing') return THERE;
    if (!isServed(served)) return { way: 'given', answer: served };
    if (!(await this.#hasOffset(request, path, upstream, served))) return THERE;
    // By now its kind is known.
    const kept = upstream.kind === 'ours' ? undefined : await this.#relay.keptAt(path);
    if (kept?.copied.outcome?.reason === 'finished') return { way: 'kept', ...kept, served };
    if (kept === undefined && served.isCaughtUp) return { way: 'here', served };
    const isPart = isGet && CONDITIONS.every((name) => PARTS.includes(name) || !(name in request.headers));
    const range = isPart
      ? partOfComing(request.headers, served, kept?.answer.strongTag ?? tagOf(served))
      : undefined;
    if (!isWhole && range === undefined) return THERE;
    if (kept !== undefined) {
      return this.#relay.isFetching(path) ? { way: 'kept', ...kept, served, range } : THERE;
    }
    const { size, type } = served;
    const isPlain =
      (size !== undefined || served.isPart) && parameterOf(request, StreamQuery.offset) === undefined;
    // Of JSON an array is made, of which nobody knows the length.
    const isJson = type !== undefined && isJsonType(type);
    return isPlain && !isJson ? { way: 'joined', served, size, ...(range && { range }) } : THERE;
  }

  /**
   * What is written goes to a server of ours only.
   *
   * @throws what {@link #assertOurs} throws
   */
  async #wayOfWrite(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Found> {
    const asker = askerOf(request, 0, client);
    // What is here is only a copy.
    if (request.method === 'DELETE' && (await this.#relay.kindOf(path, asker)) === 'foreign') {
      return { way: 'forgotten' };
    }
    await this.#assertOurs(path, asker);
    return THERE;
  }

  /**
   * Checks that what a path comes from knows what is to be sent to it, with all the rights that this server has there.
   *
   * @throws {MethodNotAllowedError} when it does not
   * @throws {StorageBusyError} while something in front of it answers
   * @throws {UpstreamError} when that cannot be found out
   */
  async #assertOurs(path: ResourcePath, asker: Asker): Promise<void> {
    const kind = await this.#relay.kindOf(path, asker);
    if (kind === 'ours') return;
    if (kind === undefined && this.#relay.upstreamOf(path)?.wasOurs === true) {
      throw new StorageBusyError('what is in front of the server from which this comes answers in its place');
    }
    if (kind === undefined) throw new UpstreamError('nothing tells what the server is from which this comes');
    throw new MethodNotAllowedError(
      'what is here comes from a server to which nothing is written by way of this one, and no WebSocket leads',
    );
  }

  async #wayOfFollow(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<Found> {
    const wanted = followRequestOf(request);
    const { from = 0, lines, holdMs = 0, waitMs, generation } = wanted;
    const comesBack = holdMs > 0;
    if (comesBack && upstream.kind === 'foreign') return THERE;
    const asker: Asker = { ...askerOf(request, waitMs, client), holdMs, follows: true };
    const isSubprotocol = request.headers['sec-websocket-protocol']?.includes(SUBPROTOCOL) === true;
    if (isHandshake(request) && !isSubprotocol) {
      return (await this.#relay.ready(path, { ...asker, waitMs: 0 })) === undefined ? THERE : HERE;
    }
    const asksTo = isHandshake(request) ? 'connect' : 'follow';
    const served = await this.#relay.ready(path, { ...asker, asksTo }).catch((error) => {
      const failure = asGone(error, generation);
      // The rest of what was there may be kept there.
      if (comesBack && failure instanceof ResourceGoneError) return undefined;
      throw failure;
    });
    if (served === undefined) return THERE;
    // It is made here as soon as it is there.
    if (served === 'missing') {
      // The answer to a handshake ends with it.
      client.stay(isHandshake(request) ? request.raw.socket : reply.raw);
      return HERE;
    }
    if (!isServed(served)) return { way: 'given', answer: served };
    if (comesBack) {
      const isOurs = upstream.kind === 'ours';
      if (!isOurs || !(await this.#relay.isHeld(path, wanted, client.signal))) return THERE;
    }
    // There is more than is here, or it is known there that there is not.
    if (upstream.kind === 'ours' && !(await this.#relay.has(path, served, from))) return THERE;
    const isHere = lines === undefined && from >= 0 && from <= served.committed;
    return isHere || served.isCaughtUp ? { way: 'here', served } : THERE;
  }

  async #wayOfLive(
    request: FastifyRequest,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<Found> {
    const served = await this.#relay.ready(path, { ...askerOf(request, 0, client), follows: true });
    if (!isServed(served) || !(await this.#hasOffset(request, path, upstream, served))) return THERE;
    const isFromBeginning = (parameterOf(request, StreamQuery.offset) ?? '-1') === '-1';
    return served.isCaughtUp || isFromBeginning ? { way: 'here', served } : THERE;
  }

  /** Whether the offset that is asked for is here. What is not may be there, or it is known there why it is not. */
  async #hasOffset(
    request: FastifyRequest,
    path: ResourcePath,
    { kind }: Upstream,
    served: Served,
  ): Promise<boolean> {
    // Of events, that of the last one that the client has.
    const token = headerOf(request, 'last-event-id') || parameterOf(request, StreamQuery.offset);
    const place = placeOf(token ?? '');
    if (place === undefined || kind !== 'ours') return true;
    return this.#relay.has(path, served, place.position, place.generation);
  }
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
