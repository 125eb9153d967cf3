import type { FastifyRequest } from 'fastify';

/** Whether a request has a query parameter with one of these names. */
export function hasParameter({ query }: FastifyRequest, names: ReadonlySet<string>): boolean {
  for (const name in query as object) if (names.has(name)) return true;
  return false;
}
