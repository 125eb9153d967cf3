import { AsyncLocalStorage } from 'node:async_hooks';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import Fastify, { type onRequestHookHandler } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { RequestQueue } from '../../../../src/server/node/requests/request-queue.ts';
import { httpfstream } from '../../../../src/server/plugin.ts';
import { HANDSHAKE, openSocket, rawGet, readToEnd, writeHead } from '../../../support/http/raw.ts';
import { NEVER_MS } from '../../../support/patience.ts';
import { listen, startServer, startStandalone, temporaryDirectory } from '../../../support/server/server.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { Peer } from '../../../support/websocket/peer.ts';

/** Less than what Node reads at a time, and many more requests than are to be answered in a turn. */
const PIPELINE_BYTES = 12 * 1024;

describe('a connection on which very many requests come at once', () => {
  test.each([
    ['are answered at once', 'OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['are refused before anything is looked at', 'OPTIONS / HTTP/1.1\r\nHost: a.b\r\n\r\n'],
    ['are refused in their turn', 'GET /?lines=1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a method that means nothing', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a method that Fastify does not know', 'PURGE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a malformed path', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['expect something', 'PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n'],
  ])('that %s has a few of them answered at a time, in order', async (_, request) => {
    const server = await startStandalone();
    const total = Math.ceil(PIPELINE_BYTES / request.length);
    const inTurns: number[] = [];
    let inThisTurn = 0;
    let count = 0;
    server.app.server.on('request', (_request, response) => {
      response.once('finish', () => {
        count++;
        inThisTurn++;
        if (inThisTurn > 1) return;
        setImmediate(() => {
          inTurns.push(inThisTurn);
          inThisTurn = 0;
        });
      });
    });
    const socket = await openSocket(server.port);
    socket.resume().write(request.repeat(total));
    await waitFor(() => count === total && inThisTurn === 0, 'all answers');
    expect(Math.max(...inTurns)).toBeLessThanOrEqual(32);
  });
});

/** What waits for a resource, and so for long, and then `count` requests of another kind. */
function behindWait(request: string, count: number): string {
  return `GET /none?verb=FOLLOW&wait=3600 HTTP/1.1\r\nHost: x\r\n\r\n${request.repeat(count)}`;
}

/** An application with the plugin at `/logs`, and a hook of its own before. */
async function startApplication(hook: onRequestHookHandler = (_request, _reply, done) => done()) {
  const root = await temporaryDirectory();
  const app = Fastify();
  app.addHook('onRequest', hook);
  await app.register(httpfstream, { root, prefix: '/logs', closeTimeoutMs: 200 });
  const { port } = await listen(app);
  return { root, server: app.server, port };
}

const LOOK = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe('what a client has sent ahead', () => {
  test('is not carried out when it only reads, and the client is gone', async () => {
    const server = await startServer();
    const asked: (string | undefined)[] = [];
    server.app.server.on('request', ({ url }: IncomingMessage) => asked.push(url));
    const socket = await openSocket(server.port);
    const store = 'PUT /last HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx';
    await new Promise<void>((resolve) => void socket.write(behindWait(LOOK, 10) + store, () => resolve()));
    await waitFor(() => asked.length === 1, 'the first request');
    await rawGet(server.port, '/?seen');
    socket.resetAndDestroy();
    await waitFor(() => existsSync(path.join(server.root, 'last')), 'what was to be stored');
    expect(asked.filter((url) => url === '/')).toEqual([]);
  });

  test('ends for whoever waits for its end, carried out or refused, when its client is gone', async () => {
    const server = await startServer();
    const begun: string[] = [];
    const ended: [string, number, boolean][] = [];
    server.app.server.on('request', ({ url = '' }: IncomingMessage, response: ServerResponse) => {
      begun.push(url);
      response.on('close', () => ended.push([url, response.statusCode, response.headersSent]));
    });
    const socket = await openSocket(server.port);
    const store = (name: string) => `PUT /${name} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx`;
    const refused = 'POST /?verb=NOTHING HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx';
    const written = new Promise<void>((resolve) => {
      socket.write(behindWait(store('a') + refused + store('b'), 1), () => resolve());
    });
    await written;
    await waitFor(() => begun.length === 1, 'the first request');
    await rawGet(server.port, '/?seen');
    socket.resetAndDestroy();
    await waitFor(() => ended.length === 5, 'all ends');
    expect(ended.slice(2)).toEqual([
      ['/a', 201, true],
      ['/?verb=NOTHING', 400, true],
      ['/b', 201, true],
    ]);
  });

  test.each([
    ['two hosts', 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
    ['a body of no length', 'PUT /e HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n', 411],
  ])('is not carried out behind an answer that closes the connection: %s', async (_, refused, status) => {
    const server = await startServer();
    const socket = await openSocket(server.port);
    socket.write(`${refused}PUT /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx`);
    const answers = (await readToEnd(socket)).toString();
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`]);
    await rawGet(server.port, '/');
    expect(existsSync(path.join(server.root, 'smuggled'))).toBe(false);
  });

  test('is not carried out when the connection was cut, though the rest of it was read by then', async () => {
    const server = await startServer();
    server.app.server.once('request', ({ socket }: IncomingMessage) =>
      RequestQueue.of(socket, server.app.server).cut(),
    );
    const socket = await openSocket(server.port);
    const store = (name: string) => `PUT /${name} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx`;
    socket.write(store('first') + store('second'));
    await readToEnd(socket);
    await rawGet(server.port, '/');
    expect(existsSync(path.join(server.root, 'second'))).toBe(false);
  });

  test("is not carried out behind a refusal of Node's own", async () => {
    const app = await startApplication();
    const socket = await openSocket(app.port);
    const store = 'PUT /logs/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx';
    socket.write(`GET /logs/ HTTP/1.1\r\nHost: x\r\n\r\nGET /logs/ HTTP/1.1\r\n\r\n${store}`);
    const answers = (await readToEnd(socket)).toString();
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
    await rawGet(app.port, '/logs/');
    expect(existsSync(path.join(app.root, 'smuggled'))).toBe(false);
  });

  test('is carried out in order when its client is gone, however long the hooks of an application take', async () => {
    let delayMs = 30;
    const app = await startApplication((_request, _reply, done) => void setTimeout(done, delayMs--));
    const lines = Array.from({ length: 20 }, (_, k) => `line ${k}\n`);
    const append = (line: string) =>
      `POST /logs/f?verb=APPEND HTTP/1.1\r\nHost: x\r\nContent-Length: ${line.length}\r\n\r\n${line}`;
    const socket = await openSocket(app.port);
    app.server.once('request', () => setImmediate(() => socket.destroy()));
    socket.write(lines.map(append).join(''));
    const content = () => readFile(path.join(app.root, 'f'), 'utf8').catch(() => '');
    await waitFor(async () => (await content()).length === lines.join('').length, 'all lines');
    expect(await content()).toBe(lines.join(''));
  });

  test('is to an application what comes alone: nothing of the request before is kept', async () => {
    const store = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const app = await startApplication(({ url }, _reply, done) => {
      seen.push(store.getStore());
      store.run(url, done);
    });
    const socket = await openSocket(app.port);
    const look = (k: number) => `GET /logs/?${k} HTTP/1.1\r\nHost: x\r\n\r\n`;
    socket.resume().write([1, 2, 3].map(look).join(''));
    await waitFor(() => seen.length === 3, 'all requests');
    expect(seen).toEqual([undefined, undefined, undefined]);
  });

  test('is bounded over all connections: those that do not get on are cut, and others are answered', async () => {
    const server = await startServer();
    const text = behindWait('OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n', 1900);
    let cutCount = 0;
    for (let k = 0; k < 6; k++) {
      const socket = await openSocket(server.port);
      socket.once('close', () => cutCount++).write(text);
    }
    await waitFor(() => cutCount > 0, 'one to be cut');
    expect((await rawGet(server.port, '/')).status).toBe(200);
  });

  const UPGRADE = `GET /ws HTTP/1.1\r\nHost: x\r\n${HANDSHAKE.join('\r\n')}\r\n\r\n`;
  test.each([
    ['very many requests', LOOK.repeat(80)],
    ['more than is kept behind a handshake', UPGRADE + 'x'.repeat(1_000_000)],
    [
      'a body that nobody reads',
      `${LOOK.replace('\r\n\r\n', '\r\nContent-Length: 9000000\r\n\r\n')}${'x'.repeat(1_000_000)}`,
    ],
  ])('behind a follower keeps no connection whose client is gone: %s', async (_, ahead) => {
    const { server, count } = await startWithLive();
    const before = await count();
    for (const what of ['/f?verb=FOLLOW', '/none?verb=FOLLOW&wait=3600', '/s?offset=-1&live=sse']) {
      const socket = await openSocket(server.port);
      socket.write(`GET ${what} HTTP/1.1\r\nHost: x\r\n\r\n${ahead}`);
      await waitFor(async () => (await count()) > before, 'the connection');
      socket.resetAndDestroy();
      await waitFor(async () => (await count()) <= before, 'it to be gone');
    }
  });

  test.each([
    ['a follower', '/f?verb=FOLLOW'],
    ['a reader of events', '/s?offset=-1&live=sse'],
  ])('is noticed to be left by its client though it is written to all the time: %s', async (_, what) => {
    const { server, appender } = await startWithLive();
    const socket = await openSocket(server.port);
    // It reads all that comes.
    const end = new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve));
    socket.resume();
    socket.end(`GET ${what} HTTP/1.1\r\nHost: x\r\n\r\n${LOOK.repeat(80)}`);
    let isOver = false;
    void end.then(() => (isOver = true));
    while (!isOver) {
      await appender.send('more\n');
      await fetch(server.url('/s'), {
        method: 'POST',
        body: 'more',
        headers: { 'content-type': 'text/plain' },
      });
    }
  });

  test('is answered at once when it polls, and there is nothing', async () => {
    const { server } = await startWithLive({ longPollMs: NEVER_MS });
    const socket = await openSocket(server.port);
    const answers = readToEnd(socket);
    socket.end(`GET /s?offset=now&live=long-poll HTTP/1.1\r\nHost: x\r\n\r\n${LOOK.repeat(80)}`.repeat(3));
    expect((await answers).toString().match(/HTTP\/1\.1 204 /g)).toHaveLength(3);
  });

  /** A server on which somebody appends to `/f`, and there is a stream `/s`; and how many connections it has. */
  async function startWithLive(options: Parameters<typeof startServer>[0] = {}) {
    const server = await startServer({ keepAliveMs: 100, ...options });
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    onTestFinished(() => appender.finish());
    await fetch(server.url('/s'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    const count = () =>
      new Promise<number>((resolve) => server.app.server.getConnections((_e, n) => resolve(n)));
    return { server, appender, count };
  }
});

test('a request that comes when the one before is answered begins at once', async () => {
  const server = http.createServer();
  onTestFinished(() => void server.close().closeAllConnections());
  const begun: string[] = [];
  const settled = new Promise<void>((resolve) => {
    server.once('request', (request, response) => {
      const queue = RequestQueue.of(request.socket, server);
      queue.enqueue(request, response, () => begun.push('first'));
      response.once('close', () => {
        queue.enqueue(request, new http.ServerResponse(request), () => begun.push('second'));
        resolve();
      });
      response.end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const socket = await openSocket((server.address() as AddressInfo).port);
  writeHead(socket, 'GET / HTTP/1.1');
  await settled;
  expect(begun).toEqual(['first', 'second']);
});
