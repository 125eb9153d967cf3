import { ResourcePath } from '../wire/resource-path.ts';

/** Where what is below a path comes from. */
export interface UpstreamOption {
  /** Path below which it applies, without a slash at its end; empty for all. */
  prefix: string;
  /** Without a slash at its end, a query, a fragment and credentials. */
  url: URL;
  /** Of all requests to it: they may be secrets. */
  headers: Readonly<Record<string, string>>;
}

const OPTION = /^(?:(?<prefix>\/[^=]*)=)?(?<url>https?:\/\/.+)$/i;

/**
 * Parses `URL`, for all paths, or `/prefix=URL`. User and password in it become the header `Authorization`.
 *
 * @throws {TypeError} when it is malformed. What it says has no credentials in it
 */
export function parseUpstream(text: string): UpstreamOption {
  const { prefix = '', url = '' } = OPTION.exec(text)?.groups ?? {};
  if (!URL.canParse(url)) throw malformed();
  const parsed = new URL(url);
  if (parsed.search !== '' || parsed.hash !== '') throw malformed();
  parsed.pathname = parsed.pathname.replace(/\/+$/, '');
  const { key } = ResourcePath.parse(prefix);
  const headers = credentialsOf(parsed);
  parsed.username = '';
  parsed.password = '';
  return { prefix: key === '' ? '' : `/${key}`, url: parsed, headers };
}

function credentialsOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
  } catch (cause) {
    throw malformed(cause);
  }
}

function malformed(cause?: unknown): TypeError {
  return new TypeError('an upstream must look like http://host:8080 or /prefix=https://host/path', { cause });
}
