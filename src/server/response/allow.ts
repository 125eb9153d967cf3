import type { FastifyReply } from 'fastify';
import { METHODS } from '../../wire/protocol.ts';

/** What changes nothing. */
const READS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** Answers whether appending is among what who asks may do, by the methods for it. Of the others, reading is named. */
export function sendAllow(reply: FastifyReply, mayAppend: boolean): FastifyReply {
  const allowed = mayAppend ? METHODS.filter((method) => method !== 'DELETE') : READS;
  return reply
    .code(204)
    .headers({
      allow: allowed.join(', '),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    .send();
}
