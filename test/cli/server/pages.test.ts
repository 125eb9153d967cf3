import { mkdir, writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startServerHere } from '../../support/programs/command.ts';

const NAVIGATION = { 'sec-fetch-dest': 'document', accept: 'text/html' };

/** What a browser gets of a server that was started with some options. */
async function startWith(...options: string[]) {
  const { command, url, file } = await startServerHere(...options);
  onTestFinished(async () => {
    command.signal('SIGTERM');
    await command.exit;
  });
  await writeFile(file('a.log'), 'a text');
  await writeFile(file('b.html'), '<p>stored');
  await mkdir(file('d'));
  await writeFile(file('d/index.html'), '<p>index');
  return async (urlPath: string) => {
    const answer = await fetch(url(urlPath), { headers: NAVIGATION });
    const text = await answer.text();
    return {
      text: text.startsWith('<!doctype html>') ? 'page' : text,
      runsScripts: answer.headers.get('content-security-policy')?.includes('allow-scripts'),
    };
  };
}

test('a server shows pages, runs no scripts of stored ones, and lists what has an index', async () => {
  const seen = await startWith();
  expect((await seen('/a.log')).text).toBe('page');
  expect(await seen('/b.html')).toEqual({ text: '<p>stored', runsScripts: false });
  expect((await seen('/d/')).text).toBe('page');
});

test('-no-viewer, -page-scripts and -index have it do otherwise', async () => {
  const seen = await startWith('-no-viewer', '-page-scripts', '-index');
  expect((await seen('/a.log')).text).toBe('a text');
  expect(await seen('/b.html')).toEqual({ text: '<p>stored', runsScripts: true });
  expect((await seen('/d/')).text).toBe('<p>index');
});
