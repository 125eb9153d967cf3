import type { IncomingHttpHeaders } from 'node:http';

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

/** The headers that go on from one connection to the next: not those of the connection, nor those of `others`. */
export function passedOn(
  headers: IncomingHttpHeaders,
  others: readonly string[],
): Record<string, string | string[]> {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const dropped = new Set([...OF_CONNECTIONS, ...named, ...others]);
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name)) passed[name] = value;
  }
  return passed;
}
