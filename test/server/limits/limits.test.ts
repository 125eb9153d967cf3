import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Refusals } from '../../../src/server/node/connections/refusals.ts';
import { createStandaloneServer, type StandaloneOptions } from '../../../src/server/standalone.ts';
import { openSocket, rawHandshake } from '../../support/http/raw.ts';
import { lendReserve } from '../../support/server/reserves.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import {
  cutConnectionsAfterTest,
  listen,
  type TestServer,
  temporaryDirectory,
} from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** One that believes this machine's proxies, so that a client is who `X-Forwarded-For` says. */
async function start(options: Partial<StandaloneOptions>, lines: string[] = []): Promise<TestServer> {
  const root = path.join(await temporaryDirectory(), 'root');
  await lendReserve(root);
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const app = await createStandaloneServer({
    trustProxy: ['loopback'],
    closeTimeoutMs: 200,
    ...options,
    root,
    logger,
  });
  const server = await listen(app);
  cutConnectionsAfterTest(app);
  return { ...server, root };
}

const as = (client: string, headers: Record<string, string> = {}) => ({
  headers: { 'x-forwarded-for': client, ...headers },
});

async function statuses(count: number, request: () => Promise<Response>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    const response = await request();
    await response.arrayBuffer();
    found.push(response.status);
  }
  return found;
}

/**
 * What was answered, one request after the other, before the first one was sent away with 429: on a slow machine some
 * more than at once, since there is room for new ones meanwhile.
 */
async function beforeRefusal(request: () => Promise<Response>): Promise<number[]> {
  const found: number[] = [];
  await waitFor(async () => {
    const [status = 0] = await statuses(1, request);
    if (status !== 429) found.push(status);
    return status === 429;
  }, 'a refusal');
  return found;
}

const refusals = ({ app }: TestServer) =>
  Object.fromEntries([...Refusals.of(app.server).all].filter(([, count]) => count > 0));

describe('the rate of requests', () => {
  test('is each client’s own, and there is another one, ten times as high, for what goes on with something', async () => {
    const server = await start({ rate: 1 });
    const from = (client: string, query = '') => fetch(server.url(`/f${query}`), as(client));
    const taken = await beforeRefusal(() => from('192.0.2.1'));
    expect(taken.length).toBeGreaterThanOrEqual(5);
    expect(new Set(taken)).toEqual(new Set([404]));
    const goOn = () => from('192.0.2.1', '?verb=FOLLOW&from=0&generation=1');
    const all: number[] = [];
    await waitFor(async () => {
      const answered = await Promise.all(Array.from({ length: 100 }, () => statuses(1, goOn)));
      all.push(...answered.flat());
      return all.includes(429);
    }, 'a refusal of who goes on');
    expect(new Set(all)).toEqual(new Set([410, 429]));
    expect(all.filter((status) => status === 410).length).toBeGreaterThanOrEqual(50);
    expect((await from('192.0.2.2')).status).toBe(404);
    // This machine's own programs, and who asks whether it is up.
    expect(await statuses(8, () => fetch(server.url('/f')))).toEqual(new Array(8).fill(404));
    expect((await fetch(server.url('/-/health'), as('192.0.2.1'))).status).toBe(200);
    expect(refusals(server).rate).toBeGreaterThanOrEqual(2);
  });

  test('says when to come back', async () => {
    const server = await start({ rate: 1 });
    const ask = () => fetch(server.url('/f'), as('192.0.2.1'));
    let refused = await ask();
    await waitFor(async () => {
      refused = await ask();
      return refused.status === 429;
    }, 'a refusal');
    expect(await refused.json()).toMatchObject({ code: 'HFS_TOO_MANY_REQUESTS' });
    expect(['4', '5', '6']).toContain(refused.headers.get('retry-after'));
  });

  test('can be any', async () => {
    const server = await start({ rate: 0 });
    const all = await statuses(8, () => fetch(server.url('/f'), as('192.0.2.1')));
    expect(all).toEqual(new Array(8).fill(404));
  });
});

test('a proxy that is not trusted is told of once, and its word does not count', async () => {
  const lines: string[] = [];
  const server = await start({ rate: 1, trustProxy: [] }, lines);
  expect(await statuses(7, () => fetch(server.url('/f'), as('192.0.2.1')))).toEqual(new Array(7).fill(404));
  expect(lines.filter((line) => line.includes('-trust-proxy'))).toHaveLength(1);
});

test('an address that has brought 20 credentials that do not count is told to come back; who has one that counts is let in', async () => {
  const access = new RuleAccess({ good: { rules: { '/f': ['follow'] } } });
  const server = await start({ access });
  const bring = (token: string, client: string) =>
    fetch(server.url('/f'), as(client, { authorization: `Bearer ${token}` }));
  const taken = await beforeRefusal(() => bring('bad', '192.0.2.1'));
  expect(taken.length).toBeGreaterThanOrEqual(20);
  expect(new Set(taken)).toEqual(new Set([401]));
  expect((await bring('bad', '192.0.2.2')).status).toBe(401);
  expect((await bring('good', '192.0.2.1')).status).toBe(404);
  expect(refusals(server)).toEqual({ credential: taken.length + 1, credentials: 1 });
});

test('so many wait for what is missing, of each client and of all', async () => {
  const server = await start({ maxWaiting: 3, maxWaitingPerClient: 2 });
  const wait = (client: string) => fetch(server.url('/missing?verb=FOLLOW&wait=60'), as(client));
  const refused = (count: number) => waitFor(() => refusals(server).waiting === count, 'the refusal');
  const ofOne = [1, 2, 3].map(() => wait('192.0.2.1'));
  await refused(1);
  const ofOthers = [wait('192.0.2.2'), wait('192.0.2.3')];
  await refused(2);
  const append = { method: 'POST', body: 'here' };
  expect((await fetch(server.url('/missing?verb=APPEND'), append)).status).toBe(201);
  const statusesOf = async (answers: Promise<Response>[]) =>
    (await Promise.all(answers)).map(({ status }) => status).sort((a, b) => a - b);
  expect(await statusesOf(ofOne)).toEqual([200, 200, 429]);
  expect(await statusesOf(ofOthers)).toEqual([200, 429]);
  // All of them are over.
  expect((await fetch(server.url('/later?verb=FOLLOW&wait=0.1'), as('192.0.2.1'))).status).toBe(404);
});

test('a resource has as many followers as it may, and the next one is told to come back', async () => {
  const server = await start({ maxFollowers: 2 });
  const appender = await V2Peer.append(server.url('/f'));
  await appender.append('here', 4);
  const followers = [await V2Peer.follow(server.url('/f')), await V2Peer.follow(server.url('/f'))];
  const refused = await fetch(server.url('/f?verb=FOLLOW'));
  expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'HFS_SERVER_BUSY' }]);
  expect(refused.headers.get('retry-after')).toMatch(/^[456]$/);
  // What is there can be read, and others can be followed.
  expect(await (await fetch(server.url('/f'))).text()).toBe('here');
  await appender.finish();
  for (const follower of followers) await follower.closed();
  expect((await fetch(server.url('/f?verb=FOLLOW'))).status).toBe(200);
  expect(refusals(server)).toEqual({ followers: 1 });
});

test('as many resources are in use as may be; what is not in use any more makes room, and all can be deleted', async () => {
  const server = await start({ maxLive: 2 });
  for (const name of ['/a', '/b', '/c']) await fetch(server.url(name), { method: 'PUT', body: name });
  const held = [await V2Peer.append(server.url('/a')), await V2Peer.append(server.url('/b'))];
  const append = () => fetch(server.url('/c?verb=APPEND'), { method: 'POST', body: 'more' });
  expect((await append()).status).toBe(503);
  // What is refused makes no file.
  const onNew = await fetch(server.url('/new?verb=APPEND'), { method: 'POST', body: 'more' });
  expect([onNew.status, (await fetch(server.url('/new'))).status]).toEqual([503, 404]);
  expect(await (await fetch(server.url('/c'))).text()).toBe('/c');
  expect((await fetch(server.url('/c'), { method: 'DELETE' })).status).toBe(204);
  for (const peer of held) await peer.finish();
  await waitFor(async () => (await append()).status === 200, 'room for another one');
});

describe('the number of connections', () => {
  async function open(server: TestServer): Promise<Socket> {
    const socket = connect(server.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  test('is bounded, and whoever is connected goes on', async () => {
    const server = await start({ maxConnections: 3 });
    const healthy = await V2Peer.append(server.url('/f'));
    const others = [await open(server), await open(server)];
    const refused = await open(server);
    const [answer] = await once(refused, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After/);
    await healthy.append('goes on', 7);
    for (const socket of others) socket.destroy();
    await waitFor(async () => (await fetch(server.url('/f')).catch(() => undefined))?.status === 200, 'room');
    await healthy.finish();
    expect(refusals(server).connections).toBeGreaterThanOrEqual(1);
  });

  test('of an address behind a proxy is that of its requests under way', async () => {
    const server = await start({ maxConnectionsPerAddress: 2 });
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const appender = await V2Peer.append(server.url('/f'));
    await appender.append('here', 4);
    const follow = (client: string) =>
      fetch(server.url('/f?verb=FOLLOW'), { ...as(client), signal: stop.signal });
    const [one] = [await follow('192.0.2.1'), await follow('192.0.2.1')];
    expect((await follow('192.0.2.1')).status).toBe(429);
    expect((await follow('192.0.2.2')).status).toBe(200);
    await one?.body?.cancel();
    await waitFor(async () => (await fetch(server.url('/f'), as('192.0.2.1'))).status === 200, 'room for it');
    await appender.finish();
  });

  test.each([
    [
      'a WebSocket',
      async ({ port }: TestServer) => {
        const headers = ['X-Forwarded-For: 192.0.2.1', 'Sec-WebSocket-Protocol: httpfstream.v2'];
        const { status, socket } = await rawHandshake(port, '/f?verb=APPEND', headers);
        expect(status).toBe(101);
        socket.destroy();
      },
    ],
    [
      'what waited for its turn when its client left',
      async (server: TestServer) => {
        const head = ['Host: x', 'X-Forwarded-For: 192.0.2.1', '', ''].join('\r\n');
        const socket = await openSocket(server.port);
        socket.write(`GET /none?verb=FOLLOW&wait=60 HTTP/1.1\r\n${head}`);
        socket.write(`PUT /f HTTP/1.1\r\nContent-Length: 0\r\n${head}`);
        await fetch(server.url('/f'));
        socket.resetAndDestroy();
        await waitFor(async () => (await fetch(server.url('/f'))).status === 200, 'the file');
        await fetch(server.url('/f'), { method: 'DELETE' });
      },
    ],
  ])('of an address behind a proxy loses nothing to %s', async (_, come) => {
    const server = await start({ maxConnectionsPerAddress: 2 });
    for (let i = 0; i < 3; i++) {
      await come(server);
      await waitFor(
        async () => (await fetch(server.url('/none'), as('192.0.2.1'))).status === 404,
        'room for another one',
      );
    }
  });
});
