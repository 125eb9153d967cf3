import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { ListenAddress } from './listen-address.ts';

/**
 * Makes a server listen: on all interfaces without a host, on all addresses of
 * `localhost`, IPv4 and IPv6. Not to be called twice.
 *
 * @throws what `app.listen` throws; of `localhost` the first address that the machine has must do
 */
export async function listen(app: FastifyInstance, { host, port }: ListenAddress): Promise<void> {
  if (host === 'localhost') {
    await listenOnLocalhost(app, port);
    return;
  }
  try {
    await app.listen({ host: host ?? '::', port });
  } catch (error) {
    const hasNoIpv6 = (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT';
    if (host !== undefined || !hasNoIpv6) throw error;
    await app.listen({ host: '0.0.0.0', port });
  }
}

/**
 * Finds out whether a server could listen at an address, before anything is made for it.
 *
 * @throws what {@link listen} throws
 */
export async function assertCanListen({ host = '::', port }: ListenAddress): Promise<void> {
  // Any port will do.
  if (port === 0) return;
  const addresses = host === 'localhost' ? await localAddresses() : [host];
  for (const address of addresses) {
    // Who comes at this moment is not to hold it up.
    const server = net.createServer((socket) => socket.resetAndDestroy()).listen({ host: address, port });
    try {
      await once(server, 'listening');
      await new Promise((resolve) => server.close(resolve));
      return;
    } catch (error) {
      // Where there is no IPv6 another address will do.
      if (!isMissing(error) || (host !== '::' && address === addresses.at(-1))) throw error;
    }
  }
}

/** Browsers try both, whatever the system's own list says. */
async function localAddresses(): Promise<string[]> {
  const named = await lookup('localhost', { all: true });
  return [...new Set([...named.map(({ address }) => address), '127.0.0.1', '::1'])];
}

/**
 * Fastify would open a second server for the second address, which knows
 * nothing of what is attached to the first: who waits for `100 Continue` gets it
 * at once, and nobody cuts its connections when the first closes. Here the
 * first server has all connections.
 */
async function listenOnLocalhost(app: FastifyInstance, wantedPort: number): Promise<void> {
  const addresses = await localAddresses();
  const entrances: { address: string; server: net.Server }[] = [];
  const closed = new Set<Promise<unknown>>();
  app.addHook('preClose', async () => {
    for (const { server } of entrances) {
      if (server.listening) closed.add(new Promise((resolve) => server.close(resolve)));
    }
  });
  app.addHook('onClose', async () => {
    app.server.closeIdleConnections();
    await Promise.all(closed);
  });
  const first = await listenOnFirst(app, addresses, wantedPort);
  const { port } = app.server.address() as AddressInfo;
  for (const address of addresses.slice(addresses.indexOf(first) + 1)) {
    // As Node's HTTP server listens.
    const options = { allowHalfOpen: true, noDelay: true };
    const server = net.createServer(options, (socket) => app.server.emit('connection', socket));
    entrances.push({ address, server });
    try {
      server.listen({ host: address, port });
      await once(server, 'listening');
      server.on('error', (error) => app.server.emit('error', error));
      app.log.info(`Server listening at http://${address.includes(':') ? `[${address}]` : address}:${port}`);
    } catch (error) {
      // Where there is somebody else, those who ask for localhost may come to them.
      app.log[isMissing(error) ? 'info' : 'warn']({ err: error }, `not listening at ${address}`);
    }
  }
}

/** Listens on the first address that the machine has, and returns it. */
async function listenOnFirst(
  app: FastifyInstance,
  addresses: readonly string[],
  port: number,
): Promise<string> {
  const [host, ...others] = addresses as [string, ...string[]];
  try {
    await app.listen({ host, port });
    return host;
  } catch (error) {
    if (!isMissing(error) || others.length === 0) throw error;
    return listenOnFirst(app, others, port);
  }
}

/** Whether the machine does not have an address, as where there is no IPv6. */
function isMissing(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
}
