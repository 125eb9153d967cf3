import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Authorize } from '../../../src/server/rights/rights.ts';
import { UnauthorizedError } from '../../../src/wire/errors.ts';
import { rawGet } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer, startServers } from '../../support/server/server.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** A server that asks; what was asked is in `asked`. */
async function start(authorize: Authorize, access?: RuleAccess) {
  const asked: string[] = [];
  const server = await startServer({
    ...(access && { access }),
    authorize: async (request, what) => {
      asked.push(`${what.right} ${what.path}`);
      await turn();
      return authorize(request, what);
    },
  });
  await mkdir(path.join(server.root, 'd'));
  await writeFile(path.join(server.root, 'd/shown'), 'shown');
  await writeFile(path.join(server.root, 'd/hidden'), 'hidden');
  return { ...server, asked };
}

const isNotHidden: Authorize = (_request, { path: asked }) => !/hidden\/?$/.test(asked);

it('an application decides, also by and by', async () => {
  const { url, port, asked } = await start(isNotHidden);
  expect((await send('GET', url('/d/shown'))).status).toBe(200);
  expect((await send('GET', url('/d/hidden'))).status).toBe(401);
  expect(asked).toEqual(['follow /d/shown', 'list /d/shown/', 'follow /d/hidden', 'list /d/hidden/']);
  const { body } = await rawGet(port, '/d/', ['Accept: application/json']);
  expect(JSON.parse(body).entries).toMatchObject([{ name: 'shown' }]);
  const follower = await V2Peer.follow(url('/d/shown'));
  await follower.until(() => follower.text === 'shown', 'the bytes');
  await expect(V2Peer.follow(url('/d/hidden'))).rejects.toThrow('401');
});

it('an application is asked for each file of a form', async () => {
  const { url, root } = await start(isNotHidden);
  const form = new FormData();
  form.append('f', new Blob(['x']), 'new');
  form.append('f', new Blob(['x']), 'hidden');
  const answer = await fetch(url('/d/?verb=APPEND'), { method: 'POST', body: form });
  expect(await answer.json()).toMatchObject([
    { name: 'new', bytes: 1 },
    { name: 'hidden', status: 401 },
  ]);
  expect(await readFile(path.join(root, 'd/hidden'), 'utf8')).toBe('hidden');
});

it('an application sees the request, and may say more than no', async () => {
  const { url } = await start((request) => {
    if (request.headers.authorization === undefined) throw new UnauthorizedError('who are you?');
    if (request.headers.authorization === 'mine') return true;
    throw Object.assign(new Error('too often'), { statusCode: 429 });
  });
  const ask = async (authorization?: string) => {
    const { status, text } = await send('GET', url('/d/shown'), {
      headers: { ...(authorization && { authorization }) },
    });
    return [status, text.includes('who are you?')];
  };
  expect(await ask()).toEqual([401, true]);
  expect(await ask('mine')).toEqual([200, false]);
  expect(await ask('other')).toEqual([429, false]);
});

it('an application that fails without saying why has not allowed anything', async () => {
  let nothing: unknown;
  const { url, root } = await startServers({ authorize: () => Promise.reject(nothing) });
  await writeFile(path.join(root, 'f'), 'content');
  for (nothing of [undefined, null, false, 0, '']) {
    for (const at of ['/f', '/', '/-/resources', '/-/metrics']) {
      expect((await send('GET', url(at))).status, `${at}, ${nothing}`).toBe(401);
    }
  }
});

it('what the rules refuse no application is asked for, and both must allow', async () => {
  const access = new RuleAccess({ t: { rules: { '/d/**': ['follow'] } } });
  const { url, asked } = await start(isNotHidden, access);
  const status = async (at: string) =>
    (await send('GET', url(at), { headers: { authorization: 'Bearer t' } })).status;
  expect(await status('/d/shown')).toBe(200);
  expect(await status('/d/hidden')).toBe(403);
  expect(await status('/other')).toBe(403);
  expect(asked).toEqual(['follow /d/shown', 'follow /d/hidden']);
  const follower = await V2Peer.follow(
    url('/missing-yet'),
    { wait: 60 },
    { headers: { authorization: 'Bearer t' } },
  ).catch((error) => error);
  expect(String(follower)).toContain('403');
});
