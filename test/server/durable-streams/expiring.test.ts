import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Resources } from '../../../src/core/resources.ts';
import { dueIn, recordAt, recordsIn, rewriteRecords, withStore } from '../../support/core/stored-records.ts';
import { resourceNames } from '../../support/disk/root-files.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const SWEEP_MS = 30_000;

/** A server whose sweeps come when {@link sweep} says so. */
async function startSweptServer(root?: string): Promise<TestServer> {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  return startServer(root === undefined ? {} : { root });
}

function sweep(): void {
  vi.advanceTimersByTime(SWEEP_MS);
}

/** Sweeps until `condition` holds. */
async function swept(condition: () => Promise<boolean>, what: string): Promise<void> {
  await waitFor(async () => {
    sweep();
    return condition();
  }, what);
}

async function put(server: TestServer, name: string, headers: Record<string, string>): Promise<void> {
  const answer = await fetch(server.url(`/${name}`), {
    method: 'PUT',
    headers: { 'content-type': 'text/plain', ...headers },
    body: 'text',
  });
  expect(answer.status).toBe(201);
}

const inMs = (ms: number) => ({ 'stream-expires-at': new Date(Date.now() + ms).toISOString() });
const dueOf = ({ root }: TestServer) => dueIn(root);

describe('a stream that nobody asks for', () => {
  test('is gone from the disk when its time is over, with all that was remembered of it', async () => {
    const server = await startSweptServer();
    await put(server, 'soon', inMs(100));
    await put(server, 'ttl', { 'stream-ttl': '1' });
    await put(server, 'later', inMs(600_000));
    await put(server, 'long', { 'stream-ttl': '600' });
    await put(server, 'for-ever', {});
    expect(await dueOf(server)).toHaveLength(4);
    await swept(async () => (await resourceNames(server.root)).length === 3, 'two to be deleted');
    expect(await resourceNames(server.root)).toEqual(['for-ever', 'later', 'long']);
    await waitFor(async () => (await dueOf(server)).length === 2, 'the index');
    expect(Object.keys(await recordsIn(server.root)).sort()).toEqual(['for-ever', 'later', 'long']);
  });

  test('is found by the next server, too', async () => {
    const first = await startServer();
    await put(first, 'soon', inMs(50));
    await first.app.close();
    const server = await startSweptServer(first.root);
    await swept(async () => (await resourceNames(server.root)).length === 0, 'it to be deleted');
  });

  test('leaves what its forks need', async () => {
    const server = await startSweptServer();
    await put(server, 'source', inMs(1000));
    await put(server, 'fork', { 'stream-forked-from': '/source', 'stream-ttl': '600' });
    await swept(async () => !(await resourceNames(server.root)).includes('source'), 'it to be deleted');
    expect((await fetch(server.url('/source'))).status).toBe(410);
    expect(await (await fetch(server.url('/fork'))).text()).toBe('texttext');
  });
});

describe('a stream whose time is over at once', () => {
  test.each([{ 'stream-ttl': '0' }, { 'stream-expires-at': '2001-01-01T00:00:00Z' }])(
    'is made, is gone, and can be made anew: %j',
    async (headers) => {
      const server = await startServer();
      for (let round = 0; round < 2; round++) {
        await put(server, 's', headers as Record<string, string>);
        expect((await fetch(server.url('/s'))).status).toBe(404);
        expect(await resourceNames(server.root)).toEqual([]);
      }
    },
  );
});

describe('a stream that was made by a fork', () => {
  test('ends when its source does, if nothing else was said', async () => {
    const server = await startSweptServer();
    await put(server, 'source', inMs(1000));
    await put(server, 'fork', { 'stream-forked-from': '/source' });
    expect(await dueOf(server)).toHaveLength(2);
    await swept(async () => (await resourceNames(server.root)).length === 0, 'both to be deleted');
  });
});

describe('a time to live', () => {
  test('that began anew since is waited for', async () => {
    const server = await startSweptServer();
    await put(server, 'read', { 'stream-ttl': '4' });
    const dueMs = (await recordAt(server.root, 'read')).record.dueMs as number;
    await waitFor(() => Date.now() > dueMs - 3000, 'some of its time to pass');
    expect((await fetch(`${server.url('/read')}?offset=-1`)).status).toBe(200);
    await swept(
      async () => ((await recordAt(server.root, 'read')).record.dueMs ?? 0) > dueMs,
      'its new time',
    );
    expect(await resourceNames(server.root)).toEqual(['read']);
    await swept(async () => (await resourceNames(server.root)).length === 0, 'it to be deleted');
  });
});

describe('a time to live that began anew', () => {
  test('is known to the next server', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const first = await startServer();
    await put(first, 'read', { 'stream-ttl': '2' });
    vi.setSystemTime(Date.now() + 1500);
    expect((await fetch(`${first.url('/read')}?offset=-1`)).status).toBe(200);
    await first.app.close();
    const server = await startServer({ root: first.root });
    vi.setSystemTime(Date.now() + 1500);
    expect((await fetch(server.url('/read'), { method: 'HEAD' })).status).toBe(200);
  });
});

describe('what is kept of streams that expire', () => {
  test('goes when they are deleted', async () => {
    const server = await startSweptServer();
    await put(server, 's', { 'stream-ttl': '600' });
    expect((await fetch(server.url('/s'), { method: 'DELETE' })).status).toBe(204);
    expect(await dueOf(server)).toEqual([]);
  });

  test('is dropped when something else has their name, which stays', async () => {
    const server = await startSweptServer();
    await put(server, 'moved', inMs(100));
    await put(server, 'replaced', inMs(100));
    await put(server, 'directory', inMs(100));
    await rename(path.join(server.root, 'moved'), path.join(server.root, 'elsewhere'));
    await writeFile(path.join(server.root, 'new'), 'new');
    await rename(path.join(server.root, 'new'), path.join(server.root, 'replaced'));
    await rm(path.join(server.root, 'directory'));
    await mkdir(path.join(server.root, 'directory'));
    await swept(async () => (await dueOf(server)).length === 0, 'the index to be empty');
    expect(await resourceNames(server.root)).toEqual(['directory', 'elsewhere', 'replaced']);
    expect(await readFile(path.join(server.root, 'replaced'), 'utf8')).toBe('new');
  });

  test('is kept when they are elsewhere for a moment, and dropped after three sweeps that miss them', async () => {
    const server = await startSweptServer();
    for (const name of ['back', 'away']) await put(server, name, inMs(1));
    const opening = vi.spyOn(Resources.prototype, 'open');
    onTestFinished(() => opening.mockRestore());
    const at = (name: string) => path.join(server.root, name);
    for (const name of ['back', 'away']) await rename(at(name), at(`${name} elsewhere`));
    for (const looks of [2, 4]) {
      sweep();
      await waitFor(() => opening.mock.settledResults.length === looks, 'the sweep to be over');
    }
    await rename(at('back elsewhere'), at('back'));
    expect(await dueOf(server)).toHaveLength(2);
    await swept(async () => (await dueOf(server)).length === 0, 'the index to be empty');
    expect(await resourceNames(server.root)).toEqual(['away elsewhere']);
    expect(opening).toHaveBeenCalledTimes(6);
  });

  test('is no harm when it is damaged', async () => {
    const first = await startServer();
    await put(first, 'one', inMs(100));
    await put(first, 'two', inMs(100));
    await first.app.close();
    await rewriteRecords(first.root, (text) => (text.includes('"one"') ? 'damaged' : text));
    await withStore(first.root, (store) => store.put('due!0000000000000001!1-1', ''));
    const server = await startSweptServer(first.root);
    await swept(async () => (await resourceNames(server.root)).length === 1, 'the other to be deleted');
    await waitFor(async () => (await dueOf(server)).length === 0, 'the index to be empty');
  });
});
