import type { FastifyRequest } from 'fastify';
import { StreamQuery } from '../../wire/durable-streams.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { QueryName } from '../../wire/protocol.ts';
import { isHandshake, verbOf } from './request-target.ts';

/** What a request may be about that has parameters. */
type Operation = 'append' | 'follow' | 'read';

/** Which of the query parameters has a meaning for what, beside the verb. Others are nobody's business here. */
const OPERATIONS_OF: Readonly<Record<string, readonly Operation[]>> = {
  [QueryName.from]: ['follow'],
  [QueryName.lines]: ['follow'],
  [QueryName.wait]: ['follow'],
  [QueryName.hold]: ['follow'],
  [QueryName.generation]: ['follow', 'append'],
  [QueryName.session]: ['append'],
  [QueryName.attempt]: ['append'],
  [QueryName.expect]: ['append'],
  [StreamQuery.offset]: ['read'],
  [StreamQuery.live]: ['read'],
  [StreamQuery.cursor]: ['read'],
};

/** What is said of each to who uses a parameter elsewhere. */
const NAMES: Readonly<Record<Operation, string>> = {
  append: 'the verb APPEND',
  follow: 'the verb FOLLOW',
  read: 'GET and HEAD without a verb',
};

/**
 * Checks that each of the server's own query parameters has a meaning for the
 * request, so that nobody takes an answer for what was asked for in vain.
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

/** The parameter's value as it was sent, of a query that was checked. */
export function parameterOf(request: FastifyRequest, name: string): string | undefined {
  return (request.query as Record<string, string | undefined>)[name];
}

/** @throws {InvalidRequestError} for a verb that is none, or not one for the method */
function operationOf(request: FastifyRequest): Operation | undefined {
  const { method } = request;
  const verb = verbOf(request);
  const isRead = method === 'GET' || method === 'HEAD';
  if (verb === 'APPEND' && (isRead || method === 'PUT' || method === 'POST')) return 'append';
  if (verb === 'FOLLOW' && isRead) return 'follow';
  if (verb === 'APPEND') throw new InvalidRequestError('the verb APPEND goes with PUT, POST and WebSockets');
  if (verb === 'FOLLOW') throw new InvalidRequestError('the verb FOLLOW goes with GET and WebSockets');
  if (isHandshake(request)) return 'follow';
  return isRead ? 'read' : undefined;
}
