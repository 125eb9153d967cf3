import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { onTestFinished } from 'vitest';

/**
 * Lets clients that know nothing of TLS speak to a server that does, until the test is over: each connection is passed
 * on as it is, each side may end before the other, and what is cut on one side is cut on the other.
 *
 * @returns the port for such clients
 */
export async function bridgeToTls(port: number): Promise<number> {
  const sockets = new Set<net.Socket>();
  const bridge = net.createServer({ allowHalfOpen: true }, (client) => {
    const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const server = tls.connect({ socket: raw, rejectUnauthorized: false });
    server.allowHalfOpen = true;
    sockets.add(raw);
    raw.on('error', () => server.destroy()).once('close', () => sockets.delete(raw));
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        const isWhole = socket.readableEnded && other.writableFinished && other.readableEnded;
        if (!isWhole) (other === server ? raw : other).resetAndDestroy();
      });
      socket.pipe(other);
    }
  });
  bridge.listen(0, '127.0.0.1');
  await once(bridge, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    bridge.close();
  });
  return (bridge.address() as AddressInfo).port;
}
