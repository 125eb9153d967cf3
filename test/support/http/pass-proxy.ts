import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A TCP proxy that passes everything on as it comes, and counts it. */
export class PassProxy {
  /** Bytes that the server has been sent, and that it has sent. */
  readonly counted = { received: 0, sent: 0 };
  connectionCount = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(targetPort: number) {
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => this.#pass(client, targetPort));
  }

  /** Listens on a free port until the end of the test. */
  static async start(targetPort: number): Promise<PassProxy> {
    const proxy = new PassProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    onTestFinished(() => {
      for (const socket of proxy.#sockets) socket.destroy();
      proxy.#server.close();
    });
    return proxy;
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  #pass(client: net.Socket, targetPort: number): void {
    this.connectionCount++;
    const server = net.connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    client.on('data', (bytes) => {
      this.counted.received += bytes.length;
    });
    server.on('data', (bytes) => {
      this.counted.sent += bytes.length;
    });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => this.#sockets.delete(from));
    }
  }
}
