import { createServer, type IncomingMessage } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A proxy that tunnels (CONNECT) everything to one port, whatever it is asked for. */
export class ConnectProxy {
  /** What it was asked to tunnel to, and with which authorization. */
  readonly asked: { target: string | undefined; authorization: string | undefined }[] = [];
  /** Sockets of clients that are open. */
  readonly sockets = new Set<Socket>();
  readonly #server = createServer();

  /**
   * Runs until the test is over.
   *
   * @param answer what to say in place of a tunnel, if anything; nothing at all when it is empty
   */
  static async start(port: number, answer?: string): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    proxy.#server.on('connect', (request: IncomingMessage, client: Socket, head: Buffer) => {
      const { url: target, headers } = request;
      proxy.asked.push({ target, authorization: headers['proxy-authorization'] });
      if (answer !== undefined) {
        client.resume().on('end', () => client.end());
        if (answer !== '') client.end(answer);
        return;
      }
      const server = net.connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        server.write(head);
        server.pipe(client).pipe(server);
      });
      server.on('error', () => client.destroy());
      client.on('close', () => server.destroy());
    });
    proxy.#server.on('connection', (socket) => {
      proxy.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => proxy.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of proxy.sockets) socket.destroy();
      proxy.#server.close();
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
}
