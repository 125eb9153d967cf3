import { userContentHeaders } from '../response/headers.ts';

/** Those of one connection (RFC 9110, section 7.6.1), besides what `Connection` names. */
const OF_CONNECTIONS = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** What this server says itself, or is for the one before it only. */
export const FOR_THE_NEXT = [
  'access-control-allow-credentials',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'alt-svc',
  'clear-site-data',
  'set-cookie',
  'strict-transport-security',
];

/** The headers that go on from one connection to the next: not those of the connection, nor those of `others`. */
export function passedOn(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  others: readonly string[],
): Record<string, string | string[]> {
  const named = String(headers.connection ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase());
  const dropped = new Set([...OF_CONNECTIONS, ...named, ...others]);
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) passed[name] = value;
  }
  return passed;
}

const POLICY = 'content-security-policy';

/**
 * The headers of what a server answers that is none of ours: in a browser it is nobody's page, as all that is served here and
 * comes from others.
 *
 * @param cacheStatus how a cache has answered (RFC 9211)
 */
export function foreign(
  headers: Readonly<Record<string, string | string[]>>,
  cacheStatus: string,
): Record<string, string | string[]> {
  const { 'content-type': type = '', [POLICY]: policy, 'cache-status': caches } = headers;
  const own = userContentHeaders(String(type));
  return {
    ...headers,
    ...own,
    // Each of them holds.
    ...(policy !== undefined && { [POLICY]: [own[POLICY], policy].flat().filter(isText).join(', ') }),
    'cache-status': [caches, `httpfstream; ${cacheStatus}`].flat().filter(isText).join(', '),
  };
}

function isText(value: string | undefined): value is string {
  return value !== undefined;
}
