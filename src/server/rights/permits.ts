import type { FastifyRequest } from 'fastify';
import type { Permit } from '../../core/permit.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { hasStreamParameter } from '../request/query-parameters.ts';
import { isMultipart, offersSubprotocol, verbOf } from '../request/request-target.ts';
import { admissionOf } from './admission.ts';

/**
 * The permit for a read of a file; undefined for what may not be read. Whoever appends may ask with `HEAD` how much
 * there is: an append tells it, too.
 */
export function permitIfToRead(
  request: FastifyRequest,
  path: ResourcePath,
): Permit<'follow' | 'append'> | undefined {
  const admission = admissionOf(request);
  const permit = admission.permit('follow', path);
  return permit === undefined && request.method === 'HEAD' ? admission.permit('append', path) : permit;
}

/**
 * As {@link permitIfToRead}.
 *
 * @throws what {@link Permit.require} throws
 */
export function permitToRead(request: FastifyRequest, path: ResourcePath): Permit<'follow' | 'append'> {
  return permitIfToRead(request, path) ?? admissionOf(request).require('follow', path);
}

/**
 * The permit for what changes something, by the method.
 *
 * @throws what {@link Permit.require} throws
 */
export function permitToWrite(
  request: FastifyRequest,
  path: ResourcePath,
): Permit<'append' | 'form' | 'delete'> {
  const admission = admissionOf(request);
  if (request.method === 'DELETE') return admission.require('delete', path);
  return admission.require(isForm(request) ? 'form' : 'append', path);
}

/** Whether a read is one of a stream, never of a directory. */
export function isOfStream(request: FastifyRequest): boolean {
  return verbOf(request) === 'FOLLOW' || offersSubprotocol(request) || hasStreamParameter(request);
}

/** Whether a request appends to several files of a directory. */
export function isForm(request: FastifyRequest): boolean {
  return verbOf(request) === 'APPEND' && isMultipart(request);
}
