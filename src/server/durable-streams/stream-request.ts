import type { FastifyRequest } from 'fastify';
import type { ProducerRequest } from '../../core/log/producers.ts';
import type { CreateRequest, ForkRequest } from '../../core/streams/create-request.ts';
import { isMediaType } from '../../wire/content-type.ts';
import { StreamHeader, StreamQuery } from '../../wire/durable-streams.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { isTimestamp } from '../../wire/timestamp.ts';
import { forkSourceOf } from '../request/fork-source.ts';
import { asksToClose, headerOf, sentTypeOf } from '../request/headers.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { admissionOf } from '../rights/admission.ts';

const WHOLE_NUMBER = /^(0|[1-9]\d*)$/;

/** Longest `Producer-Id` and `Stream-Seq`, in characters: they are kept. */
const MAX_KEPT_LENGTH = 1024;

/** How a read goes on after what is there. */
export type LiveMode = 'long-poll' | 'sse';

/** What a read asks for. */
export interface ReadRequest {
  /** A token, `-1` or `now`. Undefined: the beginning. */
  offset: string | undefined;
  live: LiveMode | undefined;
  cursor: string | undefined;
  /** Of events: the token of the last one that the client has, which wins over the offset. */
  lastEventId: string | undefined;
}

/** @throws {InvalidRequestError} when a parameter is malformed */
export function readRequestOf(request: FastifyRequest): ReadRequest {
  const offset = parameterOf(request, StreamQuery.offset);
  const live = parameterOf(request, StreamQuery.live);
  const cursor = parameterOf(request, StreamQuery.cursor);
  if (live !== undefined && live !== 'long-poll' && live !== 'sse') {
    throw new InvalidRequestError('the query parameter live must be long-poll or sse');
  }
  if (offset === '') throw new InvalidRequestError('the offset is empty');
  if ((live !== undefined || cursor !== undefined) && offset === undefined) {
    throw new InvalidRequestError('a live read needs the query parameter offset');
  }
  return { offset, live, cursor, lastEventId: headerOf(request, 'last-event-id') || undefined };
}

/** What PUT asks for. @throws {InvalidRequestError} when a header is malformed */
export function createRequestOf(request: FastifyRequest, prefix: string): CreateRequest {
  const ttlText = headerOf(request, StreamHeader.ttl);
  const expiresAt = headerOf(request, StreamHeader.expiresAt);
  const ttlSeconds = ttlText === undefined ? undefined : wholeNumber(ttlText, StreamHeader.ttl);
  if (ttlSeconds !== undefined && expiresAt !== undefined) {
    throw new InvalidRequestError('Stream-TTL and Stream-Expires-At exclude each other');
  }
  if (expiresAt !== undefined && !isTimestamp(expiresAt)) {
    throw new InvalidRequestError('Stream-Expires-At must be a time as in RFC 3339');
  }
  const contentType = sentTypeOf(request);
  if (contentType !== undefined && !isMediaType(contentType)) {
    throw new InvalidRequestError('the Content-Type is malformed');
  }
  const hasStreamHeader = Object.keys(request.headers).some((name) => name.startsWith('stream-'));
  return {
    contentType,
    ttlSeconds,
    expiresAt,
    isClosed: asksToClose(request),
    fork: forkRequestOf(request, prefix),
    isUpload: contentType === undefined && !hasStreamHeader && hasBody(request),
  };
}

function forkRequestOf(request: FastifyRequest, prefix: string): ForkRequest | undefined {
  const source = forkSourceOf(request, prefix);
  const offset = headerOf(request, StreamHeader.forkOffset);
  const subOffsetText = headerOf(request, StreamHeader.forkSubOffset);
  if (source === undefined) {
    if (offset === undefined && subOffsetText === undefined) return undefined;
    throw new InvalidRequestError('Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From');
  }
  const subOffset = wholeNumber(subOffsetText ?? '0', StreamHeader.forkSubOffset);
  if (subOffset > 0 && offset === undefined) {
    throw new InvalidRequestError('Stream-Fork-Sub-Offset needs Stream-Fork-Offset');
  }
  return { source: admissionOf(request).require('follow', source), offset, subOffset };
}

/** @throws {InvalidRequestError} when a header is missing or malformed */
export function producerOf(request: FastifyRequest): ProducerRequest | undefined {
  const id = headerOf(request, StreamHeader.producerId);
  const epoch = headerOf(request, StreamHeader.producerEpoch);
  const seq = headerOf(request, StreamHeader.producerSeq);
  if (id === undefined && epoch === undefined && seq === undefined) return undefined;
  if (id === undefined || epoch === undefined || seq === undefined) {
    throw new InvalidRequestError('Producer-Id, Producer-Epoch and Producer-Seq come together or not at all');
  }
  if (id === '' || id.length > MAX_KEPT_LENGTH) {
    throw new InvalidRequestError(`Producer-Id must have 1 to ${MAX_KEPT_LENGTH} characters`);
  }
  return {
    id,
    epoch: wholeNumber(epoch, StreamHeader.producerEpoch),
    seq: wholeNumber(seq, StreamHeader.producerSeq),
  };
}

/** @throws {InvalidRequestError} when it is too long to be kept */
export function sequenceOf(request: FastifyRequest): string | undefined {
  const seq = headerOf(request, StreamHeader.seq);
  if (seq !== undefined && seq.length > MAX_KEPT_LENGTH) {
    throw new InvalidRequestError(`Stream-Seq may have ${MAX_KEPT_LENGTH} characters`);
  }
  return seq;
}

/** Whether a request brings a body. */
export function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text);
  if (!WHOLE_NUMBER.test(text) || !Number.isSafeInteger(value)) {
    const range = `from 0 to ${Number.MAX_SAFE_INTEGER}`;
    throw new InvalidRequestError(`${name} must be a whole number ${range}, without leading zeros`);
  }
  return value;
}

/** Cursors count intervals from here on (Durable Streams protocol, section 10.1). */
const EPOCH_MS = Date.UTC(2024, 9, 9);

const INTERVAL_MS = 20_000;

/** What is added at most when a client is ahead, in seconds. */
const MAX_JITTER_SECONDS = 3600;

/**
 * The cursor of an answer: the number of the current interval, but always above
 * the one that the client brought, so that no cache answers it in a circle.
 */
export function nextCursor(clientCursor: string | undefined): string {
  if (!isAhead(clientCursor)) return String(currentInterval());
  const jitterSeconds = 1 + Math.random() * (MAX_JITTER_SECONDS - 1);
  return String(Number(clientCursor) + Math.ceil((jitterSeconds * 1000) / INTERVAL_MS));
}

/** Whether a cursor is not below the current interval's. */
export function isAhead(clientCursor: string | undefined): boolean {
  if (clientCursor === undefined || !/^\d+$/.test(clientCursor)) return false;
  return Number.isSafeInteger(Number(clientCursor)) && Number(clientCursor) >= currentInterval();
}

function currentInterval(): number {
  return Math.floor((Date.now() - EPOCH_MS) / INTERVAL_MS);
}
