import { targetUrl } from '../client/session/target-url.ts';
import { InvalidUrlError } from '../wire/errors.ts';

/** What tells a page, or a worker, where it is. */
interface Surroundings {
  document?: { baseURI: string };
  location?: { href: string };
}

/**
 * Parses the URL of a resource, which may be relative to the page's.
 *
 * @throws {InvalidUrlError} when it cannot be parsed, is neither http(s) nor ws(s), or has a user and a password, which
 *   a browser does not send
 */
export function pageUrl(url: string | URL): URL {
  const { document, location } = globalThis as Surroundings;
  const base = document?.baseURI ?? location?.href;
  const target = targetUrl(URL.canParse(String(url), base) ? new URL(url, base) : url);
  if (target.username !== '' || target.password !== '') {
    throw new InvalidUrlError('a URL with a user and a password is of no use in a page: give a token');
  }
  return target;
}

/** The same URL as browsers want it for what they do: `http` for requests, `ws` for WebSockets. */
export function withScheme(url: URL, scheme: 'http' | 'ws'): URL {
  const isSecure = url.protocol === 'https:' || url.protocol === 'wss:';
  const changed = new URL(url);
  changed.protocol = isSecure ? `${scheme}s:` : `${scheme}:`;
  return changed;
}
