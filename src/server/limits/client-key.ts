import { isIPv4, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { admissionOf } from '../rights/admission.ts';

/** An address of IPv4 that is written as one of IPv6. */
const MAPPED = /^::ffff:(?<v4>\d+\.\d+\.\d+\.\d+)$/i;

/** How many groups of an address of IPv6 are those of its network (/64): who has one has all addresses in it. */
const NETWORK_GROUPS = 4;

/**
 * Who shares a limit: a subject, or else all of an address. Undefined of this machine's own programs, which are limited
 * by nothing but what is for all together.
 */
export function clientKeyOf(request: FastifyRequest): string | undefined {
  const { name } = admissionOf(request);
  return name === undefined ? addressKeyOf(request.ip) : `subject ${name}`;
}

/** The part of an address that is one client: of IPv4 all of it, of IPv6 the network. Undefined of this machine's own. */
export function addressKeyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const v4 = MAPPED.exec(address)?.groups?.v4 ?? address;
  if (isIPv4(v4)) return v4.startsWith('127.') ? undefined : v4;
  // What no address is comes of a proxy that is believed.
  if (!isIPv6(address)) return address;
  const groups = groupsOf(address);
  if (groups.every((group, i) => group === (i === 7 ? 1 : 0))) return undefined;
  return `${groups
    .slice(0, NETWORK_GROUPS)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
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
