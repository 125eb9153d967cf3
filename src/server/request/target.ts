/** A request's target (RFC 9112, section 3.2), taken apart. */
export interface Target {
  /** The host that it names, as it came: in absolute form only. */
  readonly authority: string | undefined;
  /** Not decoded. */
  readonly path: string;
  /** With its question mark; empty without one. */
  readonly queryString: string;
  /** Whether it is a path, or a URL of HTTP with a host: not `*`, say, which names the server. */
  readonly isResource: boolean;
}

/** A fragment is for the client alone (RFC 9110, section 4.2.5), and means nothing certain in a request. */
const TARGET =
  /^(?:(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<authority>[^/?#]*))?(?<path>[^?#]*)(?<queryString>(?:\?[^#]*)?)(?<fragment>(?:#.*)?)$/is;

/** The last one, which is asked for several times in a row for each request. */
let last: { url: string; target: Target } | undefined;

/** Takes a request's target apart as the client sent it. */
export function parseTarget(url = ''): Target {
  if (last?.url !== url) last = { url, target: parse(url) };
  return last.target;
}

function parse(url: string): Target {
  const { scheme, authority, path, queryString, fragment } = (TARGET.exec(url) as RegExpExecArray)
    .groups as Record<string, string>;
  const isHttp = /^https?$/i.test(scheme ?? '') && authority !== '';
  return {
    authority,
    path: path || '/',
    queryString: queryString as string,
    isResource: fragment === '' && (scheme === undefined ? url.startsWith('/') : isHttp),
  };
}

/** Whether a target leads below a prefix, which is empty or `/…`. */
export function isBelow(prefix: string, url: string | undefined): boolean {
  return parseTarget(url).path.startsWith(`${prefix}/`);
}
