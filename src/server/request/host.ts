import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { parseTarget } from './target.ts';

/** What `Host` names: a machine, and the port of it if that is not the scheme's own. */
export interface Host {
  /** In lower case, without a dot at its end; an IPv6 address in brackets. */
  readonly name: string;
  /** Empty for 80 and 443, which are left out: which of them is meant is for the scheme to say. */
  readonly port: string;
}

const MAX_PORT = 65_535;

const HOST = /^(?<name>\[[^\]]+\]|[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?)(?::(?<port>\d{0,5}))?$/i;

/** The last one: all clients name the same few. */
let last: { text: string; host: Host | undefined } = { text: '', host: undefined };

/** Parses what `Host` says. Undefined when it is malformed. */
export function parseHost(text: string): Host | undefined {
  if (last.text !== text) last = { text, host: parse(text) };
  return last.host;
}

function parse(text: string): Host | undefined {
  const { name = '', port = '' } = HOST.exec(text)?.groups ?? {};
  if (name === '' || (name.startsWith('[') && !isIPv6(name.slice(1, -1)))) return undefined;
  if (Number(port) > MAX_PORT) return undefined;
  const isDefault = port === '80' || port === '443';
  return { name: name.replace(/\.$/, '').toLowerCase(), port: isDefault ? '' : port };
}

/**
 * The host that a client wants, as it came: a trusted proxy's word goes before
 * the request's own, and in that the target before `Host` (RFC 9112, section 3.2.2). Empty
 * when it does not say.
 */
export function hostOf({ raw, host }: FastifyRequest): string {
  // Fastify looks at what a proxy says, if it is to be believed, and at no target.
  const isProxys = host !== (raw.headers.host ?? '');
  return isProxys ? host : (parseTarget(raw.url).authority ?? host);
}
