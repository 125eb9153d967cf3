import { mkdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer, type UrlSource } from '../../support/server/server.ts';
import { isThere } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** Whether a page is told that it may append; else how it was refused. */
async function mayAppend(server: UrlSource, urlPath: string, token?: string): Promise<boolean | number> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(server.url(`${urlPath}?view=append`), { headers });
  expect(await answer.text()).not.toContain('secret');
  if (answer.status !== 204) return answer.status;
  expect(answer.headers.get('cache-control')).toBe('no-store');
  return answer.headers.get('allow')?.includes('POST') === true;
}

test('a page is told whether it may append, at once or when nobody else does, and nothing is made by it', async () => {
  const server = await startServer();
  await mkdir(path.join(server.root, 'd'));
  await writeFile(path.join(server.root, 'old'), 'secret');
  await fetch(server.url('/closed'), { method: 'PUT', headers: { 'stream-closed': 'true' } });
  const appender = await V2Peer.append(server.url('/live'));
  for (const urlPath of ['/old', '/new', '/e/new', '/live']) {
    expect([urlPath, await mayAppend(server, urlPath)]).toEqual([urlPath, true]);
  }
  for (const urlPath of ['/closed', '/d', '/d/', '/', '/-/viewer/x.js']) {
    expect([urlPath, await mayAppend(server, urlPath)]).not.toEqual([urlPath, true]);
  }
  expect(await isThere(path.join(server.root, 'new'))).toBe(false);
  await appender.finish();
});

test('who may only read, or list the directory, is told that this is all, and others nothing', async () => {
  const access = new RuleAccess({
    read: { rules: { '/f': ['follow'] } },
    list: { rules: { '/': ['list'] } },
    append: { rules: { '/f': ['append'] } },
    other: { rules: { '/g': ['follow', 'append'] } },
  });
  const server = await startServer({ access });
  await writeFile(path.join(server.root, 'f'), 'secret');
  const told = (token: string) => mayAppend(server, '/f', token);
  expect([await told('read'), await told('list'), await told('append')]).toEqual([false, false, true]);
  expect([await told('other'), await mayAppend(server, '/f')]).toEqual([403, 401]);
});

test('at a relay it is asked where it would be written, if the relay lets who asks write at all', async () => {
  const origin = await startOrigin();
  await fetch(origin.url('/closed'), { method: 'PUT', headers: { 'stream-closed': 'true' } });
  const access = new RuleAccess({
    reader: { rules: { '/**': ['follow'] } },
    writer: { rules: { '/**': ['follow', 'append'] } },
  });
  const relay = await startRelay(origin.url(''), { access });
  expect(await mayAppend(relay, '/new', 'writer')).toBe(true);
  expect(await mayAppend(relay, '/closed', 'writer')).toBe(false);
  const asked = origin.requests.length;
  expect(await mayAppend(relay, '/new', 'reader')).toBe(false);
  expect(origin.requests.length).toBe(asked);
});

test('nothing is appended to what comes from a plain HTTP server', async () => {
  const asked: string[] = [];
  const origin = http.createServer(({ url = '' }, response) => {
    asked.push(url);
    response.end('one\n');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void origin.close());
  const relay = await startRelay(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`);
  expect(await mayAppend(relay, '/f.log')).toBe(false);
  expect(asked.filter((url) => url.includes('view'))).toEqual([]);
});
