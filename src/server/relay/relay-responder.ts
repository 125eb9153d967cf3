import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import { Relay } from '../../relay/relay.ts';
import { Forwarder } from '../../relay/upstream/forward.ts';
import type { UpstreamOption } from '../../relay/upstream/upstream-option.ts';
import { StreamQuery } from '../../wire/durable-streams.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { descriptorLimit, liveResourcesWithin } from '../node/connections/descriptor-limit.ts';
import { followRequestOf, isWatch, parameterOf } from '../request/query-parameters.ts';
import { isHandshake } from '../request/request-target.ts';
import { sendAllow } from '../response/allow.ts';
import { permitToPass } from '../rights/needs.ts';
import { askerOf, Client, viaOf } from './client.ts';
import { ForkedFrom } from './forked-from.ts';
import { sendJoined } from './joined-download.ts';
import { asCopy } from './passed-on.ts';
import { isFollow, isRead, Routes } from './routes.ts';
import { StoredResponder } from './stored-responder.ts';
import { type Passage, Tunnel } from './tunnel.ts';
import { othersQuery, passedQuery } from './written-path.ts';

/** Longest time to the head of an answer of an upstream, in milliseconds. */
const HEAD_TIMEOUT_MS = 30_000;

/** Longest time without a byte of what does not come from an httpfstream server, in milliseconds. */
const SILENCE_MS = 60_000;

/** How long something is fetched that nobody reads, in milliseconds. */
const IDLE_MS = 30_000;

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

/**
 * Asked before all protocols: what comes from upstreams is here, or under way, when it goes on to them. What cannot
 * be read from here is passed on.
 */
export class RelayResponder {
  readonly #core: Core;
  readonly #forwarder = new Forwarder();
  readonly #relay: Relay;
  readonly #routes: Routes;
  readonly #tunnel: Tunnel;
  readonly #stored: StoredResponder;
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
      keepBytes: upstreamKeepBytes,
      goesOnForNobody: upstreamKeep,
      // Each has a connection and a file, and somebody reads it.
      maxPulls: Math.max(1, liveResourcesWithin(descriptorLimit())),
    });
    this.#routes = new Routes(this.#relay, prefix);
    this.#forkedFrom = new ForkedFrom(this.#relay, prefix);
    this.#prefix = prefix;
    this.#longPollMs = longPollMs;
    this.#tunnel = new Tunnel(server, this.#forwarder, appends, prefix);
    this.#stored = new StoredResponder(core, prefix);
  }

  /** Finds what a server before this one has kept. Never rejects. */
  findCopies(): Promise<void> {
    return this.#relay.findCopies();
  }

  /** Whether a path comes from an upstream. */
  covers(path: ResourcePath): boolean {
    return this.#relay.upstreamOf(path) !== undefined;
  }

  /**
   * Whether people see what is at a path, and comes from an upstream, in a page of this server. What they see of a directory of a
   * plain HTTP server, and of what such a server makes of a query, is up to that one.
   */
  async isShownHere(request: FastifyRequest, path: ResourcePath): Promise<boolean> {
    const upstream = this.#relay.upstreamOf(path);
    if (upstream === undefined) return false;
    const isTheirs = path.isRoot || path.trailingSlash || othersQuery(request) !== '';
    if (!isTheirs || upstream.wasHttpfstream) return true;
    const client = new Client(request);
    try {
      return (await this.#relay.kindOf(path, askerOf(request, 0, client))) === 'httpfstream';
    } catch {
      // It is told why when it is passed on.
      return false;
    } finally {
      client.release();
    }
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
      const route = await this.#routes.of(request, path, upstream, client);
      if (route.kind === 'served') {
        // The answer to a handshake ends with its connection.
        if (route.waits === true) client.stay(isHandshake(request) ? request.raw.socket : reply.raw);
        if (route.served !== undefined) reply.headers(asCopy(route.served, via));
        if (route.isLive === true && !request.raw.socket.destroyed) {
          reply.raw.once('close', this.#relay.watch(path, viaOf(request)));
        }
        return false;
      }
      if (route.kind === 'cached') {
        await this.#stored.send(request, reply, path, { ...route, via, upstream }, client.signal);
      } else if (route.kind === 'joined') {
        reply.headers(asCopy(route.coming, via));
        await sendJoined(this.#core, request, reply, path, route, client.signal);
      } else if (route.kind === 'given') {
        const passage = { permit, upstream, path, via, silenceMs: SILENCE_MS };
        this.#tunnel.give(request, reply, route.answer.release(), passage);
      } else if (route.kind === 'readable') {
        await sendAllow(reply, false);
      } else if (route.kind === 'forgotten') {
        this.#stored.assertMeant(request, await this.#relay.storedAt(path));
        await this.#relay.invalidate(path);
        await reply.code(204).header('x-content-type-options', 'nosniff').send();
      } else {
        const { authorization } = route;
        if ((isHandshake(request) || isWatch(request)) && authorization === undefined) {
          await this.#routes.assertHttpfstream(path, askerOf(request, 0, client));
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
      queryString: passedQuery(request, path, passage.upstream),
      headTimeoutMs: HEAD_TIMEOUT_MS,
      waitMs: this.#waitOf(request),
      silenceMs: SILENCE_MS,
    });
    if (isRead(request)) return;
    this.#relay.changed(path);
    // The connection is the append's own.
    if (isHandshake(request)) request.raw.socket.once('close', () => this.#relay.changed(path));
  }

  /** How long the upstream waits before it answers, because it was asked to, in milliseconds. */
  #waitOf(request: FastifyRequest): number {
    if (!isRead(request)) return 0;
    if (isFollow(request)) return followRequestOf(request).waitMs;
    return parameterOf(request, StreamQuery.live) === undefined ? 0 : this.#longPollMs;
  }
}
