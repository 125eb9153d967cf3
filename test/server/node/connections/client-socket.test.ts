import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { ClientSocket } from '../../../../src/server/node/connections/client-socket.ts';
import { ServerSockets } from '../../../../src/server/node/server-sockets.ts';
import { openSocket, rawGet, readToEnd, writeHead } from '../../../support/http/raw.ts';
import { waitFor } from '../../../support/wait-for.ts';

type Answer = (response: ServerResponse) => void;

async function start(answer: Answer): Promise<{ server: http.Server; port: number }> {
  const server = http.createServer((_request, response) => answer(response));
  ServerSockets.of(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** How a connection ended: cleanly, or with an error. */
function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.resume().once('end', () => resolve('end'));
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code));
  });
}

const CUTS: Record<string, (response: ServerResponse, server: http.Server) => void> = {
  'its connection is destroyed': (response) => response.socket?.destroy(),
  'it is destroyed': (response) => response.destroy(),
  'it is destroyed with an error': (response) => response.destroy(new Error('the file cannot be read')),
  'all connections are closed': (_response, server) => server.closeAllConnections(),
};

describe('an answer that is not finished', () => {
  const heads = { 'with a length': { 'content-length': '10' }, 'in chunks or to the end': {} };

  test.each(
    Object.keys(CUTS).flatMap((cut) =>
      Object.keys(heads).flatMap((head) => ['1.0', '1.1'].map((version) => [head, version, cut] as const)),
    ),
  )('is reset, %s, to a client of HTTP/%s, when %s', async (head, version, cut) => {
    let response: ServerResponse | undefined;
    const { server, port } = await start((begun) => {
      response = begun;
      begun.writeHead(200, heads[head as keyof typeof heads]).write('some');
    });
    const socket = await openSocket(port);
    const end = endOf(socket);
    writeHead(socket, `GET / HTTP/${version}`);
    await waitFor(() => socket.bytesRead > 0, 'the beginning');
    CUTS[cut]?.(response as ServerResponse, server);
    expect(await end).toBe('ECONNRESET');
  });

  it('is not reset once it is finished', async () => {
    const { port } = await start((response) => response.end('all'));
    const socket = await openSocket(port);
    const end = endOf(socket);
    writeHead(socket, 'GET / HTTP/1.0');
    expect(await end).toBe('end');
  });
});

describe('a connection', () => {
  it('has somebody who listens for errors whoever has it', async () => {
    const { server, port } = await start((response) => response.end());
    const counts: number[] = [];
    let inside: Socket | undefined;
    server.on('upgrade', (_request, socket) => {
      inside = socket as Socket;
      counts.push(inside.listenerCount('error'));
      // As who takes it over and lets go of it again.
      inside.once('close', () => counts.push((inside as Socket).listenerCount('error')));
      inside.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    });
    const socket = await openSocket(port);
    writeHead(socket, 'GET / HTTP/1.1');
    writeHead(socket, 'GET / HTTP/1.1', ['Upgrade: websocket', 'Connection: upgrade']);
    await readToEnd(socket);
    socket.end();
    await waitFor(() => counts.length === 2, 'the end');
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  it('may be reset at any time, with any number of requests under way', async () => {
    const failures: unknown[] = [];
    const fail = (error: unknown) => failures.push(error);
    process.on('uncaughtException', fail);
    onTestFinished(() => void process.off('uncaughtException', fail));
    const { server, port } = await start((response) => setTimeout(() => response.end('answer'), 1));
    server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const offer = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';
    const handshake = offer.replace('h2c', 'websocket');
    const pipelines = [offer.repeat(2), offer.repeat(10), offer + handshake, offer.repeat(5) + handshake];
    for (let round = 0; round < 60; round++) {
      const sockets = await Promise.all(pipelines.map(() => openSocket(port)));
      sockets.forEach((socket, at) => void socket.resume().write(pipelines[at] as string));
      await new Promise((resolve) => setTimeout(resolve, round % 8));
      for (const socket of sockets) socket.resetAndDestroy();
    }
    const count = () => new Promise<number>((resolve) => server.getConnections((_error, n) => resolve(n)));
    await waitFor(async () => (await count()) === 0, 'all to go');
    expect(failures).toEqual([]);
  });
});

describe('a connection that is paused', () => {
  it('is not read, though it was resumed a moment before, or paused and resumed', async () => {
    const socketOf = async (begin: (socket: Socket) => void) => {
      const { server, port } = await start(() => undefined);
      const asked = once(server, 'request') as Promise<[http.IncomingMessage]>;
      const peer = await openSocket(port);
      writeHead(peer, 'PUT / HTTP/1.1', ['Content-Length: 100000']);
      const [{ socket }] = await asked;
      begin(socket);
      ClientSocket.of(socket).pause();
      return { socket, peer, bytesRead: socket.bytesRead };
    };
    const paused = await Promise.all([
      socketOf((socket) => socket.pause().resume()),
      socketOf((socket) => socket.pause().resume().pause()),
    ]);
    await Promise.all(
      paused.map(({ peer }) => new Promise<void>((resolve) => void peer.write('x', () => resolve()))),
    );
    // What was sent is there when somebody else is answered, who came later.
    const { port } = await start((response) => response.end());
    await rawGet(port, '/');
    for (const { socket, bytesRead } of paused) expect(socket.bytesRead).toBe(bytesRead);
  });

  it('is read again also when Node has let go of it meanwhile', async () => {
    const { server, port } = await start((response) => response.end());
    let resume: (() => void) | undefined;
    server.prependListener('request', ({ socket }) => {
      resume = ClientSocket.of(socket).pause();
    });
    const upgraded = once(server, 'upgrade') as Promise<[http.IncomingMessage, Socket]>;
    const peer = await openSocket(port);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    peer.write(`GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`);
    const [, socket] = await upgraded;
    const read = once(socket, 'data');
    resume?.();
    peer.write('more');
    expect(String((await read)[0])).toBe('more');
    socket.destroy();
  });

  it('is read again when all who have paused it have resumed it, whatever Node does meanwhile', async () => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const peer = await openSocket((server.address() as AddressInfo).port);
    const [socket] = await accepted;
    const client = ClientSocket.of(socket);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [first, second] = [client.pause(), client.pause()];
    first();
    first();
    socket.resume();
    expect(socket.isPaused()).toBe(true);
    peer.write('text');
    second();
    expect(socket.isPaused()).toBe(false);
    await waitFor(() => String(Buffer.concat(chunks)) === 'text', 'what was sent');
    client.pause();
    client.end('');
    expect(socket.isPaused()).toBe(false);
  });
});
