import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Fetched } from '../../relay/pull/copying.ts';
import type { Coming } from '../../relay/readiness.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { contentRange } from '../response/byte-ranges.ts';
import { copyTag } from '../response/conditions.ts';
import { contentTypeOf } from '../response/content-type.ts';
import type { Range } from '../response/file-body.ts';
import { statusHeaders, userContentHeaders } from '../response/headers.ts';
import { LastModified } from '../response/last-modified.ts';
import { sendStream } from '../response/send-bytes.ts';
import { admissionOf } from '../rights/admission.ts';
import { joinPart } from './joined-part.ts';

/** What is read of a file of an httpfstream server that still comes. */
export interface Joined {
  coming: Coming;
  /**
   * The bytes that are asked for. Default: those that were there when it was asked for, or, if nobody knows how many
   * these are, all that come.
   */
  range?: Range;
}

/**
 * Answers with what the file had when it was asked for, or a part of that, as it comes.
 *
 * @throws what {@link joinPart} throws
 */
export async function sendJoined(
  core: Core,
  request: FastifyRequest,
  reply: FastifyReply,
  path: ResourcePath,
  { coming: { fetched, overflow }, range }: Joined,
  signal: AbortSignal,
): Promise<void> {
  const permit = admissionOf(request).require('follow', path);
  const { size } = fetched;
  const wanted = range ?? (size === undefined ? undefined : { start: 0, end: size });
  const { body, reader } = await joinPart(core, permit, { ...fetched, overflow }, wanted, reply, signal);
  const { feed, outcome } = reader;
  const nowMs = Date.now();
  const type = contentTypeOf(feed.givenType, path.segments.at(-1) ?? '', feed.file, feed.committed);
  if (range !== undefined) reply.code(206).header('content-range', contentRange(range, size as number));
  reply.headers({
    ...userContentHeaders(request, type),
    'content-type': type,
    ...(wanted !== undefined && { 'content-length': wanted.end - wanted.start }),
    'cache-control': 'no-cache',
    'accept-ranges': 'bytes',
    ...(size !== undefined && { etag: tagOf(fetched) }),
    // As of all that grows: a date that no later state of it has.
    'last-modified': new LastModified(nowMs, false, nowMs).header,
    ...statusHeaders(outcome?.status),
  });
  void sendStream(request, reply, body);
}

/** The strong entity tag of what still comes; empty without one. */
export function tagOf({ size, generation }: Fetched): string {
  return size === undefined || generation === undefined ? '' : copyTag(size, generation);
}
