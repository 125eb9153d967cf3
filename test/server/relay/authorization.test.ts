import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http, { type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { follow, openAppend } from '../../../src/client/index.ts';
import type { UpstreamSettings } from '../../../src/relay/upstream/upstream-option.ts';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { rawHandshake } from '../../support/http/raw.ts';
import { startOrigin } from '../../support/relay/origin.ts';
import { ScriptedServer, say } from '../../support/relay/scripted.ts';
import { listen, startServer, type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { waitForSize } from '../../support/wait-for.ts';

const SECRET = 'Bearer top-secret';

const USER = { authorization: 'Bearer of-a-user' };

/** What each request to a server says of who asks. */
function authorizationsAt({ app }: TestServer): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  const note = ({ headers }: { headers: IncomingHttpHeaders }) => seen.push(headers.authorization);
  app.server.prependListener('request', note).prependListener('upgrade', note);
  return seen;
}

async function pair(settings: Omit<UpstreamSettings, 'url'>) {
  const origin = await startOrigin();
  await writeFile(path.join(origin.root, 'f'), 'content');
  const seen = authorizationsAt(origin);
  const relay = await startServer({ upstreams: [{ url: origin.url(''), ...settings }] });
  return { origin, seen, relay };
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return String(Buffer.concat(chunks));
}

test('what an upstream is to be told is said in each request to it, and to nobody else', async () => {
  const origin = await startOrigin();
  await writeFile(path.join(origin.root, 'f'), 'content');
  const seen = authorizationsAt(origin);
  const lines: string[] = [];
  const app = await createStandaloneServer({
    root: path.join(await temporaryDirectory(), 'root'),
    upstreams: [{ url: origin.url(''), headers: { Authorization: SECRET } }],
    logger: pino({ level: 'debug' }, { write: (line) => void lines.push(line) }),
  });
  const relay = await listen(app);
  const told: string[] = [];
  const ask = async (target: string, init: RequestInit = {}) => {
    const response = await fetch(relay.url(target), { redirect: 'manual', ...init });
    told.push(JSON.stringify([...response.headers]), await response.text());
  };
  await ask('/f');
  await ask('/', { headers: { accept: 'application/json' } });
  await ask('/none', { headers: USER });
  await ask('/g?verb=APPEND', { method: 'PUT', body: 'x' });
  expect(await bytesOf(follow(relay.url('/f')))).toBe('content');
  const appender = openAppend(relay.url('/h'));
  appender.end('y');
  await waitForSize(path.join(origin.root, 'h'), 1);
  expect(new Set(seen)).toEqual(new Set([SECRET]));
  await origin.app.close();
  await ask('/other');
  expect(told.at(-1)).toContain('HFS_UPSTREAM');
  expect(lines.length).toBeGreaterThan(0);
  expect(told.join() + lines.join()).not.toContain('top-secret');
});

test('what users say of themselves is for the relay, and goes on only where it was named for that', async () => {
  const { seen, relay } = await pair({ headers: { authorization: SECRET } });
  expect(await (await fetch(relay.url('/f'), { headers: USER })).text()).toBe('content');
  expect(new Set(seen)).toEqual(new Set([SECRET]));
});

test('a token that a page offers as a subprotocol is for the relay, too', async () => {
  const { origin, relay } = await pair({ headers: { authorization: SECRET } });
  const offered: (string | undefined)[] = [];
  origin.app.server.prependListener('upgrade', ({ headers }) =>
    offered.push(headers['sec-websocket-protocol']),
  );
  for (const [path, line] of [
    ['/one', 'httpfstream.v2, bearer.of-a-user'],
    ['/two', 'bearer.of-a-user,httpfstream.v2, bearer.x'],
  ]) {
    const { status, headers } = await rawHandshake(relay.port, `${path}?verb=APPEND`, [
      `Sec-WebSocket-Protocol: ${line}`,
    ]);
    expect([status, headers['sec-websocket-protocol']]).toEqual([101, 'httpfstream.v2']);
  }
  expect(offered).toEqual(['httpfstream.v2', 'httpfstream.v2']);
  const passing = await pair({ passAuthorization: true });
  passing.origin.app.server.prependListener('upgrade', ({ headers }) =>
    offered.push(headers['sec-websocket-protocol']),
  );
  await rawHandshake(passing.relay.port, '/new?verb=APPEND', [
    'Sec-WebSocket-Protocol: httpfstream.v2, bearer.x',
  ]);
  expect(offered.at(-1)).toBe('httpfstream.v2, bearer.x');
});

test('where it goes on, who may see what is decided there, and nothing is kept of it', async () => {
  const { origin, seen, relay } = await pair({ passAuthorization: true, headers: { authorization: SECRET } });
  origin.app.server.prependListener('request', ({ headers }, response) => {
    if (headers.authorization !== USER.authorization) return;
    response.setHeader('X-User', 'known');
  });
  // It is read from here by others: not by this one.
  expect(await (await fetch(relay.url('/f'))).text()).toBe('content');
  expect(new Set(seen.splice(0))).toEqual(new Set([SECRET]));
  for (const target of ['/f', '/f', '/f?verb=FOLLOW']) {
    const response = await fetch(relay.url(target), { headers: USER });
    expect([response.headers.get('x-user'), await response.text()]).toEqual(['known', 'content']);
  }
  expect(await bytesOf(follow(relay.url('/f'), { headers: USER }))).toBe('content');
  const put = await fetch(relay.url('/g?verb=APPEND'), { method: 'PUT', body: 'x', headers: USER });
  expect(put.status).toBe(201);
  expect(seen).toEqual(Array.from({ length: 5 }, () => USER.authorization));
});

test('it does not go on to a plain HTTP server, whatever was named', async () => {
  const server = await ScriptedServer.start((_request, socket) => say(socket, '200 OK', {}, 'content'));
  const relay = await startServer({ upstreams: [{ url: server.url, passAuthorization: true }] });
  expect(await (await fetch(relay.url('/f'), { headers: USER })).text()).toBe('content');
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(
    server.requests.map(() => undefined),
  );
});

test('nor do writes go to one of which nothing tells what it is; it is asked that with what a user says, if it asks', async () => {
  const server = await ScriptedServer.start(({ line }, socket) => {
    if (line.includes('/away')) say(socket, '500 Internal Server Error', {}, 'away');
    else say(socket, '401 Unauthorized', { 'WWW-Authenticate': 'Basic' }, 'who?');
  });
  const relay = await startServer({ upstreams: [{ url: `${server.url}/away`, passAuthorization: true }] });
  const asks = await startServer({ upstreams: [{ url: server.url, passAuthorization: true }] });
  const statusOf = async (url: string, method: string) =>
    (await fetch(url, { headers: { ...USER, 'content-type': 'text/plain' }, method })).status;
  for (const method of ['POST', 'PUT', 'DELETE']) {
    expect(await statusOf(relay.url('/'), method)).toBe(502);
    expect(await statusOf(asks.url('/f'), method)).toBe(502);
  }
  expect(await statusOf(relay.url('/'), 'GET')).toBe(500);
  expect(await statusOf(asks.url('/f'), 'GET')).toBe(401);
  const told = server.requests.filter(({ headers }) => headers.authorization !== undefined);
  const follows = told.map(({ line, headers }) => `${line} ${headers['x-verb']}`);
  expect(new Set(follows)).toEqual(new Set(['GET /f FOLLOW', 'GET / FOLLOW']));
});

test('it goes on to an httpfstream server behind something that asks who comes', async () => {
  const origin = await startOrigin();
  await writeFile(path.join(origin.root, 'f'), 'content');
  const front = http.createServer(({ method, url, headers }, response) => {
    if (headers.authorization !== USER.authorization) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end('who?');
      return;
    }
    const passed = http.request(origin.url(url as string), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(response);
    });
    passed.end();
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  onTestFinished(() => void front.close());
  const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  const relay = await startServer({ upstreams: [{ url, passAuthorization: true }] });
  expect((await fetch(relay.url('/f'))).status).toBe(401);
  expect((await fetch(relay.url('/f'), { method: 'DELETE', headers: { authorization: 'x' } })).status).toBe(
    502,
  );
  expect(await (await fetch(relay.url('/f'), { headers: USER })).text()).toBe('content');
  expect((await fetch(relay.url('/f'), { method: 'DELETE', headers: USER })).status).toBe(204);
});
