import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import net, { type Socket } from 'node:net';
import path from 'node:path';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ServerSockets } from '../../src/server/node/server-sockets.ts';
import { httpfstream } from '../../src/server/plugin.ts';
import { makeZeros } from '../support/disk/zeros.ts';
import {
  openSocket,
  parseAnswer,
  rawHandshake,
  readHead,
  readToEnd,
  writeHead,
} from '../support/http/raw.ts';
import { frame, Op } from '../support/original/frames.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { startServer, startStandalone, temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const APPEND = 'X-Verb: APPEND';

/** An appender that does not answer when it is told to go, so that the server waits for it. */
async function openSilentAppender(port: number): Promise<void> {
  const { socket, status } = await rawHandshake(port, '/f', [APPEND]);
  expect(status).toBe(101);
  socket.write(frame(Op.binary, Buffer.from('abc'), { masked: true }));
}

async function connect(port: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => void socket.once('connect', () => resolve()));
  return socket;
}

describe('a server that closes', () => {
  it.each([
    ['a file', []],
    ['a stream', ['Content-Type: application/json']],
  ])('makes nothing any more: %s whose body ends late is refused', async (_, headers) => {
    const server = await startServer({ closeTimeoutMs: 200 });
    const socket = await connect(server.port);
    writeHead(socket, 'PUT /late HTTP/1.1', ['Content-Length: 3', ...headers]);
    await once(server.app.server, 'request');
    socket.write('[1');
    const closed = server.app.close();
    await waitFor(
      () =>
        startServer({ root: server.root }).then(
          () => true,
          () => false,
        ),
      'another server on the root',
    );
    socket.write(']');
    // On a slow machine the time to close is over, and it is cut.
    expect(['', 'HTTP/1.1 503']).toContain((await readToEnd(socket)).toString().slice(0, 12));
    await closed;
    expect(existsSync(path.join(server.root, 'late'))).toBe(false);
  });

  it('does not wait for a connection that says nothing, whenever it comes', async () => {
    const server = await startStandalone();
    await openSilentAppender(server.port);
    const early = await connect(server.port);
    const closed = server.app.close();
    const late = await connect(server.port);
    const ends = Promise.all([early, late].map((socket) => readToEnd(socket)));
    await closed;
    await ends;
  });

  it("does not wait for one either when it is somebody's application", async () => {
    const app = Fastify();
    await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: 200 });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as net.AddressInfo;
    await openSilentAppender(port);
    const early = await connect(port);
    const closed = app.close();
    const late = await connect(port);
    const ends = Promise.all([early, late].map((socket) => readToEnd(socket)));
    await closed;
    await ends;
  });

  it.each(['1.0', '1.1'])(
    'lets no follower of HTTP/%s take what is there for all, beside an appender that does not answer',
    async (version) => {
      const server = await startStandalone();
      await openSilentAppender(server.port);
      const socket = await openSocket(server.port);
      let error: NodeJS.ErrnoException | undefined;
      socket.on('error', (cause) => {
        error = cause;
      });
      writeHead(socket, `GET /f?verb=FOLLOW HTTP/${version}`);
      await readHead(socket);
      const rest = readToEnd(socket);
      await server.app.close();
      const text = (await rest).toString();
      expect(text).not.toMatch(/0\r\n\r\n$/);
      if (version === '1.0') expect(error?.code).toBe('ECONNRESET');
    },
  );

  it('cuts a download that does not end', async () => {
    const server = await startStandalone();
    await makeZeros(path.join(server.root, 'f'), 50_000_000);
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET /f HTTP/1.0');
    await readHead(socket);
    socket.pause();
    await server.app.close();
    const rest = readToEnd(socket);
    socket.resume();
    expect((await rest).length).toBeLessThan(49_000_000);
  });

  it('lets a download end, and its connection does not stay', async () => {
    const server = await startServer();
    await writeFile(path.join(server.root, 'f'), Buffer.alloc(20_000_000));
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET /f HTTP/1.1');
    const begun = await readHead(socket);
    socket.pause();
    const closed = server.app.close();
    const rest = readToEnd(socket);
    socket.resume();
    const answer = parseAnswer(Buffer.concat([begun, await rest]));
    expect(answer.body.length).toBe(20_000_000);
    await closed;
  });
});

describe('a server that drains', () => {
  it('answers whoever is connected, says that the connection closes, and waits no longer than that takes', async () => {
    const server = await startStandalone();
    const [used, parked] = [await openSocket(server.port), await openSocket(server.port)];
    writeHead(parked, 'GET /later?verb=FOLLOW&wait=60 HTTP/1.1');
    await once(server.app.server, 'request');
    writeHead(used, 'GET / HTTP/1.1');
    expect(parseAnswer(await readHead(used)).headers.connection).toBe('keep-alive');
    const drained = ServerSockets.of(server.app.server).drain(PATIENCE_MS);
    writeHead(used, 'PUT /later HTTP/1.1', ['Content-Length: 4']);
    used.write('text');
    const answer = parseAnswer(await readToEnd(used));
    expect(answer).toMatchObject({ status: 201, headers: { connection: 'close' } });
    expect(parseAnswer(await readToEnd(parked)).headers.connection).toBe('close');
    await drained;
  });

  it('closes connections on which nothing comes when its time is over', async () => {
    const server = await startStandalone();
    const idle = await openSocket(server.port);
    const end = readToEnd(idle);
    await ServerSockets.of(server.app.server).drain(0);
    expect((await end).length).toBe(0);
  });

  it.each([
    ['health', 503, 'closing\n'],
    ['health/ready', 503, 'closing\n'],
    ['health/live', 200, 'ok\n'],
  ])('says so at /-/%s: %i', async (page, status, body) => {
    const server = await startStandalone();
    const socket = await openSocket(server.port);
    void ServerSockets.of(server.app.server).drain(PATIENCE_MS);
    writeHead(socket, `GET /-/${page} HTTP/1.1`);
    expect(parseAnswer(await readToEnd(socket))).toMatchObject({ status, body });
  });
});
