import type { FastifyRequest } from 'fastify';
import { SUBSCRIPTIONS_SEGMENT } from '../../wire/durable-streams.ts';
import {
  ForbiddenPathError,
  InvalidPathError,
  InvalidRequestError,
  UpgradeRequiredError,
} from '../../wire/errors.ts';
import { SUBPROTOCOL, VERB_HEADER, VERB_QUERY, type Verb } from '../../wire/protocol.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { withoutKey } from '../access/page-paths.ts';
import { asksForWebSocket } from '../node/requests/request-head.ts';
import { hostOf, parseTarget } from './target.ts';

/**
 * The verb of a request, if it names one; the header wins over the query.
 *
 * @throws {InvalidRequestError} when one of them is another word
 */
export function verbOf(request: FastifyRequest): Verb | undefined {
  const inQuery = toVerb((request.query as Record<string, unknown>)[VERB_QUERY]);
  return toVerb(request.headers[VERB_HEADER]) ?? inQuery;
}

function toVerb(word: unknown): Verb | undefined {
  if (word === 'APPEND' || word === 'FOLLOW') return word;
  if (word === undefined || word === '') return undefined;
  throw new InvalidRequestError('the verb must be APPEND or FOLLOW, in capitals, and be named once');
}

/** The URL of a path on this server, as the client reached it; the path alone when it did not say how. */
export function absoluteUrl(request: FastifyRequest, path: string): string {
  const host = hostOf(request);
  const scheme = request.protocol === 'https' ? 'https' : 'http';
  return host === '' ? path : `${scheme}://${host}${path}`;
}

/**
 * The resource that a request to the `/*` route names.
 *
 * @param isElsewhere whether what is at a path comes from an upstream, which may have longer names
 * @throws what {@link ResourcePath.parse} throws
 * @throws {ForbiddenPathError} for what the Durable Streams protocol keeps for subscriptions
 * @throws {InvalidPathError} for a target that is neither a path nor a URL with one: `*`, say, which names the server
 */
export function resourceOf(
  request: FastifyRequest,
  isElsewhere: (path: ResourcePath) => boolean = () => false,
): ResourcePath {
  if (!parseTarget(request.url).isResource) throw new InvalidPathError('the request names no resource');
  const path = parsePath(withoutKey(request));
  if (!isElsewhere(path)) path.assertNamesFit();
  assertNotReserved(path);
  return path;
}

/** The last one: it is parsed to decide what is needed, and by whoever answers. */
let lastPath: { text: string; path: ResourcePath } | undefined;

function parsePath(text: string): ResourcePath {
  if (lastPath?.text !== text) lastPath = { text, path: ResourcePath.parseAny(text) };
  return lastPath.path;
}

/** @throws {ForbiddenPathError} for what the Durable Streams protocol keeps for subscriptions */
export function assertNotReserved({ segments }: ResourcePath): void {
  if (segments[0] !== SUBSCRIPTIONS_SEGMENT) return;
  throw new ForbiddenPathError('the path is reserved for subscriptions, which this server does not have');
}

/** Whether a client offers to speak the subprotocol. */
export function offersSubprotocol({ headers }: FastifyRequest): boolean {
  const offered = headers['sec-websocket-protocol']?.split(',') ?? [];
  return offered.some((name) => name.trim() === SUBPROTOCOL);
}

/** Whether the body of a request is a form. */
export function isMultipart({ headers }: FastifyRequest): boolean {
  return /^multipart\/form-data\s*(;|$)/i.test(headers['content-type'] ?? '');
}

/** Whether the request asks for a WebSocket, with the one method that can. */
export function isHandshake({ method, raw }: FastifyRequest): boolean {
  return method === 'GET' && asksForWebSocket(raw);
}

const KEY = /^[+/0-9A-Za-z]{22}==$/;

/**
 * Validates a handshake before anything is opened for it (RFC 6455, section 4.2.1).
 *
 * @throws {UpgradeRequiredError} when it is none
 * @throws {InvalidRequestError} when its key or version is wrong
 */
export function assertHandshake(request: FastifyRequest): void {
  if (!isHandshake(request)) {
    throw new UpgradeRequiredError('to append, connect with a WebSocket');
  }
  if (!KEY.test(request.headers['sec-websocket-key'] ?? '')) {
    throw new InvalidRequestError('the Sec-WebSocket-Key header is missing or invalid');
  }
  if (request.headers['sec-websocket-version'] !== '13') {
    throw new InvalidRequestError('the Sec-WebSocket-Version header must be 13');
  }
}
