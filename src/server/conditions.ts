import type { IncomingHttpHeaders } from 'node:http';
import { PreconditionFailedError } from '../errors.ts';
import type { LastModified } from './last-modified.ts';

/** What is between the quotes may be anything, commas too. */
const ENTITY_TAG = /(?<=^|[\s,])(?:W\/)?"[^"]*"/g;

/** What tells an answer from others. */
export interface Validators {
  etag: string;
  /** Undefined where no date tells. */
  lastModified?: LastModified | undefined;
}

/**
 * Checks that a client still means what is there (`If-Match`, `If-Unmodified-Since`; RFC 9110, section 13).
 *
 * @throws {PreconditionFailedError} when it means something else
 */
export function assertUnchanged(headers: IncomingHttpHeaders, { etag, lastModified }: Validators): void {
  const tags = headers['if-match'];
  const since = headers['if-unmodified-since'];
  if (tags !== undefined) {
    // A weak one never matches here.
    if (tags.trim() === '*' || tagsIn(tags).includes(etag)) return;
    throw new PreconditionFailedError('the resource has another entity tag');
  }
  if (since === undefined || lastModified === undefined || Number.isNaN(Date.parse(since))) return;
  if (lastModified.isUnchangedSince(since)) return;
  throw new PreconditionFailedError('the resource may have changed since then');
}

/**
 * Whether a client has the answer already (`If-None-Match`, else `If-Modified-Since`). That it tells
 * caches on the way to ask again (`Cache-Control`) is none of the origin's business.
 */
export function isFresh(headers: IncomingHttpHeaders, { etag, lastModified }: Validators): boolean {
  const tags = headers['if-none-match'];
  const since = headers['if-modified-since'];
  // A weak one counts as a strong one.
  if (tags !== undefined)
    return tags.trim() === '*' || tagsIn(tags).some((tag) => tag.replace(/^W\//, '') === etag);
  return since !== undefined && lastModified?.isUnchangedSince(since) === true;
}

function tagsIn(list: string): readonly string[] {
  return list.match(ENTITY_TAG) ?? [];
}
