import { ResourcePath } from '../wire/resource-path.ts';

/** Where what is below a path comes from. */
export interface UpstreamOption {
  /** Path below which it applies, without a slash at its end; empty for all. */
  prefix: string;
  /** Without a slash at its end, a query and a fragment. */
  url: URL;
}

const OPTION = /^(?:(?<prefix>\/[^=]*)=)?(?<url>https?:\/\/.+)$/i;

/**
 * Parses `URL`, for all paths, or `/prefix=URL`.
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
  return { prefix: key === '' ? '' : `/${key}`, url: parsed };
}

function malformed(): TypeError {
  return new TypeError('an upstream must look like http://host:8080 or /prefix=https://host/path');
}
