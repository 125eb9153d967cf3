import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { ChaosProxy, NO_CHAOS } from '../support/chaos/proxy.ts';
import { acceptOf } from '../support/original/frames.ts';
import { Random } from '../support/random.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

/** Resolves with what a promise rejects with; undefined when it does not. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error) => error,
  );
}

/** What reading a stream to its end fails with. */
export function readingError(readable: Readable): Promise<unknown> {
  return rejection(buffer(readable));
}

/**
 * Runs a server that treats each handshake as a test wants it, until the test is over.
 *
 * @returns its base URL and the sockets that are open
 */
export async function startRawServer(onHandshake: (socket: Socket, request: IncomingMessage) => void) {
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket: Socket) => {
    socket.on('error', () => undefined);
    onHandshake(socket, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`, sockets };
}

/** Accepts a handshake, as the original does or with a subprotocol. */
export function accept(socket: Socket, request: IncomingMessage, subprotocol?: string): void {
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      (subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
      `Sec-WebSocket-Accept: ${acceptOf(String(request.headers['sec-websocket-key']))}\r\n\r\n`,
  );
}

/** How many handles and timers of a kind keep the process alive. */
export function activeResources(kind: 'Timeout' | 'TCPSocketWrap'): number {
  return process.getActiveResourcesInfo().filter((name) => name === kind).length;
}

/** Returns a function that waits until there are no more sockets than now: other tests may have left some. */
export function watchSockets(): () => Promise<void> {
  const before = activeResources('TCPSocketWrap');
  return () => waitFor(() => activeResources('TCPSocketWrap') <= before, 'the sockets to close');
}

/** Counts the listeners that a signal has at the moment. */
export function watchedSignal(): { controller: AbortController; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count--;
    remove(...args);
  };
  return { controller, listeners: () => count };
}

/** Time between two attempts of clients whose network is cut now and then. */
export const QUICK = { minDelayMs: 1, maxDelayMs: 20, times: 1000 };

/** A server behind a network that can be cut, and the file `a` on its disk. */
export async function startNetwork(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const network = await ChaosProxy.start(server.port, new Random(1), NO_CHAOS);
  const file = path.join(server.root, 'a');
  const onDisk = () => readFile(file);
  return { server, network, file, onDisk, url: network.url('/a'), directUrl: server.url('/a') };
}
