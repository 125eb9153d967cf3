import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import {
  AppendConflictError,
  HttpfstreamError,
  ServerClosingError,
  StorageError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { sendAllow } from '../response/allow.ts';
import { admissionOf } from '../rights/admission.ts';

/**
 * Answers whether who asks may append to a path, now or when nobody else does. It is never a refusal: a page asks this of
 * everything that it shows, and a browser would call each of these a failure.
 *
 * @throws {ServerClosingError} {@link StorageError} when that is not known
 */
export async function sendWhetherToAppend(
  core: Core,
  request: FastifyRequest,
  reply: FastifyReply,
  path: ResourcePath,
): Promise<FastifyReply> {
  const permit = admissionOf(request).permit('append', path);
  if (permit === undefined) return sendAllow(reply, false);
  try {
    await core.sessions.assertMayOpen(permit, {});
    return sendAllow(reply, true);
  } catch (error) {
    const isAnswer =
      error instanceof HttpfstreamError &&
      !(error instanceof ServerClosingError || error instanceof StorageError);
    if (!isAnswer) throw error;
    // Who waits until the other appender is done may append then.
    return sendAllow(reply, error instanceof AppendConflictError);
  }
}
