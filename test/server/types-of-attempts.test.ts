import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { append } from '../../src/client/index.ts';
import { StreamStore } from '../../src/core/streams/stream-store.ts';
import { storageFailure } from '../../src/storage/storage-failure.ts';
import { systemError } from '../support/disk/small-disk.ts';
import { get, head, send } from '../support/http/request.ts';
import { NEVER_MS, PATIENCE_MS } from '../support/patience.ts';
import { InProcessServer } from '../support/server/restartable-server.ts';
import { startServer } from '../support/server/server.ts';
import { sessionOf, V2Peer } from '../support/websocket/v2-peer.ts';

const PLAIN = 'text/plain; charset=utf-8';
const HTML = { 'content-type': 'text/html' };

/** Tries again until it works. */
const eventually = <T>(attempt: () => T | Promise<T>) => vi.waitFor(attempt, { timeout: PATIENCE_MS });

const typeOf = async (url: string) => (await head(url)).headers['content-type'];

/** Says the type of its bytes in a text message. */
const tell = (appender: V2Peer, contentType: string): Promise<void> =>
  new Promise((resolve) => {
    const text = JSON.stringify({ type: 'type', contentType });
    appender.websocket.send(text, { binary: false }, () => resolve());
  });

describe.each<[how: string, type: string, attempt: (url: string) => Promise<unknown>]>([
  ['an append of no bytes', 'text/html', (url) => append(url, '', { contentType: 'text/html' })],
  ['an empty answer', 'text/html', (url) => append(url, new Response('', { headers: HTML }))],
  [
    'a request that fails',
    PLAIN,
    (url) => {
      const ask = () => Promise.reject(new Error('it failed'));
      return append(url, ask, { expect: 0, contentType: 'text/html' }).catch(() => undefined);
    },
  ],
  [
    'an appender that has said it, and is lost',
    PLAIN,
    async (url) => {
      const appender = await V2Peer.append(url);
      const follower = await V2Peer.follow(url);
      await tell(appender, 'text/html');
      await follower.until(() => follower.story.includes('type'), 'the type');
      appender.websocket.terminate();
      await follower.closed();
    },
  ],
])('%s', (_how, type, attempt) => {
  test(`leaves an empty file of ${type}, and no type for the append that begins it`, async () => {
    const server = await InProcessServer.start();
    const url = server.url('/a');
    await attempt(url);
    await eventually(async () => {
      expect(await get(url)).toMatchObject({ headers: { 'content-type': type }, text: '' });
    });
    await eventually(() => append(url, 'a,b', { contentType: 'text/csv', expect: 0 }));
    expect(await typeOf(url)).toBe('text/csv');
    await attempt(server.url('/b'));
    await eventually(() => append(server.url('/b'), 'text'));
    await server.restart();
    expect([await typeOf(server.url('/a')), await typeOf(server.url('/b'))]).toEqual(['text/csv', PLAIN]);
  });
});

test.each(['finish', 'terminate'] as const)(
  'a relay keeps no type of an attempt that brought nothing (%s)',
  async (end) => {
    const origin = await startServer();
    const relay = await startServer({ upstreams: [origin.url('')] });
    const appender = await V2Peer.append(origin.url('/a'), { 'content-type': 'text/html' });
    const follower = await V2Peer.follow(relay.url('/a'));
    await follower.until(() => follower.open !== undefined, 'the beginning');
    expect(follower.open?.contentType).toBe('text/html');
    if (end === 'finish') await appender.finish();
    else appender.websocket.terminate();
    await follower.closed();
    await append(origin.url('/a'), 'a,b', { contentType: 'text/csv' });
    // What it has found out a moment ago holds for a while.
    const isThere = async () => expect((await get(relay.url('/a'))).text).toBe('a,b');
    await eventually(isThere);
    expect(await typeOf(relay.url('/a'))).toBe('text/csv');
  },
);

test('a session that a restart has left without its client, and without a byte, leaves no type', async () => {
  const server = await InProcessServer.start({ graceMs: 0 });
  await V2Peer.append(server.url('/a'), { session: sessionOf('a'), 'content-type': 'text/html' });
  await server.restart();
  await append(server.url('/a'), 'text');
  expect(await typeOf(server.url('/a'))).toBe(PLAIN);
});

test('a session that waits for its client keeps the type that it has given', async () => {
  const server = await InProcessServer.start({ graceMs: NEVER_MS });
  const session = sessionOf('a');
  await V2Peer.append(server.url('/a'), { session, 'content-type': 'text/csv' });
  await server.restart();
  const again = await V2Peer.append(server.url('/a'), { session });
  expect(again.open?.contentType).toBe('text/csv');
  await again.append('a,b', 3);
  await again.finish();
  expect(await typeOf(server.url('/a'))).toBe('text/csv');
});

test('an empty fork keeps the type of its source', async () => {
  const server = await startServer();
  await append(server.url('/a'), 'a,b', { contentType: 'text/csv' });
  const headers = { 'stream-forked-from': '/a', 'stream-fork-offset': '-1' };
  expect(await send('PUT', server.url('/fork'), { headers })).toMatchObject({ status: 201 });
  await append(server.url('/fork'), '');
  await append(server.url('/fork'), 'c,d');
  expect(await get(server.url('/fork'))).toMatchObject({
    headers: { 'content-type': 'text/csv' },
    text: 'c,d',
  });
});

test('a session that comes back after its end changes no type', async () => {
  const server = await startServer();
  const url = server.url('/a');
  const session = sessionOf('a');
  const appender = await V2Peer.append(url, { session, attempt: '0' });
  await appender.append('plain', 5);
  await appender.finish();
  const query = { session, attempt: '1', expect: '0', 'content-type': 'text/html' };
  const again = await V2Peer.append(url, query);
  expect(again.open).toMatchObject({ position: 5, contentType: null });
  again.websocket.terminate();
  const follower = await V2Peer.follow(url);
  await follower.closed();
  expect(follower.ending).toEqual(['finished', 1000]);
  expect(await get(url)).toMatchObject({ headers: { 'content-type': PLAIN }, text: 'plain' });
});

test('a type that is said after the first byte is refused with 1003, and changes nothing', async () => {
  const server = await startServer();
  const url = server.url('/a');
  const appender = await V2Peer.append(url);
  await appender.append('<b>x', 4);
  const { etag } = (await get(url)).headers;
  await tell(appender, 'text/html');
  await appender.closed();
  expect(appender.closeCode).toBe(1003);
  expect(await get(url)).toMatchObject({ headers: { 'content-type': PLAIN, etag }, text: '<b>x' });
});

test('a file that another program has cut to nothing has the type of what begins it anew', async () => {
  const server = await startServer();
  await append(server.url('/a'), 'a{}', { contentType: 'text/css' });
  await truncate(path.join(server.root, 'a'));
  await append(server.url('/a'), '<b>', { contentType: 'text/html' });
  expect(await typeOf(server.url('/a'))).toBe('text/html');
});

test('a file that another program has cut to nothing has no type when what begins it anew has none, over a restart, too', async () => {
  const server = await InProcessServer.start();
  await append(server.url('/a'), 'a{}', { contentType: 'text/css' });
  await truncate(path.join(server.root, 'a'));
  await append(server.url('/a'), 'text');
  expect(await typeOf(server.url('/a'))).toBe(PLAIN);
  await server.restart();
  expect(await typeOf(server.url('/a'))).toBe(PLAIN);
});

test('followers learn a type that is remembered, and no other one', async () => {
  const server = await startServer({ graceMs: NEVER_MS });
  const appender = await V2Peer.append(server.url('/a'));
  const follower = await V2Peer.follow(server.url('/a'));
  await follower.until(() => follower.open !== undefined, 'the beginning');
  const full = vi.spyOn(StreamStore.prototype, 'saveFileType').mockImplementation(async () => {
    throw storageFailure(systemError('ENOSPC'));
  });
  onTestFinished(() => full.mockRestore());
  await tell(appender, 'text/csv');
  await follower.closed();
  expect(follower.story).toEqual(['open', 'end']);
});
