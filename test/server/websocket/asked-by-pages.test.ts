import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { NEVER_MS } from '../../support/patience.ts';
import { startServer } from '../../support/server/server.ts';
import { isThere } from '../../support/wait-for.ts';
import { refusalOf, sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

/** What a page is told that asks why its handshake was refused. */
async function answerTo(url: string, query: Record<string, string | number>): Promise<[number, string]> {
  const asked = new URL(url);
  asked.searchParams.set('verb', 'APPEND');
  for (const [name, value] of Object.entries(query)) asked.searchParams.set(name, String(value));
  const response = await fetch(asked, { headers: { accept: 'application/problem+json' } });
  const { code } = (await response.json()) as { code: string };
  return [response.status, code];
}

test('who asks why a handshake to append was refused is told the same, and nothing is made by it', async () => {
  const server = await startServer({ graceMs: NEVER_MS });
  const url = server.url('/f');
  await mkdir(path.join(server.root, 'd'));
  await writeFile(path.join(server.root, 'old'), 'old');
  await fetch(server.url('/closed'), { method: 'PUT', headers: { 'stream-closed': 'true' } });
  const appender = await V2Peer.append(url, { session: sessionOf('a'), attempt: 1 });
  await appender.append('one', 3);

  const asked: [string, Record<string, string | number>][] = [
    [url, { session: sessionOf('b') }],
    [url, { session: sessionOf('a'), attempt: 1 }],
    [url, { session: sessionOf('a'), attempt: 2, expect: 9 }],
    [url, { session: sessionOf('a'), attempt: 2, generation: 1 }],
    [server.url('/old'), { expect: 2 }],
    [server.url('/old'), { generation: 1 }],
    [server.url('/new'), { expect: 1 }],
    [server.url('/new'), { generation: 1 }],
    [server.url('/closed'), {}],
    [server.url('/d'), {}],
    [server.url('/old'), { session: 'short' }],
  ];
  for (const [target, query] of asked) {
    const handshake = await refusalOf(target, 'APPEND', query);
    expect([target, query, ...(await answerTo(target, query))]).toEqual([target, query, ...handshake]);
  }
  // The appender was not disturbed by any of that, and its session waits as it would have.
  await appender.append(' two', 7);
  appender.cut();
  expect(await answerTo(url, { session: sessionOf('b') })).toEqual([403, 'HFS_APPEND_CONFLICT']);
});

test.each([
  ['what is new', '/new', {}],
  ['what has been there', '/old', { expect: 3 }],
  ['an append that it goes on with', '/f', { session: sessionOf('a'), attempt: 2, expect: 0 }],
])('who asks about %s is told that it takes a WebSocket', async (_, urlPath, query) => {
  const server = await startServer();
  await writeFile(path.join(server.root, 'old'), 'old');
  const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a'), attempt: 1 });
  expect(await answerTo(server.url(urlPath), query)).toEqual([426, 'HFS_UPGRADE_REQUIRED']);
  expect(await isThere(path.join(server.root, 'new'))).toBe(false);
  await appender.append('one', 3);
  await appender.finish();
});

test('who asks why a handshake for a directory was refused is told the same', async () => {
  const server = await startServer();
  await mkdir(path.join(server.root, 'd'));
  await writeFile(path.join(server.root, 'f'), '');
  const asked = async (urlPath: string) => {
    const response = await fetch(server.url(`${urlPath}?view=list&verb=FOLLOW`));
    return [response.status, ((await response.json()) as { code: string }).code];
  };
  for (const urlPath of ['/none/', '/f/']) {
    const handshake = await refusalOf(server.url(urlPath), 'FOLLOW', { view: 'list' });
    expect([urlPath, ...(await asked(urlPath))]).toEqual([urlPath, ...handshake]);
  }
  expect(await asked('/none/')).toEqual([404, 'HFS_RESOURCE_NOT_FOUND']);
  expect(await asked('/d/')).toEqual([426, 'HFS_UPGRADE_REQUIRED']);
});
