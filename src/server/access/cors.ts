import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { GENERATION_HEADER, METHODS, STATUS_HEADER, VERB_HEADER } from '../../wire/protocol.ts';

/** How long a browser may remember what is allowed, in seconds. */
const MAX_AGE_SECONDS = 86_400;

const REQUEST_HEADERS = [
  'authorization',
  'content-encoding',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-event-id',
  'range',
  STATUS_HEADER,
  VERB_HEADER,
  ...Object.values(StreamHeader),
];

const RESPONSE_HEADERS = [
  'content-range',
  'etag',
  'location',
  'retry-after',
  GENERATION_HEADER,
  'stream-position',
  STATUS_HEADER,
  ...Object.values(StreamHeader),
];

/**
 * Lets pages of these origins read the answers (CORS); `*` stands for all. If
 * the application has registered `@fastify/cors`, that one is used as it is.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0 || app.hasRequestDecorator('corsPreflightEnabled')) return;
  await app.register(cors, {
    origin: [...origins],
    methods: [...METHODS],
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: RESPONSE_HEADERS,
    maxAge: MAX_AGE_SECONDS,
    // Others than browsers may ask what there is, too.
    strictPreflight: false,
  });
}

/** Tells what there is to those who ask with OPTIONS. To be called before CORS answers. */
export function announceMethods({ method }: FastifyRequest, reply: FastifyReply): void {
  if (method === 'OPTIONS') reply.headers({ allow: METHODS.join(', '), 'x-content-type-options': 'nosniff' });
}
