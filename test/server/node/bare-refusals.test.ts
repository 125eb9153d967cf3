import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Refusals } from '../../../src/server/node/connections/refusals.ts';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { HANDSHAKE, openSocket, parseAnswer, readToEnd } from '../../support/http/raw.ts';
import { makeDirectory } from '../../support/server/reserves.ts';
import { waitFor } from '../../support/wait-for.ts';

let app: FastifyInstance;
let root: string;
let port: number;

beforeAll(async () => {
  root = await makeDirectory('quick');
  app = await createStandaloneServer({ root, logger: pino({ level: 'silent' }) });
  app.server.headersTimeout = 300;
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as AddressInfo).port;
});

afterAll(async () => {
  await app.close();
  await rm(root, { recursive: true, force: true });
});

const lines = (...text: string[]) => [...text, '', ''].join('\r\n');

const CHUNKED = 'Transfer-Encoding: chunked';

/** What is refused before anything is looked at, and with what. */
const REFUSED: readonly (readonly [what: string, status: number, bytes: string])[] = [
  ['no Host', 400, lines('GET / HTTP/1.1')],
  ['no Host for the server itself', 400, lines('OPTIONS * HTTP/1.1')],
  ['no Host before a body', 400, lines('PUT /f HTTP/1.1', 'Content-Length: 5')],
  ['no Host and a wait', 400, lines('PUT /f HTTP/1.1', 'Content-Length: 5', 'Expect: 100-continue')],
  ['no Host and an upgrade', 400, lines('GET / HTTP/1.1', 'Upgrade: h2c', 'Connection: Upgrade')],
  ['an empty Host', 400, lines('GET / HTTP/1.1', 'Host:')],
  ['two Hosts', 400, lines('GET / HTTP/1.1', 'Host: a', 'Host: b')],
  ['two Hosts that are one', 400, lines('GET / HTTP/1.1', 'Host: a', 'Host: a')],
  ['a malformed Host', 400, lines('GET / HTTP/1.1', 'Host: a b')],
  ['CONNECT', 405, lines('CONNECT a:80 HTTP/1.1', 'Host: a:80')],
  ['CONNECT without Host', 405, lines('CONNECT a:80 HTTP/1.1')],
  ['CONNECT and what is to go through it', 405, `${lines('CONNECT a:80 HTTP/1.1', 'Host: a:80')}tunnelled`],
  ['what expects something', 417, lines('GET / HTTP/1.1', 'Host: a', 'Expect: more')],
  [
    'a body that expects something',
    417,
    lines('PUT /f HTTP/1.1', 'Host: a', 'Expect: more', 'Content-Length: 9'),
  ],
  ['a method of others that expects something', 417, lines('LINK /f HTTP/1.1', 'Host: a', 'Expect: more')],
  ['a long head', 431, lines('GET / HTTP/1.1', 'Host: a', `X: ${'x'.repeat(70_000)}`)],
  ['many headers', 431, lines('GET / HTTP/1.1', 'Host: a', ...Array<string>(2000).fill('X: y'))],
  ['a Host after many headers', 431, lines('GET / HTTP/1.1', ...Array<string>(2001).fill('X: y'), 'Host: a')],
  ['no method', 400, lines('BREW / HTTP/1.1', 'Host: a')],
  ['no version', 400, lines('GET /')],
  ['another version', 400, lines('GET / HTTP/1.2', 'Host: a')],
  ['HTTP/2', 400, lines('PRI * HTTP/2.0', '', 'SM')],
  ['TLS', 400, '\x16\x03\x01\x02\x00'],
  ['a malformed header', 400, lines('GET / HTTP/1.1', 'Host: a', 'no header')],
  ['two framings', 400, lines('PUT /f HTTP/1.1', 'Host: a', CHUNKED, 'Content-Length: 5')],
  ['a malformed length', 400, lines('PUT /f HTTP/1.1', 'Host: a', 'Content-Length: -5')],
  [
    'another coding of the transfer',
    501,
    lines('PUT /f HTTP/1.1', 'Host: a', 'Transfer-Encoding: gzip, chunked'),
  ],
  ['a malformed chunk', 400, `${lines('PUT /f HTTP/1.1', 'Host: a', CHUNKED)}ZZ\r\n`],
  ['a malformed chunk of what needs none', 400, `${lines('GET / HTTP/1.1', 'Host: a', CHUNKED)}ZZ\r\n`],
  [
    'long extensions of a chunk',
    413,
    `${lines('PUT /f HTTP/1.1', 'Host: a', CHUNKED)}1;${'x'.repeat(20_000)}\r\n`,
  ],
  ['half a head', 408, 'GET / HTTP/1.1\r\nHost: a\r\nX'],
  ['nothing', 408, ''],
];

/** HEAD brings no body that is read. */
const NOT_OF_HEAD = ['a long head', 'half a head', 'another coding of the transfer'];

/** Nobody knows of a head that is not whole, of which the beginning is gone, that it would be HEAD. */
const OF_HEAD = REFUSED.filter(
  ([what, , bytes]) => /^(?:GET|PUT) .* HTTP\/1\.1\r\n/.test(bytes) && !NOT_OF_HEAD.includes(what),
);

describe('what is refused before it is looked at', () => {
  it.each(REFUSED)('is told why, and the connection closed: %s', async (_what, status, bytes) => {
    const socket = await openSocket(port);
    const answer = readToEnd(socket);
    socket.write(bytes, 'latin1');
    const { status: told, headers, body } = parseAnswer(await answer);
    expect(told).toBe(status);
    expect(headers).toMatchObject({ 'content-type': 'application/problem+json', connection: 'close' });
    expect(headers['content-length']).toBe(String(body.length));
    expect(JSON.parse(body)).toMatchObject({ status, code: expect.stringMatching(/^HFS_/) });
  });

  it('leaves no connection, whether or not its client closes its own side', async () => {
    const sockets = REFUSED.map(([, , bytes]) => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => undefined).resume();
      socket.write(bytes, 'latin1');
      return socket;
    });
    await Promise.all(sockets.map((socket) => readToEnd(socket)));
    const count = () =>
      new Promise<number>((resolve) => app.server.getConnections((_error, n) => resolve(n)));
    await waitFor(async () => (await count()) === 0, 'the server to close all connections');
  });

  it.each(OF_HEAD)('is told to HEAD by the head of the answer alone: %s', async (_what, status, bytes) => {
    const socket = await openSocket(port);
    const answer = readToEnd(socket);
    socket.write(bytes.replace(/^[A-Z]+/, 'HEAD'), 'latin1');
    const { status: told, headers, body } = parseAnswer(await answer);
    expect({ told, body }).toEqual({ told: status, body: '' });
    expect(headers).toMatchObject({ 'content-type': 'application/problem+json', connection: 'close' });
  });

  it('comes after the answers to what was asked before', async () => {
    const socket = await openSocket(port);
    const answer = readToEnd(socket);
    socket.write(`${lines('OPTIONS / HTTP/1.1', 'Host: a')}${lines('CONNECT a:80 HTTP/1.1', 'Host: a:80')}`);
    expect((await answer).toString().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 204', 'HTTP/1.1 405']);
  });

  it('says it as a line of text to a handshake', async () => {
    const socket = await openSocket(port);
    const answer = readToEnd(socket);
    socket.write(lines('GET /f HTTP/1.1', ...HANDSHAKE));
    expect(parseAnswer(await answer)).toMatchObject({
      status: 400,
      headers: { connection: 'close' },
      body: 'the Host header is missing or malformed\n',
    });
  });
});

it('counts who is quiet before TLS begins as who is late with a head', async () => {
  const accepted = once(app.server, 'connection');
  await openSocket(port);
  const [socket] = await accepted;
  const before = Refusals.of(app.server).countOf('head_time');
  const late = Object.assign(new Error('TLS handshake timeout'), { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
  app.server.emit('clientError', late, socket);
  expect(Refusals.of(app.server).countOf('head_time') - before).toBe(1);
});
