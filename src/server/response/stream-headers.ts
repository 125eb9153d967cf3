import type { FastifyReply } from 'fastify';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import type { StreamState, StreamView } from '../../core/streams/stream-view.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { ProducerFencedError, ProducerGapError, StreamClosedError } from '../../wire/errors.ts';
import type { JsonForm } from '../json/json-response.ts';

/** What an answer says of a stream whose bytes up to `end` it has. */
export function streamHeaders({ state, names }: StreamView, end: number): Record<string, string> {
  const isUpToDate = end === state.size;
  return {
    [StreamHeader.nextOffset]: names.nameOf(end),
    ...(isUpToDate && { [StreamHeader.upToDate]: 'true' }),
    ...(isUpToDate && closedHeader(state)),
  };
}

/** That a stream is closed, if it is. */
export function closedHeader({ closed }: StreamState): Record<string, string> {
  return closed === true ? { [StreamHeader.closed]: 'true' } : {};
}

/** When a stream expires, if it does. */
export function expiryHeaders({ ttlSeconds, expiresAt }: StreamState): Record<string, string> {
  return {
    ...(ttlSeconds !== undefined && { [StreamHeader.ttl]: String(ttlSeconds) }),
    ...(expiresAt !== undefined && { [StreamHeader.expiresAt]: expiresAt }),
  };
}

/** Entity tag of the bytes from `start` to the end; closing a stream changes it, too. */
export function streamTag({ state, names }: StreamView, start: number, form: JsonForm | undefined): string {
  const closed = state.closed === true ? '-c' : '';
  const array = form?.isArray ? '-a' : '';
  return `"${names.nameOf(start)}-${names.nameOf(state.size)}${closed}${array}"`;
}

/** Adds to the answer what a refusal says beside its status. */
export function setRefusalHeaders(reply: FastifyReply, error: unknown, names: OffsetNames | undefined): void {
  if (error instanceof StreamClosedError) {
    const { size } = error;
    if (names !== undefined && size !== undefined) reply.header(StreamHeader.nextOffset, names.nameOf(size));
  } else if (error instanceof ProducerFencedError) {
    reply.header(StreamHeader.producerEpoch, String(error.epoch));
  } else if (error instanceof ProducerGapError) {
    reply.header(StreamHeader.producerExpectedSeq, String(error.expected));
    reply.header(StreamHeader.producerReceivedSeq, String(error.received));
  }
}
