import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { append } from '../../src/client/index.ts';
import { bytes, client, ok, text } from '../../src/http/index.node.ts';
import { get } from '../support/http/request.ts';
import { serve } from '../support/http/servers.ts';
import { startServer } from '../support/server/server.ts';

const PAGE = '<h1>hello</h1>';
const CODED = gzipSync(PAGE);

/** Answers with a page that is coded, whatever was asked for, and to what it is sent with that, and what it was. */
const servePage = () =>
  serve(async (request, response) => {
    const body = await buffer(request);
    if (request.method === 'GET') {
      response.setHeader('content-encoding', 'gzip');
      response.setHeader('content-type', 'text/html').setHeader('content-length', CODED.length).end(CODED);
      return;
    }
    const { 'content-type': type, 'content-encoding': coding, 'content-length': length } = request.headers;
    response.end(JSON.stringify({ type, coding, length, body: body.toString('latin1') }));
  });

const coded = { headers: { 'accept-encoding': 'identity' } };

test.each([
  ['as it came', coded, undefined],
  ['watched', coded, new AbortController().signal],
])(
  'an answer that was left coded is appended without the type of what it is coded from (%s)',
  async (_how, options, signal) => {
    const server = await startServer();
    const request = client(await servePage(), options).get('/');
    if (signal !== undefined) request.signal(signal);
    const answer = await request.send();
    const copy = answer.clone();
    await append(server.url('/a'), answer);
    await append(server.url('/b'), copy);
    for (const name of ['/a', '/b']) {
      const { headers } = await get(server.url(name));
      expect([headers['content-type'], headers['content-length']]).toEqual([
        'application/octet-stream',
        String(CODED.length),
      ]);
    }
  },
);

test('an answer that was decoded is appended with its type', async () => {
  const server = await startServer();
  await append(
    server.url('/a'),
    await client(await servePage())
      .get('/')
      .send(),
  );
  expect(await get(server.url('/a'))).toMatchObject({ headers: { 'content-type': 'text/html' }, text: PAGE });
});

test('an answer that was left coded is sent on with its coding, and is a file of no type in a form', async () => {
  const url = await servePage();
  const answer = () => client(url, coded).get('/').send();
  const put = await ok(
    await client(url)
      .put('/')
      .body(await answer())
      .send(),
  );
  expect(JSON.parse(await text(put))).toEqual({
    type: 'text/html',
    coding: 'gzip',
    length: String(CODED.length),
    body: CODED.toString('latin1'),
  });
  const form = await ok(
    await client(url)
      .multipart('/')
      .file('a', 'a.gz', await answer())
      .send(),
  );
  expect(JSON.parse(await text(form)).body).toContain('Content-Type: application/octet-stream\r\n');
  expect(Buffer.from(await bytes(await answer())).equals(CODED)).toBe(true);
});

test('an answer that was decoded is sent on without', async () => {
  const url = await servePage();
  const put = await client(url)
    .put('/')
    .body(await client(url).get('/').send())
    .send();
  expect(JSON.parse(await text(put))).toEqual({ type: 'text/html', body: PAGE });
});
