import type { IncomingHttpHeaders } from 'node:http';
import fresh from 'fresh';

/**
 * Whether a client has the answer already (RFC 9110, section 13). That it tells
 * caches on the way to ask again (`Cache-Control`) is none of the origin's business.
 */
export function isFresh(
  headers: IncomingHttpHeaders,
  validators: { etag: string; 'last-modified'?: string },
): boolean {
  return fresh({ ...headers, 'cache-control': undefined }, validators);
}
