import { isIPv4, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { admissionOf } from '../rights/admission.ts';

/** Whatever a proxy that is believed says in place of an address is one client: else each request could be another one. */
const UNKNOWN = 'unknown';

/** An address with the port from which it asks, as some proxies have it. */
const WITH_PORT = /^(?:\[(?<v6>[^\]]+)\](?::\d+)?|(?<v4>[\d.]+):\d+)$/;

/** How many groups of an address of IPv6 are those of its network (/64): who has one has all addresses in it. */
const NETWORK_GROUPS = 4;

/**
 * Who shares a limit: a subject, or else all of an address. Undefined of this machine's own programs that bring no
 * credential, which are limited by nothing but what is for all together.
 */
export function clientKeyOf(request: FastifyRequest): string | undefined {
  const { name } = admissionOf(request);
  return name === undefined ? addressKeyOf(request.ip) : `subject ${name}`;
}

/** The part of an address that is one client: of IPv4 all of it, of IPv6 the network. Undefined of this machine's own. */
export function addressKeyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const { v4, v6 } = WITH_PORT.exec(address)?.groups ?? {};
  const bare = v4 ?? v6 ?? address;
  if (isIPv4(bare)) return keyOfV4(bare);
  if (!isIPv6(bare)) return UNKNOWN;
  const groups = groupsOf(bare);
  const [high = 0, low = 0] = groups.slice(6);
  // One of IPv4 that is written as one of IPv6.
  if (groups.slice(0, 6).join() === '0,0,0,0,0,65535') {
    return keyOfV4([high >> 8, high & 255, low >> 8, low & 255].join('.'));
  }
  if (groups.join() === '0,0,0,0,0,0,0,1') return undefined;
  return `${groups
    .slice(0, NETWORK_GROUPS)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

function keyOfV4(address: string): string | undefined {
  return address.startsWith('127.') ? undefined : address;
}

/** The eight numbers of an address of IPv6. */
function groupsOf(address: string): number[] {
  const [text = ''] = address.split('%');
  const [before = '', after] = text.split('::');
  const first = numbersIn(before);
  if (after === undefined) return first;
  const last = numbersIn(after);
  return [...first, ...new Array(8 - first.length - last.length).fill(0), ...last];
}

function numbersIn(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
