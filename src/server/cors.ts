import type { FastifyReply, FastifyRequest } from 'fastify';
import { VERB_HEADER } from '../protocol.ts';
import { StreamHeader } from '../stream-protocol.ts';
import { addVary } from './vary.ts';

const METHODS = 'DELETE, GET, HEAD, OPTIONS, POST, PUT';

/** How long a browser may remember what is allowed, in seconds. */
const MAX_AGE_SECONDS = '86400';

const REQUEST_HEADERS = [
  'authorization',
  'content-encoding',
  'content-type',
  'if-none-match',
  'range',
  VERB_HEADER,
  ...Object.values(StreamHeader),
].join(', ');

const RESPONSE_HEADERS = [
  'content-range',
  'etag',
  'location',
  'retry-after',
  'stream-generation',
  'stream-position',
  ...Object.values(StreamHeader),
].join(', ');

/** A hook that lets pages of these origins read the answers (CORS); `*` stands for all. */
export function allowOrigins(origins: readonly string[]) {
  const isForAll = origins.includes('*');
  return async ({ headers }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { origin } = headers;
    if (!isForAll && origins.length > 0) addVary(reply, 'Origin');
    if (origin === undefined || !(isForAll || origins.includes(origin))) return;
    reply.headers({
      'access-control-allow-origin': isForAll ? '*' : origin,
      'access-control-expose-headers': RESPONSE_HEADERS,
    });
  };
}

/** Answers OPTIONS: what a page could send, if its origin is allowed. */
export function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .code(204)
    .headers({
      allow: METHODS,
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': REQUEST_HEADERS,
      'access-control-max-age': MAX_AGE_SECONDS,
      'x-content-type-options': 'nosniff',
    })
    .send();
}
