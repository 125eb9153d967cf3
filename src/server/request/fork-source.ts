import type { FastifyRequest } from 'fastify';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { ForbiddenPathError, InvalidRequestError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { headerOf } from './headers.ts';

/**
 * What a stream is to be forked from; undefined when it is to be none.
 *
 * @param prefix what stands before every resource's path in URLs; empty or `/…`
 * @throws {InvalidRequestError} when it is not the path of a URL of this server
 * @throws {ForbiddenPathError} when it is the server's own
 */
export function forkSourceOf(request: FastifyRequest, prefix: string): ResourcePath | undefined {
  const urlPath = headerOf(request, StreamHeader.forkedFrom);
  if (urlPath === undefined) return undefined;
  try {
    const decoded = decodeURIComponent(urlPath.split(/[?#]/, 1)[0] as string);
    if (decoded.startsWith(`${prefix}/`)) return ResourcePath.parse(decoded.slice(prefix.length));
  } catch (cause) {
    if (cause instanceof ForbiddenPathError) throw cause;
    throw new InvalidRequestError('Stream-Forked-From is not the path of a URL', { cause });
  }
  throw new InvalidRequestError(`Stream-Forked-From must begin with ${prefix}/`);
}
