import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** A request's target (RFC 9112, section 3.2), taken apart. */
export interface Target {
  /** The host that it names, as it came: in absolute form only. */
  readonly authority: string | undefined;
  /** Not decoded. */
  readonly path: string;
  /** With its question mark; empty without one. */
  readonly queryString: string;
  /** Whether it is a path, or an HTTP URL with a host: not `*`, for example, which names the server. */
  readonly isResource: boolean;
}

/** A fragment is for the client alone (RFC 9110, section 4.2.5), and has no defined meaning in a request. */
const TARGET =
  /^(?:(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<authority>[^/?#]*))?(?<path>[^?#]*)(?<queryString>(?:\?[^#]*)?)(?<fragment>(?:#.*)?)$/is;

/** The last one: it is parsed several times in a row for each request. */
let lastTarget: { url: string; target: Target } | undefined;

/** Takes a request's target apart as the client sent it. */
export function parseTarget(url = ''): Target {
  if (lastTarget?.url !== url) lastTarget = { url, target: targetIn(url) };
  return lastTarget.target;
}

function targetIn(url: string): Target {
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

/** What `Host` names: a machine, and its port unless that is the scheme's default. */
export interface Host {
  /** In lower case, without a dot at its end; an IPv6 address in brackets. */
  readonly name: string;
  /** Empty for 80 and 443, the defaults, which depend on the scheme. */
  readonly port: string;
}

const MAX_PORT = 65_535;

const HOST = /^(?<name>\[[^\]]+\]|[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?)(?::(?<port>\d{0,5}))?$/i;

/** The last one: all clients name the same few. */
let lastHost: { text: string; host: Host | undefined } = { text: '', host: undefined };

/** Parses what `Host` says. Undefined when it is malformed. */
export function parseHost(text: string): Host | undefined {
  if (lastHost.text !== text) lastHost = { text, host: hostIn(text) };
  return lastHost.host;
}

function hostIn(text: string): Host | undefined {
  const { name = '', port = '' } = HOST.exec(text)?.groups ?? {};
  if (name === '' || (name.startsWith('[') && !isIPv6(name.slice(1, -1)))) return undefined;
  if (Number(port) > MAX_PORT) return undefined;
  const isDefault = port === '80' || port === '443';
  return { name: name.replace(/\.$/, '').toLowerCase(), port: isDefault ? '' : port };
}

/**
 * The host that a client asks for, as it came: what a trusted proxy says wins over
 * the request, and in that the target over `Host` (RFC 9112, section 3.2.2). Empty
 * when none is named.
 */
export function hostOf({ raw, host }: FastifyRequest): string {
  // Fastify considers a trusted proxy's header, but no target.
  const isProxys = host !== (raw.headers.host ?? '');
  return isProxys ? host : (parseTarget(raw.url).authority ?? host);
}

/** Whether a request has a query parameter with one of these names. */
export function hasParameter({ query }: FastifyRequest, names: ReadonlySet<string>): boolean {
  for (const name in query as object) if (names.has(name)) return true;
  return false;
}
