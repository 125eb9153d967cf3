import type { IncomingMessage } from 'node:http';
import { type Host, parseHost } from '../request/host.ts';

/** Whose pages may use the server, beside those that come from the server itself. */
export interface OtherOrigins {
  has(origin: string): boolean;
}

/**
 * Whether a browser sends a request on behalf of a page that is neither the
 * server's own nor of `others`. Clients that are no browsers send none of what tells.
 *
 * @param host what the request is for; undefined when it does not say
 */
export function isForeign(
  { method, headers }: IncomingMessage,
  host: Host | undefined,
  others: OtherOrigins,
): boolean {
  const { origin } = headers;
  if (origin !== undefined) return !isOwn(origin, host) && !others.has(origin);
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  // To follow a link is to look at it, and nothing more. What is only fetched ahead nobody looks at yet.
  const isNavigation =
    method === 'GET' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    headers['sec-purpose'] === undefined;
  return !isNavigation;
}

/** The scheme is not compared: TLS may end before the server. `null` is nobody's. */
function isOwn(origin: string, host: Host | undefined): boolean {
  const authority = /^https?:\/\/(.+)$/.exec(origin)?.[1];
  const from = authority === undefined ? undefined : parseHost(authority);
  return from !== undefined && from.name === host?.name && from.port === host.port;
}
