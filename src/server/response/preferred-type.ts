import accepts from 'accepts';
import type { FastifyRequest } from 'fastify';

/** Longest `Accept` that is looked at: a long one takes a hundred times as long as all the rest of a request. */
const MAX_ACCEPT_LENGTH = 2048;

/** Which of these types a client prefers: the first, if it has no preference; undefined when it takes none. */
export function preferredType<T extends string>(
  { raw }: FastifyRequest,
  types: readonly [T, ...T[]],
): T | undefined {
  const { accept = '' } = raw.headers;
  if (accept.length > MAX_ACCEPT_LENGTH) return types[0];
  return (accepts(raw).type([...types]) || undefined) as T | undefined;
}
