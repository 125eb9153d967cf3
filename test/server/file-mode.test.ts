import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { append } from '../../src/client/append/append.ts';
import { startServer, type TestServer } from '../support/server/server.ts';

/** Makes a file in each way in which a client can. */
async function makeFiles({ url }: TestServer): Promise<void> {
  const put = (name: string, headers: Record<string, string>, body?: string) =>
    fetch(url(name), { method: 'PUT', headers, ...(body !== undefined && { body }) });
  const form = new FormData();
  form.append('file', new Blob(['form\n']), 'form');
  const answers = [
    await put('/put', {}, 'whole\n'),
    await put('/stream', { 'content-type': 'text/plain' }),
    await put('/json', { 'content-type': 'application/json' }, '[1]'),
    await put('/fork', { 'stream-forked-from': '/json' }),
    await put('/body?verb=APPEND', {}, 'body\n'),
    await fetch(url('/?verb=APPEND'), { method: 'POST', body: form }),
  ];
  expect(answers.map(({ ok }) => ok)).toEqual(answers.map(() => true));
  await append(url('/websocket'), ['session\n']);
}

const NAMES = ['body', 'fork', 'form', 'json', 'put', 'stream', 'websocket'];

async function modesIn({ root }: TestServer): Promise<Record<string, string>> {
  const names = (await readdir(root)).filter((name) => name !== '.httpfstream');
  const modeOf = async (name: string) => ((await stat(path.join(root, name))).mode & 0o777).toString(8);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await modeOf(name)])));
}

describe('what clients make', () => {
  test.each([
    ['may be read by everybody', undefined, 0o644],
    ['may be read by its group with 0640', 0o640, 0o640],
    ['is private with 0600', 0o600, 0o600],
    ['may be written by its group with 0664', 0o664, 0o664],
  ])('%s, as the umask leaves it, however it was made', async (_, fileMode, mode) => {
    const server = await startServer(fileMode === undefined ? {} : { fileMode });
    await makeFiles(server);
    const expected = (mode & ~process.umask()).toString(8);
    expect(await modesIn(server)).toEqual(Object.fromEntries(NAMES.map((name) => [name, expected])));
  });

  test('says nothing of what is the server’s own, which stays private', async () => {
    const server = await startServer({ fileMode: 0o666 });
    await makeFiles(server);
    expect((await stat(path.join(server.root, '.httpfstream'))).mode & 0o077).toBe(0);
  });
});

test.each([0o400, 0o044, 0o1644, 0o100644, -1, 1.5, Number.NaN])('%d is no mode', async (fileMode) => {
  await expect(startServer({ fileMode })).rejects.toThrow('fileMode');
});
