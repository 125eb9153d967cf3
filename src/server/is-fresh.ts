import type { IncomingHttpHeaders } from 'node:http';
import fresh from 'fresh';

/** What is between the quotes may be anything, commas too; weak ones count as strong ones. */
const ENTITY_TAG = /(?<=^|[\s,]|W\/)"[^"]*"/g;

/**
 * Whether a client has the answer already (RFC 9110, section 13). That it tells
 * caches on the way to ask again (`Cache-Control`) is none of the origin's business.
 */
export function isFresh(
  headers: IncomingHttpHeaders,
  validators: { etag: string; 'last-modified'?: string },
): boolean {
  const tags = headers['if-none-match'];
  if (tags === undefined) return fresh({ ...headers, 'cache-control': undefined }, validators);
  const known: readonly string[] = tags.match(ENTITY_TAG) ?? [];
  return tags.trim() === '*' || known.includes(validators.etag);
}
