import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import Fastify from 'fastify';
import { expect, onTestFinished, test, vi } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import {
  HANDSHAKE,
  openSocket,
  rawHandshake,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';

test('a follower that has gone before its handshake is looked at is no error, and holds up no close', async () => {
  const root = await temporaryDirectory();
  await writeFile(`${root}/a`, 'hello\n');
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line: string) => void lines.push(line) } } });
  const gone = new Promise<void>((resolve) => {
    app.addHook('preHandler', async ({ raw: { socket } }) => {
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
      resolve();
    });
  });
  await app.register(httpfstream, { root });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = await openSocket((app.server.address() as AddressInfo).port);
  writeHead(socket, 'GET /a?lines=1 HTTP/1.1', [
    ...HANDSHAKE,
    'Sec-WebSocket-Protocol: httpfstream.v2',
    'X-Verb: FOLLOW',
  ]);
  await gone;
  await app.close();
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
});

test('a follower that breaks the rules while it waits is cut, and is no error of the server', async () => {
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line: string) => void lines.push(line) } } });
  await app.register(httpfstream, { root: await temporaryDirectory() });
  const { port } = await listen(app);
  const socket = await openSocket(port);
  const end = readToEnd(socket);
  writeHead(socket, 'GET /none?wait=3600 HTTP/1.1', [
    ...HANDSHAKE,
    'Sec-WebSocket-Protocol: httpfstream.v2',
    'X-Verb: FOLLOW',
  ]);
  // An opcode that there is not.
  socket.write(Buffer.of(0x83, 0x81, 1, 2, 3, 4, 5));
  expect((await end).includes('invalid opcode')).toBe(true);
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
});

test('a follower that waits when the server closes, and does not answer, is no error of the server', async () => {
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line: string) => void lines.push(line) } } });
  await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: 200 });
  const { port } = await listen(app);
  const { socket } = await rawHandshake(port, '/none?wait=3600', [
    'Sec-WebSocket-Protocol: httpfstream.v2',
    'X-Verb: FOLLOW',
  ]);
  const end = readToEnd(socket);
  await app.close();
  expect(String(await end)).toContain('"reason":"shutdown"');
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
});

test.each([
  ['an appender', '/new?verb=APPEND'],
  ['a follower', '/a?verb=FOLLOW'],
])('the answer to the handshake of %s goes out together with what it is told at once', async (_who, path) => {
  const root = await temporaryDirectory();
  await writeFile(`${root}/a`, 'hello\n');
  const app = Fastify();
  await app.register(httpfstream, { root });
  const { port } = await listen(app);
  const connected = once(app.server, 'connection') as Promise<[Socket]>;
  const socket = await openSocket(port);
  onTestFinished(() => void socket.destroy());
  const [inside] = await connected;
  const single = vi.spyOn(inside, '_write');
  const together = vi.spyOn(inside, '_writev' as '_write');
  writeHead(socket, `GET ${path} HTTP/1.1`, [...HANDSHAKE, 'Sec-WebSocket-Protocol: httpfstream.v2']);
  expect(String(await readHead(socket))).toContain('"type":"open"');
  const [firstSingle = Number.POSITIVE_INFINITY] = single.mock.invocationCallOrder;
  expect(together.mock.invocationCallOrder[0]).toBeLessThan(firstSingle);
});
