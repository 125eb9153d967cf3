import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { follow } from '../../../src/client/index.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { get, head, jsonOf, send } from '../../support/http/request.ts';
import { pattern } from '../../support/pattern.ts';
import { startRelay } from '../../support/relay/origin.ts';
import {
  headOf,
  rangeStart,
  type Script,
  type ScriptedRequest,
  ScriptedServer,
  say,
} from '../../support/relay/scripted.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { isThere, waitFor, waitForRemoval } from '../../support/wait-for.ts';

const SIZE = 300_000;

const BODY = pattern(0, SIZE);

const ETAG = { ETag: '"one"' };

/** What a handshake is answered with is made of its key and this (RFC 6455). */
const WEBSOCKET_KEY = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

async function pair(script: Script, options: Parameters<typeof startRelay>[1] = {}) {
  const server = await ScriptedServer.start(script);
  const relay = await startRelay(server.url, options);
  return { server, relay };
}

/** Answers with the rest of the body from where it is asked for. */
function startBody(request: ScriptedRequest, socket: Parameters<Script>[1]): number {
  const start = rangeStart(request);
  const part = {
    'Content-Length': SIZE - start,
    'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}`,
    ...ETAG,
  };
  const { 'Content-Range': _, ...whole } = part;
  socket.write(start === 0 ? headOf('200 OK', whole) : headOf('206 Partial Content', part));
  return start;
}

test('a connection that is reset is gone on with as one that is cut', async () => {
  const { server, relay } = await pair((request, socket) => {
    const start = startBody(request, socket);
    if (request.number > 0) socket.write(BODY.subarray(start));
    // Once it has got there, or the reset would take it away.
    else socket.write(BODY.subarray(0, 80_000), () => void reset());
    const reset = async () => {
      const hasCome = async () => (await sizeOf(path.join(relay.root, 'f'))) === 80_000;
      await waitFor(hasCome, 'the first part');
      socket.resetAndDestroy();
    };
  });
  expect((await get(relay.url('/f'))).body.equals(BODY)).toBe(true);
  expect(server.requests[1]?.headers).toMatchObject({ range: 'bytes=80000-', 'if-range': '"one"' });
});

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}

test('for a head, or a part, of what is not here nothing is fetched', async () => {
  const { server, relay } = await pair(({ line, headers }, socket) => {
    if (line.startsWith('HEAD')) socket.write(headOf('200 OK', { 'Content-Length': SIZE, ...ETAG }));
    else if (headers.range === 'bytes=10-19') {
      const range = { 'Content-Range': `bytes 10-19/${SIZE}`, ...ETAG };
      say(socket, '206 Partial Content', range, BODY.subarray(10, 20));
    } else say(socket, '200 OK', ETAG, BODY);
  });
  const { status, headers } = await head(relay.url('/f'));
  expect([status, headers['content-length']]).toEqual([200, String(SIZE)]);
  const part = await get(relay.url('/f'), { range: 'bytes=10-19' });
  expect([part.status, part.body.equals(BODY.subarray(10, 20))]).toEqual([206, true]);
  expect(server.requests.map(({ line, headers: { range } }) => [line, range])).toEqual([
    ['HEAD /f', undefined],
    ['GET /f', 'bytes=10-19'],
  ]);
  expect(await isThere(path.join(relay.root, 'f'))).toBe(false);
});

test('a redirect to somebody else leads there, and is not followed', async () => {
  const other = await ScriptedServer.start((_request, socket) => say(socket, '200 OK', {}, 'other'));
  const { relay } = await pair((_request, socket) =>
    say(socket, '302 Found', { Location: `${other.url}/x` }, ''),
  );
  const { status, headers } = await get(relay.url('/f'));
  expect([status, headers.location]).toEqual([302, `${other.url}/x`]);
  expect(other.requests).toHaveLength(0);
});

test('trailers of what is passed on are passed on', async () => {
  const { relay } = await pair((_request, socket) => {
    const coding = { 'Transfer-Encoding': 'chunked', Trailer: 'X-Sum', 'Cache-Control': 'no-store' };
    socket.write(`${headOf('200 OK', coding)}4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n`);
  });
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.get(relay.url('/f'), { agent: false }, resolve).once('error', reject);
  });
  expect(String(Buffer.concat(await answer.toArray()))).toBe('body');
  expect(answer.trailers).toEqual({ 'x-sum': '42' });
});

test('each piece of a stream of events goes on at once, to each who asks', async () => {
  let goOn: () => void = () => undefined;
  const { relay } = await pair((_request, socket) => {
    const type = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' };
    socket.write(`${headOf('200 OK', { 'Transfer-Encoding': 'chunked', ...type })}b\r\ndata: one\n\n\r\n`);
    goOn = () => socket.write('b\r\ndata: two\n\n\r\n0\r\n\r\n');
  });
  const response = await fetch(relay.url('/f'));
  const reader = response.body?.getReader();
  const next = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
  expect([response.headers.get('content-type'), await next()]).toEqual([
    'text/event-stream',
    'data: one\n\n',
  ]);
  goOn();
  expect(await next()).toBe('data: two\n\n');
  expect((await reader?.read())?.done).toBe(true);
});

test('what it has no longer is gone here, too', async () => {
  const { server, relay } = await pair((_request, socket) => say(socket, '200 OK', ETAG, BODY));
  await get(relay.url('/f'));
  expect((await readFile(path.join(relay.root, 'f'))).equals(BODY)).toBe(true);
  server.script = (_request, socket) => say(socket, '410 Gone', {}, 'gone');
  await waitFor(async () => (await get(relay.url('/f'))).status !== 200, 'it to be gone');
  await waitForRemoval(path.join(relay.root, 'f'));
  const second = await startRelay(relay.url(''));
  for (const { url } of [relay, second, second]) expect((await get(url('/f'))).status).toBe(410);
});

test.each(smallDisks())(
  'a disk that is full breaks its readers and keeps nothing: %s',
  async (_kind, make) => {
    const disk = await make();
    const big = pattern(0, 8 * 1024 * 1024);
    const { relay } = await pair((_request, socket) => say(socket, '200 OK', ETAG, big), {
      root: disk.directory,
    });
    await disk.fill(1024 * 1024);
    await expect(get(relay.url('/f'))).rejects.toThrow();
    const statusOf = () =>
      get(relay.url('/f')).then(
        ({ status }) => status,
        () => 0,
      );
    await waitFor(async () => (await statusOf()) === 507, 'new ones to be told');
    await waitForRemoval(path.join(relay.root, 'f'));
  },
);

test('a status that cannot be passed on is told, and not waited for', async () => {
  const { relay } = await pair((_request, socket) =>
    say(socket, '099 Odd', { 'Content-Type': 'text/odd' }, 'odd'),
  );
  const answer = await get(relay.url('/f'));
  expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([502, 'HFS_UPSTREAM']);
});

test('an error in place of what was to be kept has nothing of its head, by which a cache would keep it', async () => {
  const server = await ScriptedServer.start((_request, socket) => {
    const headers = { 'Cache-Control': 'max-age=3600', ETag: '"one"', 'Transfer-Encoding': 'chunked' };
    socket.write(`${headOf('200 OK', headers)}no length\r\n`);
  });
  const relay = await startRelay(server.url);
  const response = await fetch(relay.url('/f'));
  expect([response.status, await response.json()]).toMatchObject([502, { code: 'HFS_UPSTREAM' }]);
  for (const name of ['cache-control', 'etag', 'age']) expect(response.headers.get(name)).toBeNull();
});

test('for whom an answer is, of those whose pages may have it, is said to caches besides', async () => {
  const server = await ScriptedServer.start((_request, socket) =>
    say(socket, '200 OK', { Vary: 'Accept-Encoding' }, 'content'),
  );
  const relay = await startRelay(server.url, { corsOrigins: ['https://app.example'] });
  for (const urlPath of ['/f', '/f', '/f?query']) {
    const response = await fetch(relay.url(urlPath));
    expect(response.headers.get('vary')).toBe('Origin, Accept-Encoding');
    expect(await response.text()).toBe('content');
  }
});

test('what changes nothing is asked for again when the connection had just been closed', async () => {
  const used = new WeakSet<object>();
  const server = await ScriptedServer.start((_request, socket) => {
    if (used.has(socket)) socket.resetAndDestroy();
    else say(socket, '200 OK', { 'Cache-Control': 'no-store' }, 'content');
    used.add(socket);
  });
  const relay = await startRelay(server.url);
  for (const urlPath of ['/f', '/f', '/f?query']) {
    expect(await (await fetch(relay.url(urlPath))).text()).toBe('content');
  }
  expect(server.requests).toHaveLength(5);
});

test('what is written is sent once, also when the connection had just been closed', async () => {
  const server = await ScriptedServer.start(({ line }, socket) => {
    if (line.startsWith('POST')) socket.resetAndDestroy();
    else say(socket, '200 OK', { 'Stream-Generation': 1 }, '');
  });
  const relay = await startRelay(server.url);
  expect((await fetch(relay.url('/f'), { method: 'POST', body: 'one' })).status).toBe(502);
  expect(server.requests.map(({ line }) => line)).toEqual(['GET /f', 'POST /f']);
});

test('what tells browsers something of all that has the name of a server is told of none', async () => {
  const told = { NEL: '{}', 'Report-To': '{}', 'Service-Worker-Allowed': '/', 'X-Own': 'yes' };
  const server = await ScriptedServer.start((_request, socket) => say(socket, '200 OK', told, 'content'));
  const relay = await startRelay(server.url);
  for (const urlPath of ['/f', '/f?query']) {
    const { headers } = await fetch(relay.url(urlPath));
    expect(Object.keys(told).filter((name) => headers.has(name))).toEqual(['X-Own']);
  }
});

describe('what says that it is an httpfstream server', () => {
  const CLAIMS = { 'Stream-Generation': 1, 'Content-Type': 'text/html' };

  test('is not followed when it says what cannot be understood', async () => {
    const server = await ScriptedServer.start(({ headers }, socket) => {
      if (headers.upgrade === undefined) return say(socket, '200 OK', CLAIMS, '');
      const accept = createHash('sha1')
        .update(`${headers['sec-websocket-key']}${WEBSOCKET_KEY}`)
        .digest('base64');
      const agreed = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': accept };
      socket.write(
        headOf('101 Switching Protocols', { ...agreed, 'Sec-WebSocket-Protocol': 'httpfstream.v2' }),
      );
      socket.write(Buffer.from('\x81\x02no', 'latin1'));
    });
    const relay = await startRelay(server.url);
    const response = await fetch(relay.url('/f'));
    expect([response.status, await response.json()]).toMatchObject([502, { code: 'HFS_UPSTREAM' }]);
  });

  test('acknowledges nothing by a page', async () => {
    const server = await ScriptedServer.start((_request, socket) => say(socket, '200 OK', CLAIMS, '<p>'));
    const relay = await startRelay(server.url);
    for (const method of ['PUT', 'POST', 'DELETE']) {
      const { status } = await fetch(relay.url('/f'), { method, ...(method !== 'DELETE' && { body: 'x' }) });
      expect([method, status]).toEqual([method, 502]);
    }
  });

  test('has no pages in the name of this server', async () => {
    const server = await ScriptedServer.start((_request, socket) => say(socket, '404 No', CLAIMS, '<p>'));
    const relay = await startRelay(server.url);
    const { headers } = await fetch(relay.url('/f'), { method: 'PUT', body: 'x' });
    expect(headers.get('content-security-policy')).toMatch(/^sandbox/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });
});

test('a part is no file to a server without the upstream: it is refused until it is dropped', async () => {
  const script: Script = ({ line }, socket) => {
    if (line === 'GET /whole') say(socket, '200 OK', ETAG, BODY);
    else
      socket.write(
        Buffer.concat([Buffer.from(headOf('200 OK', { 'Content-Length': SIZE })), BODY.subarray(1)]),
      );
  };
  const upstream = await ScriptedServer.start(script);
  const relay = await InProcessServer.start({ upstreams: [upstream.url] });
  await get(relay.url('/whole'));
  const asking = new AbortController();
  const abandoned = fetch(relay.url('/part'), { signal: asking.signal }).catch(() => undefined);
  await waitFor(async () => (await sizeOf(path.join(relay.root, 'part'))) === SIZE - 1, 'the part');
  asking.abort();
  await abandoned;
  await relay.stop();

  const server = new InProcessServer(relay.root);
  onTestFinished(() => server.stop());
  await server.start();
  expect((await get(server.url('/whole'))).body.equals(BODY)).toBe(true);
  const told = { code: 'HFS_UNREAD', detail: expect.stringMatching(/-upstream.*DELETE/) };
  for (const query of [
    '',
    '?verb=FOLLOW',
    '?offset=-1',
    '?offset=-1&live=long-poll',
    '?offset=-1&live=sse',
  ]) {
    const refused = await get(server.url(`/part${query}`), { accept: 'application/json' });
    expect([refused.status, jsonOf(refused)]).toEqual([503, expect.objectContaining(told)]);
  }
  expect((await head(server.url('/part'))).status).toBe(503);
  const fork = { 'stream-forked-from': '/part', 'content-type': 'text/plain' };
  expect((await send('PUT', server.url('/fork'), { headers: fork })).status).toBe(503);
  await expect(follow(server.url('/part'), { retry: false }).toArray()).rejects.toThrow('503: only a part');
  expect((await send('DELETE', server.url('/part'))).status).toBe(204);
  expect((await get(server.url('/part'))).status).toBe(404);
});
