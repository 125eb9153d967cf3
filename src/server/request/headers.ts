import type { IncomingMessage } from 'node:http';
import accepts from 'accepts';
import type { FastifyRequest } from 'fastify';
import { isMediaType } from '../../wire/content-type.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { isStatus, STATUS_HEADER } from '../../wire/protocol.ts';

/** Stands for a malformed type. */
const ANY_TYPE = 'application/octet-stream';

/** The `Content-Type` of a request as it was sent; undefined when there is none, or nothing in it. */
export function sentTypeOf({ raw }: FastifyRequest): string | undefined {
  return raw.headers['content-type'] || undefined;
}

/**
 * Lets every `Content-Type` through. Fastify refuses a malformed one before the
 * request is routed, though it may have nothing to do with a type. What does uses
 * {@link sentTypeOf}.
 */
export function allowAnyType(request: FastifyRequest): void {
  const type = request.raw.headers['content-type'];
  if (type !== undefined && !isMediaType(type)) request.headers = { 'content-type': ANY_TYPE };
}

/**
 * The exit status that an appender sends: in a trailer, which it may not know before, or else in a header.
 *
 * @throws {InvalidRequestError} when it is none
 */
export function statusOf({ headers, trailers }: IncomingMessage): number | undefined {
  const text = trailers[STATUS_HEADER] ?? headers[STATUS_HEADER];
  if (text === undefined) return undefined;
  const status = Number(text);
  if (typeof text === 'string' && /^\d+$/.test(text) && isStatus(status)) return status;
  throw new InvalidRequestError('Stream-Status must be a number from 0 to 255');
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

/** Longest `Accept` that is parsed: a long one takes a hundred times as long as all the rest of a request. */
const MAX_ACCEPT_LENGTH = 2048;

/** Which of these types a client prefers: the first, if it has no preference; undefined when it takes none. */
export function preferredType<T extends string>(
  { raw }: FastifyRequest,
  types: readonly [T, ...T[]],
): T | undefined {
  const { accept = '' } = raw.headers;
  if (accept.length > MAX_ACCEPT_LENGTH) return types[0];
  return (accepts(raw).type([...types]) || undefined) as T | undefined;
}
