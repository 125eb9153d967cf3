import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeWalksLong } from '../../support/core/long-walk.ts';
import { HANDSHAKE, openSocket, rawGet, rawRequest, readToEnd } from '../../support/http/raw.ts';
import { get, send } from '../../support/http/request.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { scrape } from '../../support/server/scrape.ts';
import { startServers, temporaryDirectory } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const answered = async (url: string, headers = {}) => {
  const { status, text } = await get(url, headers);
  return `${status} ${text}`;
};

describe('health', () => {
  test.each(['/-/health', '/-/health/live', '/-/health/ready'])(
    '%s is answered to everybody, and to whoever runs the server',
    async (page) => {
      const access = new RuleAccess({});
      const { url, port, admin } = await startServers({ access });
      const expected = page.endsWith('ready') ? '200 ready\n' : '200 ok\n';
      expect(await answered(url(page))).toBe(expected);
      expect(await answered(admin.url(page))).toBe(expected);
      expect((await rawRequest(port, `POST ${page} HTTP/1.1`, ['Content-Length: 0'])).status).toBe(405);
      expect((await rawGet(port, `${page}?verb=FOLLOW`, HANDSHAKE)).status).toBe(400);
    },
  );

  test('what keeps anything new from beginning is told, and readers may come', async () => {
    const { url } = await startServers({ minFreeBytes: Number.MAX_SAFE_INTEGER });
    expect((await send('PUT', url('/a'), { body: 'text' })).status).toBe(507);
    expect(await answered(url('/-/health/ready'))).toMatch(/^200 ready\nthe server's disk is nearly full/);
  });

  test('that a quota is counted for the first time is told, and readers may come', async () => {
    const root = path.join(await temporaryDirectory(), 'root');
    await mkdir(root);
    await writeFile(path.join(root, 'there'), 'text');
    const end = makeWalksLong();
    const { url, admin } = await startServers({ root, quotas: [{ pattern: '/**', bytes: 10 }] });
    expect((await send('PUT', url('/a'), { body: 'text' })).status).toBe(503);
    expect(await answered(url('/there'))).toBe('200 text');
    expect(await answered(url('/-/health/ready'))).toMatch(
      /^200 ready\nwhat is stored at \/\*\* is being counted/,
    );
    const ofQuotas = async () => {
      const { value } = await scrape(admin);
      return ['quota_bytes', 'quota_limit_bytes'].map((name) => value(`httpfstream_${name}{pattern="/**"}`));
    };
    expect(await ofQuotas()).toEqual([undefined, 10]);
    end();
    await expect.poll(() => answered(url('/-/health/ready'))).toBe('200 ready\n');
    expect(await ofQuotas()).toEqual([4, 10]);
  });

  test('a server that closes is not ready, and alive', async () => {
    const { app, url, admin } = await startServers({ closeTimeoutMs: 60_000 });
    // Nobody closes for this one.
    const appender = await V2Peer.append(url('/log'));
    appender.websocket.pause();
    const closed = app.close();
    await expect.poll(() => answered(admin.url('/-/health/ready'))).toBe('503 closing\n');
    expect(await answered(admin.url('/-/health/live'))).toBe('200 ok\n');
    appender.websocket.terminate();
    await closed;
    await expect(get(admin.url('/-/health/live'))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

test('those who reach the server of whoever runs it have a few connections together, and one that is free is had by the next', async () => {
  const { admin } = await startServers();
  const port = Number(new URL(admin.url('/')).port);
  const sockets = [];
  for (let i = 0; i < 32; i++) sockets.push(await openSocket(port));
  expect(sockets.filter(({ readyState }) => readyState === 'open')).toHaveLength(32);
  // Who is cut later, for having asked for nothing, is told so.
  expect(await readToEnd(await openSocket(port))).toHaveLength(0);
  sockets.pop()!.destroy();
  await expect.poll(() => answered(admin.url('/-/health/live')).catch(() => 'none')).toBe('200 ok\n');
});

describe('numbers, and what is live', () => {
  const pages = ['/-/metrics', '/-/resources'];

  test.each(pages)('%s is for whoever runs the server only, where there are no rights', async (page) => {
    const { url, admin } = await startServers();
    expect((await get(url(page))).status).toBe(404);
    expect((await get(admin.url(page))).status).toBe(200);
    const rebound = await get(admin.url(page), { host: 'rebound.example.com' });
    expect(rebound.status).toBe(421);
    expect((await get(admin.url(page), { origin: 'https://elsewhere.example' })).status).toBe(403);
  });

  test.each(pages)('%s is for who has the right to it, where there are', async (page) => {
    const access = new RuleAccess({
      keeper: { rules: { '/': ['admin'] } },
      other: { rules: { '/**': ['follow', 'list', 'append', 'delete'] } },
    });
    const { url } = await startServers({ access });
    expect((await get(url(page))).status).toBe(401);
    expect((await get(url(page), { authorization: 'Bearer other' })).status).toBe(403);
    expect((await get(url(page), { authorization: 'Bearer unknown' })).status).toBe(401);
    expect((await get(url(page), { authorization: 'Bearer keeper' })).status).toBe(200);
  });

  test('what is live is listed: who appends, and who follows and how far behind', async () => {
    const { url, admin } = await startServers();
    const before = Date.now();
    const appender = await V2Peer.append(url('/a/log'));
    const follower = await V2Peer.follow(url('/a/log'));
    appender.send('12345');
    await follower.until(() => follower.text === '12345', 'the bytes');
    const { resources, omitted } = JSON.parse((await get(admin.url('/-/resources'))).text);
    expect({ resources, omitted }).toEqual({
      resources: [
        {
          path: '/a/log',
          size: 5,
          appender: { since: expect.any(String), transport: 'websocket', isWaitedFor: false },
          followerCount: 1,
          followers: [{ transport: 'websocket', position: 5, lag: 0 }],
        },
      ],
      omitted: 0,
    });
    expect(Date.parse(resources[0].appender.since)).toBeGreaterThanOrEqual(before);
  });
});
