import { InvalidUrlError } from '../../wire/errors.ts';

const PROTOCOLS = ['http:', 'https:', 'ws:', 'wss:'];

/**
 * Parses the URL of a resource, and drops its fragment.
 *
 * @throws {InvalidUrlError} when it cannot be parsed, or is neither http(s) nor ws(s)
 */
export function targetUrl(url: string | URL): URL {
  const shown = withoutCredentials(String(url));
  if (!URL.canParse(String(url))) throw new InvalidUrlError(`invalid URL: ${shown}`);
  const target = new URL(url);
  if (!PROTOCOLS.includes(target.protocol)) {
    throw new InvalidUrlError(`the URL must begin with http:// or https://: ${shown}`);
  }
  target.hash = '';
  return target;
}

/** Splits a URL into one without user and password, and the request header that carries them. */
export function splitCredentials(url: URL): { url: URL; headers: Record<string, string> } {
  if (!hasCredentials(url)) return { url, headers: {} };
  const pair = new TextEncoder().encode(`${decode(url.username)}:${decode(url.password)}`);
  return { url: bare(url), headers: { authorization: `Basic ${btoa(String.fromCharCode(...pair))}` } };
}

/**
 * Removes user and password from a URL, or from what was typed as one, so that it can be shown.
 * If it cannot be parsed, everything up to the last `@` goes: it may be part of them.
 */
export function withoutCredentials(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.host === '') return text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1');
  // Without credentials it is shown as it was typed, not normalised.
  return hasCredentials(url) ? bare(url).href : text;
}

/** Removes user and password from all URLs in a text, so that it can be shown. */
export function textWithoutCredentials(text: string): string {
  // Matches from `://` on: a search for whole schemes would start again at each letter.
  return text.replace(/:\/\/[^\s/?#]*@/g, '://');
}

function hasCredentials({ username, password }: URL): boolean {
  return username !== '' || password !== '';
}

function bare(url: URL): URL {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy;
}

/** Decodes percent-escapes; a text with a malformed one is taken literally. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
