import type { FastifyReply } from 'fastify';
import { METHODS } from '../../wire/protocol.ts';

/** What changes nothing. */
const READS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** Answers with the methods that who asks may use, and nothing else. */
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
