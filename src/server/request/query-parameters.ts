import type { FastifyRequest } from 'fastify';
import type { AppendRequest, FollowRequest } from '../../core/request.ts';
import { isContentType, MAX_TYPE_LENGTH } from '../../wire/content-type.ts';
import { StreamQuery } from '../../wire/durable-streams.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { LIST_VIEW, RAW_QUERY, VIEW_QUERY } from '../../wire/page.ts';
import { SEARCH_VIEW } from '../../wire/page-requests.ts';
import { MAX_HOLD_SECONDS, MAX_WAIT_SECONDS, QueryName } from '../../wire/protocol.ts';
import { asksToClose } from './headers.ts';
import { isHandshake, verbOf } from './request-target.ts';
import { hasParameter } from './target.ts';

/** What takes parameters. */
type Operation = 'append' | 'follow' | 'read' | 'search' | 'watch';

/** Which operations a query parameter belongs to. Unknown ones are ignored. */
const OPERATIONS_OF: Readonly<Record<string, readonly Operation[]>> = {
  [QueryName.from]: ['follow', 'search'],
  [QueryName.lines]: ['follow'],
  [QueryName.wait]: ['follow'],
  [QueryName.hold]: ['follow'],
  [QueryName.status]: ['follow'],
  [QueryName.generation]: ['follow', 'append'],
  [QueryName.session]: ['append'],
  [QueryName.attempt]: ['append'],
  [QueryName.expect]: ['append'],
  [QueryName.contentType]: ['append'],
  [StreamQuery.offset]: ['read'],
  [StreamQuery.live]: ['read'],
  [StreamQuery.cursor]: ['read'],
  [RAW_QUERY]: ['read'],
  [VIEW_QUERY]: ['read', 'search', 'watch'],
};

/** With one of these a read is one of a stream. */
const STREAM_PARAMETERS: ReadonlySet<string> = new Set(Object.values(StreamQuery));

/** What each is called in refusals. */
const NAMES: Readonly<Record<Operation, string>> = {
  append: 'the verb APPEND',
  follow: 'the verb FOLLOW',
  read: 'GET and HEAD without a verb',
  search: `${VIEW_QUERY}=${SEARCH_VIEW}`,
  watch: 'following a directory',
};

/**
 * Checks that each of the server's own query parameters means something for the
 * request: else it would be ignored, and the answer taken for what was asked for.
 *
 * @throws {InvalidRequestError} when one has none, or came several times, and for a verb that has none
 */
export function assertParameters(request: FastifyRequest): void {
  const operation = operationOf(request);
  for (const [name, value] of Object.entries(request.query as object)) {
    if (!Object.hasOwn(OPERATIONS_OF, name)) continue;
    const operations = OPERATIONS_OF[name] as readonly Operation[];
    if (Array.isArray(value))
      throw new InvalidRequestError(`the query parameter ${name} came more than once`);
    if (operation !== undefined && operations.includes(operation)) continue;
    const names = operations.map((other) => NAMES[other]).join(' and ');
    throw new InvalidRequestError(`the query parameter ${name} goes with ${names}, and means nothing here`);
  }
}

/** Whether a read is one of the Durable Streams protocol, by its parameters. */
export function hasStreamParameter(request: FastifyRequest): boolean {
  return hasParameter(request, STREAM_PARAMETERS);
}

/** The parameter's value as it was sent. The query must have been checked. */
export function parameterOf(request: FastifyRequest, name: string): string | undefined {
  return (request.query as Record<string, string | undefined>)[name];
}

/** @throws {InvalidRequestError} for a verb that is none, or not one for the method */
function operationOf(request: FastifyRequest): Operation | undefined {
  const { method } = request;
  const verb = verbOf(request);
  const isRead = method === 'GET' || method === 'HEAD';
  if (verb === 'APPEND' && (isRead || method === 'PUT' || method === 'POST')) return 'append';
  if (isWatch(request)) return 'watch';
  if (verb === 'FOLLOW' && isRead) return 'follow';
  if (verb === 'APPEND') throw new InvalidRequestError('the verb APPEND goes with PUT, POST and WebSockets');
  if (verb === 'FOLLOW') throw new InvalidRequestError('the verb FOLLOW goes with GET and WebSockets');
  if (isHandshake(request)) return 'follow';
  if (!isRead) return undefined;
  return parameterOf(request, VIEW_QUERY) === SEARCH_VIEW ? 'search' : 'read';
}

/**
 * Whether a follower is to be told each second what goes on.
 *
 * @throws {InvalidRequestError} when it is neither said nor denied
 */
export function asksForStatus(request: FastifyRequest): boolean {
  const text = parameterOf(request, QueryName.status) ?? '0';
  if (text === '0' || text === '1') return text === '1';
  throw new InvalidRequestError(`the query parameter ${QueryName.status} must be 0 or 1`);
}

/**
 * Whether a request follows what is in a directory: a handshake for its list, or one without an upgrade that names the verb,
 * with which pages ask why theirs was refused.
 */
export function isWatch(request: FastifyRequest): boolean {
  if (request.method !== 'GET' || parameterOf(request, VIEW_QUERY) !== LIST_VIEW) return false;
  const verb = verbOf(request);
  return verb === 'FOLLOW' || (verb === undefined && isHandshake(request));
}

const SESSION = /^[\w-]{16,128}$/;

/**
 * What a follower's query asks for, and for how many milliseconds it waits for a resource that is missing.
 *
 * @throws {InvalidRequestError} when a parameter is malformed
 */
export function followRequestOf(request: FastifyRequest): FollowRequest & { waitMs: number } {
  const from = integerOf(request, QueryName.from, Number.MIN_SAFE_INTEGER);
  const lines = integerOf(request, QueryName.lines, 0);
  if (from !== undefined && lines !== undefined) {
    throw new InvalidRequestError('the query parameters from and lines exclude each other');
  }
  const generation = integerOf(request, QueryName.generation, 0);
  const waitMs = millisecondsOf(request, QueryName.wait, MAX_WAIT_SECONDS);
  const holdMs = millisecondsOf(request, QueryName.hold, MAX_HOLD_SECONDS);
  return { from, lines, generation, waitMs, holdMs };
}

/**
 * What an appender's query asks for.
 *
 * @throws {InvalidRequestError} when a parameter is malformed
 */
export function appendRequestOf(request: FastifyRequest): AppendRequest {
  const session = parameterOf(request, QueryName.session);
  if (session !== undefined && !SESSION.test(session)) {
    throw new InvalidRequestError('the query parameter session must be 16 to 128 letters, digits, - or _');
  }
  const fileType = parameterOf(request, QueryName.contentType);
  if (fileType !== undefined && !isContentType(fileType)) {
    throw new InvalidRequestError(
      `the query parameter ${QueryName.contentType} must be a content type of ${MAX_TYPE_LENGTH} characters at most`,
    );
  }
  return {
    session,
    fileType,
    attempt: integerOf(request, QueryName.attempt, 0),
    expect: integerOf(request, QueryName.expect, 0),
    generation: integerOf(request, QueryName.generation, 0),
    closes: asksToClose(request),
  };
}

const NOT_WITH_FORMS: readonly string[] = [
  QueryName.session,
  QueryName.attempt,
  QueryName.expect,
  QueryName.generation,
  QueryName.contentType,
];

/**
 * Refuses what only makes sense for an append to one file.
 *
 * @throws {InvalidRequestError} when the query asks for anything of an appender
 */
export function assertNoAppendRequest(request: FastifyRequest): void {
  for (const name of NOT_WITH_FORMS) {
    if (parameterOf(request, name) === undefined) continue;
    throw new InvalidRequestError(`the query parameter ${name} does not go together with a form`);
  }
}

/** A time that is given in seconds. */
function millisecondsOf(request: FastifyRequest, name: string, maxSeconds: number): number {
  const text = parameterOf(request, name) ?? '0';
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds > maxSeconds) {
    throw new InvalidRequestError(`the query parameter ${name} must be between 0 and ${maxSeconds} seconds`);
  }
  return seconds * 1000;
}

function integerOf(request: FastifyRequest, name: string, min: number): number | undefined {
  const text = parameterOf(request, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
    throw new InvalidRequestError(
      `the query parameter ${name} must be a whole number${min === 0 ? ', not negative' : ''}`,
    );
  }
  return value;
}
