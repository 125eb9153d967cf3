import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { ListenAddress } from './listen-address.ts';

/**
 * Makes a server listen: on all interfaces without a host, on all addresses of
 * `localhost`, IPv4 and IPv6. Not to be called twice.
 *
 * @throws what `app.listen` throws; of `localhost` the first address must do
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
 * Fastify would open a second server for the second address, which knows
 * nothing of what is attached to the first: who waits for `100 Continue` gets it
 * at once, and nobody cuts its connections when the first closes. Here the
 * first server has all connections.
 */
async function listenOnLocalhost(app: FastifyInstance, wantedPort: number): Promise<void> {
  const addresses = await lookup('localhost', { all: true });
  const [first, ...others] = addresses as [LookupAddress, ...LookupAddress[]];
  const entrances = others.map(({ address }) => {
    // As Node's HTTP server listens.
    const options = { allowHalfOpen: true, noDelay: true };
    return { address, server: net.createServer(options, (socket) => app.server.emit('connection', socket)) };
  });
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
  await app.listen({ host: first.address, port: wantedPort });
  const { port } = app.server.address() as AddressInfo;
  for (const { address, server } of entrances) {
    try {
      server.listen({ host: address, port });
      await once(server, 'listening');
      app.log.info(`Server listening at http://${address.includes(':') ? `[${address}]` : address}:${port}`);
    } catch (error) {
      app.log.info({ err: error }, `not listening at ${address}`);
    }
  }
}
