import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Stored } from '../../relay/readiness.ts';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { VERB_HEADER } from '../../wire/protocol.ts';
import { userContentHeaders } from '../response/headers.ts';
import { offeredIn } from '../rights/credential.ts';

/**
 * Those of one connection (RFC 9110, section 7.6.1), besides what `Connection` names. Where a body ends is said anew.
 */
const OF_CONNECTIONS = [
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/**
 * Those that are for whoever gets the request in the end, and mean something else without: no connection is about them.
 */
const END_TO_END = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
  VERB_HEADER,
  'via',
]);

/** What this server says itself, or is for the one before it only, or about all that has the name of a server. */
export const FOR_THE_NEXT = [
  'access-control-allow-credentials',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'alt-svc',
  'clear-site-data',
  'nel',
  'public-key-pins',
  'report-to',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  'strict-transport-security',
];

/** What is for this server: who asks, and for whom. */
const FOR_US = [
  'authorization',
  'cookie',
  'forwarded',
  'host',
  'origin',
  'proxy',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-user',
  'sec-purpose',
  'sec-websocket-protocol',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
];

/** What users, or servers before this one, say of themselves, which only httpfstream servers are told. */
const FOR_HTTPFSTREAM = [
  'referer',
  'true-client-ip',
  'x-api-key',
  'x-auth-token',
  'x-client-ip',
  'x-csrf-token',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
];

/** Begins the names of more of them. */
const FORWARDED = 'x-forwarded-';

/** The headers that go on from one connection to the next: not those of the connection, nor those of `others`. */
export function passedOn(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  others: readonly string[],
): Record<string, string | string[]> {
  const dropped = new Set([...OF_CONNECTIONS, ...namesIn(headers.connection), ...others]);
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) passed[name] = value;
  }
  return passed;
}

/** The headers of a request that go on to an upstream. */
export function passedTo(upstream: Upstream, raw: IncomingMessage): Record<string, string | string[]> {
  const dropped = upstream.kind === 'httpfstream' ? FOR_US : [...FOR_US, ...forHttpfstreamOnly(raw)];
  return { ...passedOn(raw.headers, dropped), ...offeredTo(upstream, raw) };
}

function forHttpfstreamOnly({ headers }: IncomingMessage): string[] {
  return [...FOR_HTTPFSTREAM, ...Object.keys(headers).filter((name) => name.startsWith(FORWARDED))];
}

/** The subprotocols of a handshake. A token among them is for this server, as `Authorization` is. */
function offeredTo({ passesAuthorization }: Upstream, raw: IncomingMessage): Record<string, string> {
  const { bearers, others } = offeredIn(raw);
  const offered = passesAuthorization ? [...others, ...bearers] : others;
  return offered.length > 0 ? { 'sec-websocket-protocol': offered.join(', ') } : {};
}

/**
 * Checks that a request does not take back, as if that were about the connection, what it says to whoever gets it.
 *
 * @throws {InvalidRequestError} when it does
 */
export function assertConnection({ connection }: IncomingHttpHeaders): void {
  const name = namesIn(connection).find((named) => END_TO_END.has(named) || named.startsWith('stream-'));
  if (name !== undefined) throw new InvalidRequestError(`Connection must not name ${name}`);
}

/** How the end of a body is told, in a request or an answer that is passed on: as it was here. */
export function framingOf({ headers }: IncomingMessage): Record<string, string> {
  const { 'transfer-encoding': coding = 'identity', 'content-length': length, trailer } = headers;
  if (coding.trim().toLowerCase() !== 'identity') {
    // Trailers are announced.
    return { 'transfer-encoding': 'chunked', ...(trailer !== undefined && { trailer }) };
  }
  return length === undefined ? {} : { 'content-length': length };
}

function namesIn(connection: string | string[] | undefined): string[] {
  return [connection ?? []]
    .flat()
    .flatMap((list) => list.split(',').map((name) => name.trim().toLowerCase()));
}

const POLICY = 'content-security-policy';

/**
 * The headers of what an upstream answers: in a browser it is nobody's page, as all that is served
 * here and comes from upstreams.
 *
 * @param request that it is the answer to
 * @param cacheStatus how a cache has answered (RFC 9211)
 */
export function headersOfOther(
  request: FastifyRequest,
  headers: Readonly<Record<string, string | string[]>>,
  cacheStatus: string,
): Record<string, string | string[]> {
  const { 'content-type': type = '', [POLICY]: policy, 'cache-status': caches } = headers;
  const own = userContentHeaders(request, String(type));
  return {
    ...headers,
    ...own,
    // Each of them holds.
    ...(policy !== undefined && { [POLICY]: [own[POLICY], policy].flat().filter(isText).join(', ') }),
    'cache-status': [caches, `httpfstream; ${cacheStatus}`].flat().filter(isText).join(', '),
  };
}

/**
 * What is said of a copy of a file of an httpfstream server.
 *
 * @param via the servers through which the request has come, this one included
 */
export function asCopy({ cacheStatus }: Pick<Stored, 'cacheStatus'>, via: string): Record<string, string> {
  return cacheStatus === '' ? {} : { via, 'cache-status': `httpfstream; ${cacheStatus}` };
}

/** On what an answer depends: on what it says itself, and on what was said here before (CORS). */
export function varyOf(
  reply: FastifyReply,
  { vary }: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const all = [reply.getHeader('vary'), vary].flat().filter((value) => typeof value === 'string');
  return all.length === 0 ? {} : { vary: all.join(', ') };
}

/**
 * The headers of what an httpfstream server answers: in a browser it is nobody's page, even if it does not say so
 * itself.
 */
export function sandboxed(
  request: FastifyRequest,
  headers: Readonly<Record<string, string | string[]>>,
): Record<string, string | string[]> {
  const { [POLICY]: policy } = userContentHeaders(request, String(headers['content-type'] ?? ''));
  return {
    ...(policy !== undefined && { [POLICY]: policy }),
    ...headers,
    'x-content-type-options': 'nosniff',
  };
}

function isText(value: string | undefined): value is string {
  return value !== undefined;
}
