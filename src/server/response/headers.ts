import type { FastifyReply, FastifyRequest } from 'fastify';
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

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the scripts run of pages that users have stored. Default: they do not. */
    pageScripts?: boolean;
  }
}

/**
 * Types of which a browser makes no document that could run scripts or show
 * others: a sandbox would only keep their players, and the one of PDF, from loading them.
 */
const SHOWN_BY_PLAYERS = /^(?:(?:audio|image|video)\/[\w.-]+|application\/pdf)$/;

/** A page that somebody has stored is nobody's: it has an origin of its own, to which this server gives nothing but … */
const SANDBOX = 'sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox';

/** … what a page loads from beside itself (page-paths.ts); which may be scripts, so that reports can be read. */
const SANDBOX_WITH_SCRIPTS = `${SANDBOX} allow-scripts`;

const PLAYED_HEADERS: Readonly<Record<string, string>> = {
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
};

const headersWith = (policy: string) => ({ 'content-security-policy': policy, ...PLAYED_HEADERS });
const HEADERS: Readonly<Record<string, string>> = headersWith(SANDBOX);
const HEADERS_WITH_SCRIPTS: Readonly<Record<string, string>> = headersWith(SANDBOX_WITH_SCRIPTS);

/** Keeps browsers from trusting bytes that users have brought, whichever way they are sent. */
export function userContentHeaders(
  { routeOptions: { config } }: Pick<FastifyRequest, 'routeOptions'>,
  contentType: string,
): Readonly<Record<string, string>> {
  if (SHOWN_BY_PLAYERS.test(contentType)) return PLAYED_HEADERS;
  return config.pageScripts === true ? HEADERS_WITH_SCRIPTS : HEADERS;
}

/** Tells caches that an answer depends on a header of the request, too. */
export function addVary(reply: FastifyReply, header: string): void {
  const others = reply.getHeader('vary');
  const named = String(others ?? '').toLowerCase();
  if (named.split(', ').includes(header.toLowerCase())) return;
  reply.header('vary', others === undefined ? header : `${others}, ${header}`);
}
