import { existsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HANDSHAKE, openSocket, rawGet, readToEnd } from '../../support/http-raw.ts';
import { startStandalone } from '../../support/http-standalone.ts';
import { Peer } from '../../support/peers.ts';
import { startServer } from '../../support/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Less than what Node reads at a time. */
const PIPELINE_BYTES = 32 * 1024;

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

  test('is bounded over all connections: those that have sent most are cut, and others are answered', async () => {
    const server = await startServer();
    const text = behindWait('OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n', 1900);
    let cutCount = 0;
    for (let k = 0; k < 7; k++) {
      const socket = await openSocket(server.port);
      socket.once('close', () => cutCount++).write(text);
    }
    await waitFor(() => cutCount > 0, 'one to be cut');
    expect((await rawGet(server.port, '/')).status).toBe(200);
  });

  const UPGRADE = `GET /ws HTTP/1.1\r\nHost: x\r\n${HANDSHAKE.join('\r\n')}\r\n\r\n`;
  test.each([
    ['very many requests', LOOK.repeat(40)],
    ['more than is kept behind a handshake', UPGRADE + 'x'.repeat(1_000_000)],
    [
      'a body that nobody reads',
      `${LOOK.replace('\r\n\r\n', '\r\nContent-Length: 9000000\r\n\r\n')}${'x'.repeat(1_000_000)}`,
    ],
  ])('behind a follower keeps no connection whose client is gone: %s', async (_, ahead) => {
    const server = await startServer({ keepAliveMs: 100 });
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    onTestFinished(() => appender.end());
    const count = () =>
      new Promise<number>((resolve) => server.app.server.getConnections((_e, n) => resolve(n)));
    const before = await count();
    for (const what of ['/f?verb=FOLLOW', '/none?verb=FOLLOW&wait=3600']) {
      const socket = await openSocket(server.port);
      socket.write(`GET ${what} HTTP/1.1\r\nHost: x\r\n\r\n${ahead}`);
      await waitFor(async () => (await count()) > before, 'the connection');
      socket.resetAndDestroy();
      await waitFor(async () => (await count()) <= before, 'it to be gone');
    }
  });
});
