import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { BACKLOG, Entrances } from './entrances.ts';
import { formatListenAddress, type ListenAddress, schemeOf } from './listen-address.ts';

/**
 * Makes a server listen: on all interfaces without a host, or on all addresses of
 * `localhost`, IPv4 and IPv6. Not to be called twice.
 *
 * @param what is there, for the log
 * @throws the errors of `app.listen`; for `localhost`, those of the first address that the machine has
 */
export async function listen(
  app: FastifyInstance,
  { host, port }: ListenAddress,
  what = 'Server listening',
): Promise<Entrances> {
  const entrances = new Entrances(app);
  const options = { port, backlog: BACKLOG, listenTextResolver: (url: string) => `${what} at ${url}` };
  if (host === 'localhost') {
    await listenOnLocalhost(app, entrances, options);
    return entrances;
  }
  try {
    await app.listen({ ...options, host: host ?? '::' });
  } catch (error) {
    const hasNoIpv6 = (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT';
    if (host !== undefined || !hasNoIpv6) throw error;
    await app.listen({ ...options, host: '0.0.0.0' });
  }
  return entrances;
}

/**
 * Makes a server accept connections at sockets that somebody else has opened. Not to be called twice.
 *
 * @throws the errors of `listen`
 */
export async function listenAtHeld(app: FastifyInstance, descriptors: readonly number[]): Promise<Entrances> {
  const entrances = new Entrances(app);
  const [first, ...others] = descriptors;
  await app.ready();
  // Not `app.listen`, which knows no descriptors; and `listen({ fd, backlog })` ignores the backlog.
  app.server.listen({ fd: first }, BACKLOG);
  await once(app.server, 'listening');
  for (const fd of others) await entrances.open({ fd });
  for (const address of entrances.addresses) {
    app.log.info(
      `Server listening at ${schemeOf(app.server)}://${formatListenAddress(address)}, which was handed over (LISTEN_FDS)`,
    );
  }
  return entrances;
}

/**
 * Checks whether a server can listen at an address, before anything else is set up.
 *
 * @throws the errors of {@link listen}
 */
export async function assertCanListen({ host = '::', port }: ListenAddress): Promise<void> {
  // Any port will do.
  if (port === 0) return;
  const addresses = host === 'localhost' ? await localAddresses() : [host];
  for (const address of addresses) {
    // A client that connects at this moment must not delay the close.
    const server = net.createServer((socket) => socket.resetAndDestroy()).listen({ host: address, port });
    try {
      await once(server, 'listening');
      await new Promise((resolve) => server.close(resolve));
      return;
    } catch (error) {
      // Without IPv6, another address will do.
      if (!isMissing(error) || (host !== '::' && address === addresses.at(-1))) throw error;
    }
  }
}

/**
 * With both loopback addresses, since browsers try both, whatever the system's host table says, and in the same order on
 * each machine: the first one must be free.
 */
async function localAddresses(): Promise<string[]> {
  const named = await lookup('localhost', { all: true });
  return [...new Set(['127.0.0.1', '::1', ...named.map(({ address }) => address)])];
}

/** For `app.listen`. */
interface ListenOptions {
  port: number;
  backlog: number;
  listenTextResolver: (url: string) => string;
}

async function listenOnLocalhost(
  app: FastifyInstance,
  entrances: Entrances,
  options: ListenOptions,
): Promise<void> {
  const addresses = await localAddresses();
  const first = await listenOnFirst(app, addresses, options);
  const { port } = app.server.address() as AddressInfo;
  for (const address of addresses.slice(addresses.indexOf(first) + 1)) {
    try {
      await entrances.open({ host: address, port });
      const url = `${schemeOf(app.server)}://${formatListenAddress({ host: address, port })}`;
      app.log.info(options.listenTextResolver(url));
    } catch (error) {
      // If another program listens there, clients of localhost may reach that one.
      app.log[isMissing(error) ? 'info' : 'warn']({ err: error }, `not listening at ${address}`);
    }
  }
}

/** Listens on the first address that the machine has. Returns it. */
async function listenOnFirst(
  app: FastifyInstance,
  addresses: readonly string[],
  options: ListenOptions,
): Promise<string> {
  const [host, ...others] = addresses as [string, ...string[]];
  try {
    await app.listen({ ...options, host });
    return host;
  } catch (error) {
    if (!isMissing(error) || others.length === 0) throw error;
    return listenOnFirst(app, others, options);
  }
}

/** Whether the machine does not have an address, for instance because it has no IPv6. */
function isMissing(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
}
