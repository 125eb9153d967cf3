import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import type { Reader } from '../../core/readers/reader.ts';
import type { Fetched } from '../../relay/pull/copying.ts';
import type { Coming } from '../../relay/readiness.ts';
import { ResourceGoneError, StorageBusyError } from '../../wire/errors.ts';
import { breakOff } from '../response/break-off.ts';
import { rangesFor } from '../response/byte-ranges.ts';
import type { Range } from '../response/file-body.ts';
import { LastModified } from '../response/last-modified.ts';
import { JoinedBody } from './joined-body.ts';

/**
 * What begins not further than this beyond what is here is waited for, in bytes: else the upstream has it sooner.
 */
const MAX_AHEAD_BYTES = 8 * 1024 * 1024;

/** Of what tells no date. */
const NO_DATE = new LastModified(0, false, 0);

/**
 * The part of what is still coming that a request asks for, if it comes soon.
 *
 * @param etag its strong entity tag; empty without one
 */
export function partOfComing(
  headers: IncomingHttpHeaders,
  { committed, size, isFinal }: Fetched,
  etag: string,
): Range | undefined {
  if (size === undefined || !isFinal) return undefined;
  const wanted = rangesFor(headers, size, etag, NO_DATE);
  if (wanted.kind !== 'partial' || wanted.ranges.length !== 1) return undefined;
  const [range] = wanted.ranges as [Range];
  return range.start <= committed + MAX_AHEAD_BYTES ? range : undefined;
}

/**
 * The bytes of a file that is still coming, and who reads them.
 *
 * @param range default: all that come
 * @param reply broken off when they do not come
 * @throws {StorageBusyError} when it is being replaced
 * @throws what {@link Followers.follow} throws
 */
export async function joinPart(
  core: Core,
  permit: Permit<'follow'>,
  { generation, committed, overflow }: Pick<Fetched, 'generation' | 'committed'> & Pick<Coming, 'overflow'>,
  range: Range = { start: 0, end: Number.POSITIVE_INFINITY },
  { raw }: FastifyReply,
  signal: AbortSignal,
): Promise<{ body: JoinedBody; reader: Reader }> {
  const from = Math.min(range.start, committed);
  const cut = () => breakOff(raw, range.end !== Number.POSITIVE_INFINITY);
  const { http } = core.numbers.reads;
  const body = new JoinedBody(http, cut, range.end - range.start, range.start - from, overflow);
  try {
    const reader = await core.followers.follow(permit, { from, generation }, body, signal);
    body.follow(reader);
    return { body, reader };
  } catch (error) {
    body.destroy();
    if (error instanceof ResourceGoneError) throw beingReplaced();
    throw error;
  }
}

export function beingReplaced(): StorageBusyError {
  return new StorageBusyError('what is kept of this is being replaced');
}
