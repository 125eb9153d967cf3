/**
 * A URL, or what was typed for one, as it may be shown: without user and password.
 * Of what is no URL everything up to the last `@` goes: it may be a part of them.
 */
export function withoutCredentials(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.host === '') return text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1');
  // As it was typed, where nothing is to be hidden.
  return hasCredentials(url) ? bare(url).href : text;
}

/** A text as it may be shown: no URL in it has user and password. */
export function textWithoutCredentials(text: string): string {
  // From `://` on: a search for whole schemes would begin anew at each letter.
  return text.replace(/:\/\/[^\s/?#]*@/g, '://');
}

/** A URL without user and password, and what they are as a request header. */
export function splitCredentials(url: URL): { url: URL; headers: Record<string, string> } {
  if (!hasCredentials(url)) return { url, headers: {} };
  const pair = Buffer.from(`${decode(url.username)}:${decode(url.password)}`);
  return { url: bare(url), headers: { authorization: `Basic ${pair.toString('base64')}` } };
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

/** What is no escape is meant as it stands. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
