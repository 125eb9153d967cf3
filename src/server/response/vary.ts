import type { FastifyReply } from 'fastify';

/** Tells caches that an answer depends on a header of the request, beside others that were told. */
export function addVary(reply: FastifyReply, header: string): void {
  const others = reply.getHeader('vary');
  reply.header('vary', others === undefined ? header : `${others}, ${header}`);
}
