import type { FastifyRequest } from 'fastify';
import type { AppendRequest, FollowRequest } from '../../core/request.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { MAX_HOLD_SECONDS, MAX_WAIT_SECONDS, QueryName } from '../../wire/protocol.ts';
import { parameterOf } from './query-parameters.ts';

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
  return {
    session,
    attempt: integerOf(request, QueryName.attempt, 0),
    expect: integerOf(request, QueryName.expect, 0),
    generation: integerOf(request, QueryName.generation, 0),
    closes: asksToClose(request),
  };
}

/**
 * Refuses what only makes sense for an append to one file.
 *
 * @throws {InvalidRequestError} when the query asks for anything of an appender
 */
export function assertNoAppendRequest(request: FastifyRequest): void {
  for (const name of [QueryName.session, QueryName.attempt, QueryName.expect, QueryName.generation]) {
    if (parameterOf(request, name) === undefined) continue;
    throw new InvalidRequestError(`the query parameter ${name} does not go together with a form`);
  }
}

/** Whether a stream is to be closed; any other value than `true` is as good as none. */
export function asksToClose(request: FastifyRequest): boolean {
  return headerOf(request, StreamHeader.closed)?.toLowerCase() === 'true';
}

/** When a header came several times, Node has joined them. */
export function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
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
