import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Certificate } from './certificate.ts';

/** Runs a server until the test is over. */
async function start(server: net.Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Answers a request; what it rejects with, when its client has gone for example, is nobody's. */
export type Listener = (...args: Parameters<RequestListener>) => unknown;

/** For a server of the test's own. */
export const heard =
  (listener: Listener): RequestListener =>
  (request, response) => {
    Promise.resolve(listener(request, response)).catch(() => undefined);
  };

/** Serves HTTP until the test is over. Resolves with the URL of the server, without a path. */
export async function serve(listener: Listener): Promise<string> {
  return `http://127.0.0.1:${await start(http.createServer(heard(listener)))}`;
}

/** The URL of a port at which nobody listens. */
export async function nobody(): Promise<string> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** The same with TLS, for `localhost`. */
export async function serveTls(certificate: Certificate, listener: Listener): Promise<string> {
  return `https://localhost:${await start(https.createServer(certificate, heard(listener)))}`;
}

/**
 * Serves bytes of the test's own until the test is over.
 *
 * @param answer called with the head of each request; what follows on the socket is the test's
 */
export async function serveRaw(answer: (socket: Socket, head: string) => void): Promise<string> {
  const server = net.createServer((socket) => {
    let text = '';
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      while (text.includes('\r\n\r\n')) {
        const end = text.indexOf('\r\n\r\n') + 4;
        const head = text.slice(0, end);
        text = text.slice(end);
        answer(socket, head);
      }
    };
    socket.on('data', onData);
  });
  return `http://127.0.0.1:${await start(server)}`;
}

/** Answers everything with these bytes, and then closes or resets the connection, or leaves it open. */
export function serveBytes(
  bytes: string | Buffer,
  then: 'open' | 'close' | 'reset' = 'open',
): Promise<string> {
  return serveRaw((socket) => {
    socket.write(bytes, 'latin1', () => {
      // What was written is to arrive before.
      if (then === 'reset') setTimeout(() => socket.resetAndDestroy(), 20);
    });
    if (then === 'close') socket.end();
  });
}
