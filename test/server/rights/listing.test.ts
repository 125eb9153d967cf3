import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { RootDirectory } from '../../../src/storage/root/root-directory.ts';
import { rawGet } from '../../support/http/raw.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer } from '../../support/server/server.ts';

const FILES = ['open/read', 'open/box', 'open/secret', 'closed/f', 'f'];

async function start(options: Partial<HttpfstreamOptions>) {
  const server = await startServer(options);
  for (const file of FILES) {
    await mkdir(path.dirname(path.join(server.root, file)), { recursive: true });
    await writeFile(path.join(server.root, file), 'x');
  }
  const get = (at: string, ...headers: string[]) => rawGet(server.port, at, headers);
  const names = async (at: string): Promise<string[]> => {
    const { body } = await get(at, 'Accept: application/json');
    return JSON.parse(body).entries.map(({ name }: { name: string }) => name);
  };
  return { ...server, get, names };
}

const RULES = new RuleAccess(
  {},
  { '/': ['list'], '/open/': ['list'], '/open/read': ['follow'], '/open/box': ['append'] },
);

it('a listing has what may be read or appended to, and the directories that may be listed', async () => {
  const { names, get } = await start({ access: RULES });
  expect(await names('/')).toEqual(['open']);
  expect(await names('/open/')).toEqual(['box', 'read']);
  const { body } = await get('/open/');
  expect(body).toContain('>read<');
  expect(body).not.toContain('secret');
  expect((await get('/closed/')).status).toBe(401);
});

it('an index page is a file like any other', async () => {
  const rules = {
    '/site/index.html': ['follow'],
    '/both/index.html': ['append'],
    '/both/': ['list'],
  } as const;
  const { root, get } = await start({ index: true, access: new RuleAccess({}, rules) });
  for (const directory of ['site', 'both', 'closed']) {
    await mkdir(path.join(root, directory), { recursive: true });
    await writeFile(path.join(root, directory, 'index.html'), 'the page');
  }
  expect(await get('/site/')).toMatchObject({ status: 200, body: 'the page' });
  expect((await get('/site/', 'Accept: application/json')).status).toBe(401);
  expect((await get('/site')).status).toBe(401);
  // Its listing may be seen, and the page may not.
  const { status, body } = await get('/both/');
  expect([status, body.includes('the page'), body.includes('index.html')]).toEqual([200, false, true]);
  expect((await get('/closed/')).status).toBe(401);
  expect((await get('/missing/')).status).toBe(401);
});

it('of very many names that are nobody’s business here stops, says so, and has looked at none of them', async () => {
  const { get } = await start({ access: RULES });
  let count = 0;
  const entries = vi.spyOn(RootDirectory.prototype, 'entries').mockImplementation(async function* () {
    for (; count < 1_000_000; count++) yield { name: `secret${count}`, kind: 'file', entry: '/nowhere' };
  });
  const looks = vi.spyOn(RootDirectory.prototype, 'statEntry');
  onTestFinished(() => void vi.restoreAllMocks());
  const { body } = await get('/open/', 'Accept: application/json');
  expect(JSON.parse(body)).toMatchObject({ entries: [], truncated: true });
  expect(count).toBeLessThanOrEqual(50_000);
  expect(entries).toHaveBeenCalledOnce();
  expect(looks).not.toHaveBeenCalled();
});

it('where there are no rights it has everything', async () => {
  const { names } = await start({});
  expect(await names('/open/')).toEqual(['box', 'read', 'secret']);
});
