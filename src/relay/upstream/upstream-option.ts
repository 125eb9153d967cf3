import { ResourcePath } from '../../wire/resource-path.ts';

/** An upstream as it is given. */
export interface UpstreamSettings {
  /** `http://host:8080` for all paths, or `/prefix=http://host:8080/path` for those below one. */
  url: string;
  /** Of all requests to it: they may be secrets. Default none. */
  headers?: Readonly<Record<string, string>>;
  /**
   * Whether what users say of themselves (`Authorization`) is passed on to it, if it is an httpfstream server. What
   * they ask for then is answered by it, and is not kept. Default false.
   */
  passAuthorization?: boolean;
}

/** Where what is below a path comes from. */
export interface UpstreamOption {
  /** Path below which it applies, without a slash at its end; empty for all. */
  prefix: string;
  /** Without a slash at its end, a query, a fragment and credentials. */
  url: URL;
  /** Of all requests to it: they may be secrets. */
  headers: Readonly<Record<string, string>>;
  /** Whether users' own `Authorization` is passed on to it, if it is an httpfstream server. */
  passesAuthorization: boolean;
}

const OPTION = /^(?:(?<prefix>\/[^=]*)=)?(?<url>https?:\/\/.+)$/i;

/**
 * Parses `URL`, for all paths, or `/prefix=URL`. User and password in it become the header `Authorization`.
 *
 * @throws {TypeError} when it is malformed, or a header cannot be sent. What it says has no credentials in it
 */
export function parseUpstream(given: string | UpstreamSettings): UpstreamOption {
  const {
    url: text,
    headers = {},
    passAuthorization = false,
  } = typeof given === 'string' ? { url: given } : given;
  const { prefix = '', url = '' } = OPTION.exec(text)?.groups ?? {};
  if (!URL.canParse(url)) throw malformed();
  const parsed = new URL(url);
  if (parsed.search !== '' || parsed.hash !== '') throw malformed();
  parsed.pathname = parsed.pathname.replace(/\/+$/, '');
  const all = { ...credentialsOf(parsed), ...lowerCased(headers) };
  parsed.username = '';
  parsed.password = '';
  return {
    prefix: prefixOf(prefix),
    url: parsed,
    headers: all,
    passesAuthorization: passAuthorization,
  };
}

/**
 * Parses all that there are, each as {@link parseUpstream}.
 *
 * @throws {TypeError} when two have the same prefix, too: only one of them would be asked
 */
export function parseUpstreams(given: readonly (string | UpstreamSettings)[]): UpstreamOption[] {
  const upstreams = given.map(parseUpstream);
  const prefixes = new Set<string>();
  for (const { prefix } of upstreams) {
    if (prefixes.has(prefix)) {
      throw new TypeError(
        prefix === '' ? 'two upstreams are for all paths' : `two upstreams have the prefix ${prefix}`,
      );
    }
    prefixes.add(prefix);
  }
  return upstreams;
}

/** The path below which something applies, as {@link UpstreamOption.prefix} has it. */
export function prefixOf(text: string): string {
  const { key } = ResourcePath.parse(text);
  return key === '' ? '' : `/${key}`;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => {
    // Loaded when it is needed: it takes longer than all the rest.
    const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http');
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return [name.toLowerCase(), value];
  });
  return Object.fromEntries(entries);
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
