import type { FastifyRequest } from 'fastify';
import { asGone } from '../../core/preconditions.ts';
import { placeOf } from '../../core/streams/stream-offset.ts';
import { isJsonType } from '../../core/streams/stream-type.ts';
import type { Asker } from '../../relay/pull/asker.ts';
import { isCaughtUp, isServed, PASS, type Served } from '../../relay/readiness.ts';
import type { Relay } from '../../relay/relay.ts';
import type { OpenAnswer } from '../../relay/upstream/open-answer.ts';
import { isCanonical, type Upstream } from '../../relay/upstream/upstream.ts';
import { StreamQuery } from '../../wire/durable-streams.ts';
import {
  MethodNotAllowedError,
  ResourceGoneError,
  StorageBusyError,
  UpstreamError,
} from '../../wire/errors.ts';
import { APPEND_VIEW } from '../../wire/page-requests.ts';
import { SUBPROTOCOL } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { headerOf } from '../request/headers.ts';
import { pageRequestOf } from '../request/page-request.ts';
import { followRequestOf, parameterOf } from '../request/query-parameters.ts';
import { isHandshake, verbOf } from '../request/request-target.ts';
import { admissionOf } from '../rights/admission.ts';
import { askerOf, type Client } from './client.ts';
import { type Joined, tagOf } from './joined-download.ts';
import { partOfComing } from './joined-part.ts';
import type { StoredCopy } from './stored-responder.ts';
import { othersQuery, writtenPath } from './written-path.ts';

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

/** How a request is served that is for what comes from an upstream. */
export type Route =
  /**
   * By the protocols of this server: it is here. Who reads it live may stay for longer than it comes, and who `waits` does
   * so for what is not there.
   */
  | { kind: 'served'; isLive?: boolean; waits?: boolean; served?: Served }
  /** From the file while it still comes. */
  | ({ kind: 'joined' } & Joined)
  /** As the plain HTTP server has answered: it is here, or under way. */
  | ({ kind: 'cached' } & Omit<StoredCopy, 'via' | 'upstream'>)
  /** With the answer that was got for it, and is not kept. */
  | { kind: 'given'; answer: OpenAnswer }
  /** With what may be done with it: to read it, and no more. */
  | { kind: 'readable' }
  /** By dropping what is here. */
  | { kind: 'forgotten' }
  /** By the upstream. */
  | { kind: 'passed'; authorization?: string };

const SERVED: Route = { kind: 'served' };

const PASS_ON: Route = { kind: 'passed' };

/** Decides how requests are served for what comes from upstreams. */
export class Routes {
  readonly #relay: Relay;
  readonly #prefix: string;

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  constructor(relay: Relay, prefix: string) {
    this.#relay = relay;
    this.#prefix = prefix;
  }

  /**
   * How a request is served for a path that comes from an upstream.
   *
   * @throws what {@link Relay.ready} and {@link assertHttpfstream} throw
   */
  async of(request: FastifyRequest, path: ResourcePath, upstream: Upstream, client: Client): Promise<Route> {
    const { authorization } = request.headers;
    const isUsers = authorization !== undefined && upstream.passesAuthorization;
    // What is read from here is written here.
    if ((isUsers || !isRead(request)) && (await this.#relay.isLocal(path))) return SERVED;
    if (isUsers) {
      // What this user may see is decided there, and is for nobody else.
      const kind = await this.#relay.kindOf(path, askerOf(request, 0, client), authorization);
      if (kind === 'httpfstream') return { kind: 'passed', authorization };
    }
    if (!isRead(request)) return this.#routeOfWrite(request, path, client);
    if (path.isRoot || path.trailingSlash) return PASS_ON;
    if (upstream.kind !== 'httpfstream' && !isCanonical(writtenPath(request, this.#prefix, path), path))
      return PASS_ON;
    if (pageRequestOf(request) === APPEND_VIEW) return this.#routeOfQuestion(request, path, client);
    if (pageRequestOf(request) !== undefined) return this.#routeOfPageRequest(request, path, client);
    if (isFollow(request)) return this.#routeOfFollow(request, path, upstream, client);
    if (parameterOf(request, StreamQuery.live) !== undefined) {
      const route = await this.#routeOfLive(request, path, upstream, client);
      return route.kind === 'served' ? { ...route, isLive: upstream.kind === 'httpfstream' } : route;
    }
    return this.#routeOfRead(request, path, upstream, client);
  }

  async #routeOfRead(
    request: FastifyRequest,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
    isAgain = false,
  ): Promise<Route> {
    if (upstream.kind !== 'httpfstream' && isPersonal(request)) return PASS_ON;
    const isGet = request.method === 'GET';
    const isWhole = isGet && !CONDITIONS.some((name) => name in request.headers);
    // For a part of what is not here the whole of it is not fetched.
    const asker = askerOf(request, 0, client);
    const readiness = isWhole
      ? await this.#relay.ready(path, { ...asker, asksTo: 'read' })
      : await this.#relay.readyIfHere(path, asker);
    if (readiness.way === 'answer') return { kind: 'given', answer: readiness.answer };
    if (!isServed(readiness) || !(await this.#hasOffset(request, path, upstream, readiness))) return PASS_ON;
    const { cacheStatus } = readiness;
    // By now its kind is known.
    const stored = upstream.kind === 'httpfstream' ? undefined : await this.#relay.storedAt(path);
    if (stored?.copied.outcome?.reason === 'finished') return { kind: 'cached', ...stored, cacheStatus };
    if (stored === undefined && isCaughtUp(readiness)) return { kind: 'served', served: readiness };
    // What was here a moment ago is being replaced by now: what comes is joined.
    if (readiness.way === 'stored') {
      return isAgain ? PASS_ON : this.#routeOfRead(request, path, upstream, client, true);
    }
    const { fetched } = readiness;
    const isPart = isGet && CONDITIONS.every((name) => PARTS.includes(name) || !(name in request.headers));
    const range = isPart
      ? partOfComing(request.headers, fetched, stored?.answer.strongTag ?? tagOf(fetched))
      : undefined;
    if (!isWhole && range === undefined) return PASS_ON;
    if (stored !== undefined) {
      const isFetching = this.#relay.isFetching(path);
      return isFetching ? { kind: 'cached', ...stored, cacheStatus, coming: readiness, range } : PASS_ON;
    }
    const { size, type } = fetched;
    const isPlain =
      (size !== undefined || fetched.isAtomic) && parameterOf(request, StreamQuery.offset) === undefined;
    // Of JSON an array is made, of which nobody knows the length.
    const isJson = type !== undefined && isJsonType(type);
    return isPlain && !isJson ? { kind: 'joined', coming: readiness, ...(range && { range }) } : PASS_ON;
  }

  /**
   * Lines are counted, and something is searched for, where all of it is: here, or, if that is an httpfstream server, there. Of
   * what comes from another server so much as is here.
   *
   * @throws {UpstreamError} when nothing is kept here of what comes from a plain HTTP server
   * @throws what {@link Relay.kindOf} throws
   */
  async #routeOfPageRequest(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Route> {
    const asker = askerOf(request, 0, client);
    const readiness = await this.#relay.readyIfHere(path, asker);
    if (isServed(readiness) && isCaughtUp(readiness)) return { kind: 'served', served: readiness };
    if ((await this.#relay.kindOf(path, asker)) === 'httpfstream') return PASS_ON;
    if (isServed(readiness)) return { kind: 'served', served: readiness };
    throw new UpstreamError('nothing is kept here of what the server has from which this comes');
  }

  /** Whether something may be appended to is known where it would be written; and for that it takes the right here, too. */
  async #routeOfQuestion(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Route> {
    if (await this.#relay.isLocal(path)) return SERVED;
    const isPlain = (await this.#relay.storedAt(path)) !== undefined;
    if (isPlain || admissionOf(request).permit('append', path) === undefined) return { kind: 'readable' };
    const kind = await this.#relay.kindOf(path, askerOf(request, 0, client));
    return kind === 'httpfstream' ? PASS_ON : { kind: 'readable' };
  }

  /**
   * What is written goes to an httpfstream server only.
   *
   * @throws what {@link assertHttpfstream} throws
   */
  async #routeOfWrite(request: FastifyRequest, path: ResourcePath, client: Client): Promise<Route> {
    const asker = askerOf(request, 0, client);
    // What is here is only a copy.
    if (request.method === 'DELETE' && (await this.#relay.kindOf(path, asker)) === 'http') {
      return { kind: 'forgotten' };
    }
    await this.assertHttpfstream(path, asker);
    return PASS_ON;
  }

  /**
   * Checks that what a path comes from knows what is to be sent to it, with all the rights that this server has there.
   *
   * @throws {MethodNotAllowedError} when it does not
   * @throws {StorageBusyError} while something in front of it answers
   * @throws {UpstreamError} when that cannot be found out
   */
  async assertHttpfstream(path: ResourcePath, asker: Asker): Promise<void> {
    const kind = await this.#relay.kindOf(path, asker);
    if (kind === 'httpfstream') return;
    if (kind === undefined && this.#relay.upstreamOf(path)?.wasHttpfstream === true) {
      throw new StorageBusyError('what is in front of the server from which this comes answers in its place');
    }
    if (kind === undefined) throw new UpstreamError('nothing tells what the server is from which this comes');
    throw new MethodNotAllowedError(
      'what is here comes from a server to which nothing is written by way of this one, and no WebSocket leads',
    );
  }

  async #routeOfFollow(
    request: FastifyRequest,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<Route> {
    const wanted = followRequestOf(request);
    const { from = 0, lines, holdMs = 0, waitMs, generation } = wanted;
    const comesBack = holdMs > 0;
    if (comesBack && upstream.kind === 'http') return PASS_ON;
    const asker: Asker = { ...askerOf(request, waitMs, client), holdMs, follows: true };
    const isSubprotocol = request.headers['sec-websocket-protocol']?.includes(SUBPROTOCOL) === true;
    if (isHandshake(request) && !isSubprotocol) {
      return (await this.#relay.ready(path, { ...asker, waitMs: 0 })).way === 'pass' ? PASS_ON : SERVED;
    }
    const asksTo = isHandshake(request) ? 'connect' : 'follow';
    const readiness = await this.#relay.ready(path, { ...asker, asksTo }).catch((error) => {
      const failure = asGone(error, generation);
      // The rest of what was there may be kept there.
      if (comesBack && failure instanceof ResourceGoneError) return PASS;
      throw failure;
    });
    if (readiness.way === 'pass') return PASS_ON;
    // It is made here as soon as it is there.
    if (readiness.way === 'missing') return { kind: 'served', waits: true };
    if (readiness.way === 'answer') return { kind: 'given', answer: readiness.answer };
    if (comesBack) {
      const isHttpfstream = upstream.kind === 'httpfstream';
      if (!isHttpfstream || !(await this.#relay.isHeld(path, wanted, client.signal))) return PASS_ON;
    }
    // There nobody follows anything: from where, is about what is here.
    if (upstream.kind === 'http') return { kind: 'served', served: readiness };
    // There is more than is here, or it is known there that there is not.
    if (!(await this.#relay.has(path, readiness, from, generation))) return PASS_ON;
    const isWithin = readiness.way === 'coming' && from >= 0 && from <= readiness.fetched.committed;
    const isEnough = isCaughtUp(readiness) || (lines === undefined && isWithin);
    return isEnough ? { kind: 'served', served: readiness } : PASS_ON;
  }

  async #routeOfLive(
    request: FastifyRequest,
    path: ResourcePath,
    upstream: Upstream,
    client: Client,
  ): Promise<Route> {
    const readiness = await this.#relay.ready(path, { ...askerOf(request, 0, client), follows: true });
    if (!isServed(readiness) || !(await this.#hasOffset(request, path, upstream, readiness))) return PASS_ON;
    const isFromBeginning = (parameterOf(request, StreamQuery.offset) ?? '-1') === '-1';
    return isCaughtUp(readiness) || isFromBeginning ? { kind: 'served', served: readiness } : PASS_ON;
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
    if (place === undefined || kind !== 'httpfstream') return true;
    return this.#relay.has(path, served, place.position, place.generation);
  }
}

/** Whether nothing is written by a request. */
export function isRead(request: FastifyRequest): boolean {
  const { method } = request;
  return (method === 'GET' || method === 'HEAD') && verbOf(request) !== 'APPEND';
}

/** Whether what a plain HTTP server answers may be for this reader only, or for this query. */
function isPersonal(request: FastifyRequest): boolean {
  const { headers } = request;
  return othersQuery(request) !== '' || headers.authorization !== undefined || headers.cookie !== undefined;
}

/** Whether a request is one to follow. */
export function isFollow(request: FastifyRequest): boolean {
  return request.method === 'GET' && (isHandshake(request) || verbOf(request) === 'FOLLOW');
}
