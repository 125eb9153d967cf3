import type { FastifyReply } from 'fastify';
import type { OffsetNames } from '../../core/streams/stream-offset.ts';
import type { StreamState, StreamView } from '../../core/streams/stream-view.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { ProducerFencedError, ProducerGapError, StreamClosedError } from '../../wire/errors.ts';
import { STATUS_HEADER } from '../../wire/protocol.ts';

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

/**
 * Entity tag of the bytes from `start` to the end; closing a stream changes it, too.
 *
 * @param isArray whether they are sent as a JSON array
 */
export function streamTag({ state, names }: StreamView, start: number, isArray: boolean): string {
  const closed = state.closed === true ? '-c' : '';
  const array = isArray ? '-a' : '';
  return `"${names.nameOf(start)}-${names.nameOf(state.size)}${closed}${array}"`;
}

/** Sets the headers that go with a refusal. */
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

/** The header, or trailer, with the exit status, if there is one. */
export function statusHeaders(status: number | undefined): Record<string, string> {
  return status === undefined ? {} : { [STATUS_HEADER]: String(status) };
}

/**
 * Types of which a browser makes no document that could run scripts or show
 * others: a sandbox would only keep their players from loading them.
 */
const MEDIA = /^(?:audio|image|video)\/[\w.-]+$/;

/**
 * A page that somebody has stored may run scripts, so that reports can be read,
 * but as nobody's: in an origin of its own, to which this server gives nothing but what
 * a page loads from beside itself (page-paths.ts).
 */
const SANDBOX = 'sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox allow-scripts';

const MEDIA_HEADERS: Readonly<Record<string, string>> = {
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
};

const HEADERS: Readonly<Record<string, string>> = { 'content-security-policy': SANDBOX, ...MEDIA_HEADERS };

/** Keeps browsers from trusting bytes that users have brought, whichever way they are sent. */
export function userContentHeaders(contentType: string): Readonly<Record<string, string>> {
  return MEDIA.test(contentType) ? MEDIA_HEADERS : HEADERS;
}

/** Tells caches that an answer depends on a header of the request, too. */
export function addVary(reply: FastifyReply, header: string): void {
  const others = reply.getHeader('vary');
  const named = String(others ?? '').toLowerCase();
  if (named.split(', ').includes(header.toLowerCase())) return;
  reply.header('vary', others === undefined ? header : `${others}, ${header}`);
}
