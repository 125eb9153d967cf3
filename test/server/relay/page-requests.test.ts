import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import type { UrlSource } from '../../support/server/server.ts';

async function matchesAt(server: UrlSource): Promise<unknown> {
  const answer = await fetch(server.url('/f.log?view=search&q=two'));
  if (!answer.ok) return answer.status;
  return (await answer.text()).split('\n').flatMap((line) => JSON.parse(line || '{}').at ?? []);
}

async function linesAt(server: UrlSource): Promise<unknown> {
  const answer = await fetch(server.url('/f.log?view=index'));
  return answer.ok ? [...new Uint32Array(await answer.arrayBuffer())] : answer.status;
}

test('what is not here is counted and searched at the origin, and what is here without it', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  await writeFile(path.join(origin.root, 'f.log'), 'one\ntwo\n');
  expect([await matchesAt(relay), await linesAt(relay)]).toEqual([[4], [2]]);
  expect(await (await fetch(relay.url('/f.log'))).text()).toBe('one\ntwo\n');
  expect([await matchesAt(relay), await linesAt(relay)]).toEqual([[4], [2]]);
});

test('what comes from a plain HTTP server is counted and searched when it is here, and never asked for there', async () => {
  const asked: string[] = [];
  const origin = http.createServer(({ url = '' }, response) => {
    asked.push(url);
    response.writeHead(200, { 'cache-control': 'max-age=60' }).end('one\ntwo\n');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void origin.close());
  const relay = await startRelay(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`);
  expect([await matchesAt(relay), await linesAt(relay)]).toEqual([502, 502]);
  expect(await (await fetch(relay.url('/f.log'))).text()).toBe('one\ntwo\n');
  expect([await matchesAt(relay), await linesAt(relay)]).toEqual([[4], [2]]);
  expect(asked.filter((url) => url.includes('view'))).toEqual([]);
});

test('what is kept of a plain HTTP server is read in parts from here, which say of which file they are', async () => {
  const asked: string[] = [];
  const origin = http.createServer(({ url = '' }, response) => {
    asked.push(url);
    response
      .writeHead(200, { 'cache-control': 'max-age=60', 'content-type': 'text/plain' })
      .end('one\ntwo\n');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void origin.close());
  const relay = await startRelay(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`);
  const part = (urlPath: string) => fetch(relay.url(urlPath), { headers: { range: 'bytes=4-6' } });
  expect(await (await fetch(relay.url('/f.log?raw'))).text()).toBe('one\ntwo\n');
  const index = await fetch(relay.url('/f.log?view=index'));
  const answer = await part('/f.log?raw');
  expect([answer.status, await answer.text()]).toEqual([206, 'two']);
  expect(index.headers.get('index-generation')).toBe(`${answer.headers.get('stream-generation')}-0`);
  // Of a query nobody knows what it means there.
  expect(await (await part('/f.log?raw&id=1')).text()).toBe('one\ntwo\n');
  expect(asked).toEqual(['/f.log', '/f.log?id=1']);
});
