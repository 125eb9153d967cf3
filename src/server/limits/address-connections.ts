import { BlockList, isIPv6 } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { TooManyRequestsError } from '../../wire/errors.ts';
import type { ConnectionMaxima } from '../node/connections/connection-counts.ts';
import { connectionsWithin, descriptorLimit } from '../node/connections/descriptor-limit.ts';
import { ServerSockets } from '../node/server-sockets.ts';
import { addressKeyOf } from './client-key.ts';

/** How many connections there may be. */
export interface AddressConnectionOptions {
  /** Default: half of the descriptors. */
  maxConnections?: number | undefined;
  /** Default: 1,024. */
  maxConnectionsPerAddress?: number | undefined;
  /** Addresses, networks and groups of proxies that are believed. */
  trustProxy: readonly string[];
}

/** Named groups of addresses, as Fastify knows them. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/**
 * Bounds the connections of a server, of all clients and of each address. Of a proxy that is believed the requests are
 * counted instead, each for the address that it says.
 *
 * @returns has others count from now on
 */
export function limitConnections(
  app: FastifyInstance,
  options: AddressConnectionOptions,
): (changed: Omit<AddressConnectionOptions, 'trustProxy'>) => void {
  const proxies = listOf(options.trustProxy);
  const isProxy = (address: string) => proxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  const counts = ServerSockets.of(app.server, app.log).limit({
    ...maximaOf(options),
    clientOf: (address) => (address === undefined || isProxy(address) ? undefined : addressKeyOf(address)),
  });
  app.addHook('onRequest', (request, reply, done) => {
    const { ip, ips = [], raw } = request;
    const client = ips.length > 1 ? addressKeyOf(ip) : undefined;
    if (client !== undefined) {
      if (!counts.enter(client)) {
        throw new TooManyRequestsError(
          'there are too many requests of this address',
          'connections_per_address',
        );
      }
      // After an upgrade there is no response any more. This hook comes before the one that says which are WebSockets.
      const isUpgrade = (raw as { upgrade?: boolean }).upgrade === true;
      (isUpgrade ? raw.socket : reply.raw).once('close', () => counts.leave(client));
    }
    done();
  });
  return (changed) => counts.change(maximaOf(changed));
}

function maximaOf({
  maxConnections = connectionsWithin(descriptorLimit()),
  maxConnectionsPerAddress = 1024,
}: Omit<AddressConnectionOptions, 'trustProxy'>): ConnectionMaxima {
  return { max: maxConnections, maxPerClient: maxConnectionsPerAddress };
}

function listOf(proxies: readonly string[]): BlockList {
  const list = new BlockList();
  for (const proxy of proxies.flatMap((name) => GROUPS[name] ?? [name])) {
    const [address = '', length] = proxy.split('/');
    const type = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (length === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(length), type);
  }
  return list;
}
