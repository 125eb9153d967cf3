import type { IncomingMessage } from 'node:http';
import { again, canRepeatBody } from '../body/body.ts';
import { RedirectError } from '../errors.ts';
import type { FetchBody, FetchInit } from '../fetch.ts';
import { shownLocation } from '../shown-location.ts';

export const MAX_REDIRECTS = 20;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

const OF_BODIES = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
  'expect',
];

/**
 * What another origin is told as well. The rest may be a secret, whatever it is called: a token in
 * a header of one's own is no less one than `Authorization`.
 */
const FOR_ANYBODY = new Set([
  ...OF_BODIES,
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'pragma',
  'range',
  'user-agent',
]);

/** The error of a redirect that is not followed. */
export function refusedRedirect(why: string, status: number, location: string): RedirectError {
  return new RedirectError(`${why} (${status} to ${shownLocation(location)})`, status, location);
}

/** Where an answer leads to, if it is a redirect. */
export function locationOf({ statusCode, headers: { location } }: IncomingMessage): string | undefined {
  if (location === undefined || !REDIRECTS.has(statusCode as number)) return undefined;
  // What is not ASCII is meant as UTF-8; Node takes headers for Latin-1.
  return Buffer.from(location, 'latin1').toString();
}

/**
 * The request that follows a redirect (Fetch standard, "HTTP-redirect fetch").
 *
 * @throws {RedirectError} when it leads nowhere, or the body cannot be sent once more
 */
export function redirected(
  from: URL,
  init: FetchInit,
  status: number,
  location: string,
): { url: URL; init: FetchInit } {
  const refuse = (why: string) => refusedRedirect(why, status, location);
  if (!URL.canParse(location, from.href)) throw refuse('a redirect is malformed');
  const url = new URL(location, from);
  if (!/^https?:$/.test(url.protocol)) throw refuse('a redirect leads out of HTTP');
  if (url.username !== '' || url.password !== '') throw refuse('a redirect has credentials');
  const headers = new Headers(init.headers);
  if (url.origin !== from.origin) {
    for (const name of [...headers.keys()]) if (!FOR_ANYBODY.has(name)) headers.delete(name);
  }
  const { body, ...rest } = init;
  const isPost = init.method === 'POST' && (status === 301 || status === 302);
  if (isPost || (status === 303 && init.method !== 'GET' && init.method !== 'HEAD')) {
    for (const name of OF_BODIES) headers.delete(name);
    return { url, init: { ...rest, method: 'GET', headers } };
  }
  if (!canRepeatBody(body)) throw refuse('a body that can be sent only once was redirected');
  return { url, init: { ...rest, headers, ...(body && { body: again(body) as FetchBody }) } };
}
