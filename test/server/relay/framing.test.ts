import { readdir } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import Fastify from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Forwarder } from '../../../src/relay/upstream/forward.ts';
import { Upstream } from '../../../src/relay/upstream/upstream.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import { ActiveConnections } from '../../../src/server/active-connections.ts';
import { sendFailure } from '../../../src/server/failure.ts';
import { type Passage, Tunnel } from '../../../src/server/relay/tunnel.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { rawGet, rawRequest } from '../../support/http/raw.ts';
import { answerOf, get, send } from '../../support/http/request.ts';
import { serve, serveBytes, serveRaw } from '../../support/http/servers.ts';
import { startRelay } from '../../support/relay/origin.ts';
import { chunked, headOf, ScriptedServer } from '../../support/relay/scripted.ts';
import { cutConnectionsAfterTest, listen } from '../../support/server/server.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: other\r\n\r\n';

/** A server that counts as an httpfstream server, and what it was asked. */
async function pair() {
  const seen: { line: string; body: string; trailers: NodeJS.Dict<string> }[] = [];
  const url = await serve(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const line = `${request.method} ${request.url}`;
    seen.push({ line, body: Buffer.concat(chunks).toString(), trailers: request.trailers });
    if (request.headers['x-verb'] === 'FOLLOW') response.setHeader('stream-generation', 1);
    response.setHeader('x-content-type-options', 'nosniff');
    response.end();
  });
  const relay = await startRelay(url);
  // From now on it is known what it is.
  await rawRequest(relay.port, 'DELETE /known HTTP/1.1');
  seen.length = 0;
  return { relay, seen };
}

describe.each(['GET', 'HEAD', 'DELETE', 'PUT', 'POST'])('the body of a %s that is passed on', (method) => {
  test('ends there where it ends here, whatever the connection is said to be about', async () => {
    const { relay, seen } = await pair();
    const ask = (...headers: string[]) => rawRequest(relay.port, `${method} /x/?q=1 HTTP/1.1`, headers);
    const body = `\r\n\r\n${SMUGGLED}`;
    for (const name of ['Content-Length', 'host', 'Via', 'x-verb', 'If-Match', 'expect']) {
      const answer = await ask(`Connection: ${name}, close`, `Content-Length: ${SMUGGLED.length}${body}`);
      expect(answer.status).toBe(400);
    }
    const coded = `Transfer-Encoding: gzip, chunked\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0`;
    expect((await ask('Connection: close', coded)).status).toBe(501);
    expect(seen).toEqual([]);
    const long = await ask(
      'Connection: transfer-encoding, close',
      `Content-Length: ${SMUGGLED.length}${body}`,
    );
    expect(long.status).toBe(200);
    const chunks = `\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\nx-t: 1`;
    const framing = ['Trailer: x-t', `Transfer-Encoding: chunked${chunks}`];
    expect((await ask('Connection: transfer-encoding, trailer, close', ...framing)).status).toBe(200);
    expect((await ask('Connection: close', 'Content-Length: 0')).status).toBe(200);
    const line = `${method} /x/?q=1`;
    expect(seen).toEqual([
      { line, body: SMUGGLED, trailers: {} },
      { line, body: SMUGGLED, trailers: { 'x-t': '1' } },
      { line, body: '', trailers: {} },
    ]);
  });
});

describe('an answer that is passed on', () => {
  const FRESH = { 'Cache-Control': 'max-age=60' };

  test('ends with the connection when it came so, through any number of relays, and is kept by none', async () => {
    for (const [target, coding] of [
      ['/x', undefined],
      ['/x?q', 'Identity'],
    ] as const) {
      const headers = { ...FRESH, ...(coding && { 'Transfer-Encoding': coding }) };
      const first = await startRelay(await serveBytes(`${headOf('200 OK', headers)}content`, 'close'));
      const second = await startRelay(first.url(''));
      for (const { port } of [first, second]) {
        const answer = await rawGet(port, target, ['Connection: keep-alive']);
        expect(answer).toMatchObject({ status: 200, body: 'content', headers: { connection: 'close' } });
        expect(answer.headers).not.toHaveProperty('transfer-encoding');
      }
      for (const { root } of [first, second]) expect(await readdir(root)).not.toContain('x');
    }
  });

  test('is cut for its reader when it was cut before the connection was closed', async () => {
    const upstream = await serveBytes(`${headOf('200 OK', FRESH)}content`, 'reset');
    const relay = await startRelay((await startRelay(upstream)).url(''));
    await expect(get(relay.url('/x'))).rejects.toThrow(/aborted|ECONNRESET/);
  });

  test.each([
    [
      'malformed from its first packet',
      `${headOf('200 OK', { 'Transfer-Encoding': 'chunked' })}3\r\nabc\r\nZZ\r\n`,
    ],
    ['longer than it says', `${headOf('200 OK', { 'Content-Length': 2 })}abcdef`],
    ['coded for its way', `${headOf('200 OK', { 'Transfer-Encoding': 'gzip' })}abcdef`],
    [
      'coded for its way in chunks',
      headOf('200 OK', { 'Transfer-Encoding': 'gzip, chunked' }) + chunked('abc'),
    ],
  ])('is an error when it is %s', async (_what, bytes) => {
    const relay = await startRelay(await serveBytes(bytes, 'close'));
    expect(await get(relay.url('/x?q'))).toMatchObject({ status: 502, code: 'HFS_UPSTREAM' });
  });

  test('has no length when it has no body, whatever it says', async () => {
    const relay = await startRelay(await serveBytes(headOf('204 No', { 'Content-Length': 5 }), 'close'));
    const answer = await new Promise<IncomingMessage>((resolve) => http.get(relay.url('/x?q'), resolve));
    await answer.resume().toArray();
    expect([answer.statusCode, answer.headers['content-length']]).toEqual([204, undefined]);
  });

  test('has its trailers', async () => {
    const coded = '3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n';
    const relay = await startRelay(
      await serveBytes(headOf('200 OK', { 'Transfer-Encoding': 'chunked', Trailer: 'x-t' }) + coded),
    );
    const answer = await new Promise<IncomingMessage>((resolve) => http.get(relay.url('/x?q'), resolve));
    await answer.resume().toArray();
    expect(answer.trailers).toEqual({ 'x-t': '1' });
  });
});

/** Passes everything on. */
async function startTunnel(url: string, limits: Pick<Passage, 'headTimeoutMs' | 'silenceMs'>) {
  const app = Fastify();
  const forwarder = new Forwarder();
  const tunnel = new Tunnel(app.server, forwarder, new ActiveConnections(1000), '');
  const upstream = new Upstream(parseUpstream(url));
  onTestFinished(() => forwarder.close());
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.all('/*', async (request, reply) => {
    const path = ResourcePath.parse(request.url);
    await tunnel.pass(request, reply, { upstream, path, via: '1.1 x', headers: {}, waitMs: 0, ...limits });
    return reply;
  });
  app.setErrorHandler(sendFailure);
  const server = await listen(app);
  cutConnectionsAfterTest(app);
  return server;
}

test('an answer is broken when nothing comes of it, but not while its reader takes nothing, and no live stream', async () => {
  const long = Buffer.alloc(32 * 1024 * 1024, 'x');
  const server = await ScriptedServer.start(({ line }, socket) => {
    const heads = {
      '/long': { 'Content-Length': long.length },
      '/events': { 'Content-Type': 'text/event-stream' },
      '/followed': { 'Stream-Generation': 1 },
      '/stalls': { 'Content-Length': 100 },
    };
    const target = line.slice('GET '.length) as keyof typeof heads;
    socket.write(headOf('200 OK', heads[target]));
    socket.write(target === '/long' ? long : 'abc');
  });
  const tunnel = await startTunnel(server.url, { headTimeoutMs: 10_000, silenceMs: 300 });
  const begun = (path: string) =>
    new Promise<IncomingMessage>((resolve) => http.get(tunnel.url(path), { agent: false }, resolve));
  const [slow, ...silent] = await Promise.all([begun('/long'), begun('/events'), begun('/followed')]);
  const stalled = Array.from({ length: 3 }, () =>
    expect(get(tunnel.url('/stalls'))).rejects.toThrow(/aborted|ECONNRESET/),
  );
  await Promise.all(stalled);
  for (const answer of silent) {
    expect(answer.destroyed).toBe(false);
    answer.destroy();
  }
  expect(Buffer.concat(await slow.toArray()).equals(long)).toBe(true);
});

test('a request is given up that is not taken, but not while its client sends nothing', async () => {
  const limits = { headTimeoutMs: 1000, silenceMs: 10_000 };
  const mute = await serveRaw((socket) => void socket.pause());
  // Its handshakes never come to their end.
  const unconnected = await startTunnel(mute.replace('http:', 'https:'), limits);
  const stalled = await startTunnel(mute, limits);
  const url = await serve((request, response) => request.resume().once('end', () => response.end()));
  const post = http.request((await startTunnel(url, limits)).url('/f'), { method: 'POST', agent: false });
  const answer = answerOf(post);
  post.write('first');
  const refused = await Promise.all([
    get(unconnected.url('/f')),
    send('POST', unconnected.url('/f'), { body: 'x' }),
    send('POST', stalled.url('/f'), { body: Buffer.alloc(32 * 1024 * 1024) }),
  ]);
  for (const { status, code } of refused) expect([status, code]).toEqual([504, 'HFS_UPSTREAM_TIMEOUT']);
  post.end('last');
  expect((await answer).status).toBe(200);
});
