import type { IncomingHttpHeaders } from 'node:http';
import { PreconditionFailedError } from '../../wire/errors.ts';
import type { LastModified } from './last-modified.ts';
import { parseHttpDate } from './last-modified.ts';

/** What is between the quotes may be anything, commas too. */
const ENTITY_TAG = /(?<=^|[\s,])(?:W\/)?"[^"]*"/g;

/** What tells one state of a resource from others. */
export interface Validators {
  /** One for each form in which it is served. */
  etags: readonly string[];
  /** Undefined where no date tells. */
  lastModified?: LastModified | undefined;
}

/**
 * The entity tag of the first bytes of a copy: the same wherever they are copied to, and while the rest still comes.
 *
 * @param generation of the file of which it is a copy
 */
export function copyTag(size: number, generation: number, ...others: readonly string[]): string {
  return `"${[size.toString(36), generation.toString(36), ...others].join('-')}"`;
}

/**
 * Checks that a client still means what is there (`If-Match`, `If-Unmodified-Since`; RFC 9110, section 13).
 *
 * @throws {PreconditionFailedError} when it means something else
 */
export function assertUnchanged(headers: IncomingHttpHeaders, { etags, lastModified }: Validators): void {
  const tags = headers['if-match'];
  const since = headers['if-unmodified-since'];
  if (tags !== undefined) {
    // A weak one never matches here.
    if (tags.trim() === '*' || tagsIn(tags).some((tag) => etags.includes(tag))) return;
    throw new PreconditionFailedError('the resource has another entity tag');
  }
  if (since === undefined || lastModified === undefined || Number.isNaN(parseHttpDate(since))) return;
  if (lastModified.isNotAfter(since)) return;
  throw new PreconditionFailedError('the resource may have changed since then');
}

/**
 * Whether a client has the answer already (`If-None-Match`, else `If-Modified-Since`). Its `Cache-Control`
 * is for caches on the way, and not for the origin.
 */
export function isFresh(headers: IncomingHttpHeaders, validators: Validators): boolean {
  const since = headers['if-modified-since'];
  if (headers['if-none-match'] !== undefined) return isKnown(headers['if-none-match'], validators);
  return since !== undefined && validators.lastModified?.isUnchangedSince(since) === true;
}

/** Whether a request names a condition under which alone it is to change something. */
export function isConditional(headers: IncomingHttpHeaders): boolean {
  return ['if-match', 'if-none-match', 'if-unmodified-since'].some((name) => name in headers);
}

/**
 * Checks the conditions under which something is to be changed.
 *
 * @param current undefined when there is nothing
 * @throws {PreconditionFailedError} when one does not hold
 */
export function assertChangeable(headers: IncomingHttpHeaders, current: Validators | undefined): void {
  const known = headers['if-none-match'];
  if (current === undefined) {
    if (headers['if-match'] !== undefined) throw new PreconditionFailedError('there is nothing at this path');
    return;
  }
  assertUnchanged(headers, current);
  if (known !== undefined && isKnown(known, current)) {
    throw new PreconditionFailedError('there is already what must not be');
  }
}

/** A weak tag counts as a strong one. */
function isKnown(tags: string, { etags }: Validators): boolean {
  return tags.trim() === '*' || tagsIn(tags).some((tag) => etags.includes(tag.replace(/^W\//, '')));
}

function tagsIn(list: string): readonly string[] {
  return list.match(ENTITY_TAG) ?? [];
}
