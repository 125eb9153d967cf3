import { text as textOf } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { nodeFetch } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { serve } from '../../support/http/servers.ts';

const serveEcho = () =>
  serve(async (request, response) => {
    const { method, url, headers } = request;
    const body = await textOf(request);
    response.end(JSON.stringify({ method, url, a: headers.a, type: headers['content-type'], body }));
  });

test('nodeFetch takes what every fetch does, and sends the same', async () => {
  const url = await serveEcho();
  const own = nodeFetch();
  const requests: [string | URL | Request, RequestInit?][] = [
    [`${url}/b?c=d`],
    [new URL(url)],
    [url, {}],
    [url, { headers: { a: '1' } }],
    [url, { method: 'post', headers: [['a', '1']], body: 'text' }],
    [url, { method: 'PUT', body: new Blob(['x'], { type: 'text/csv' }) }],
    [url, { method: 'PUT', body: new URLSearchParams({ a: '1' }) }],
    [new Request(url, { headers: { a: '2' } })],
    [new Request(url, { headers: { a: '2' } }), { headers: { a: '3' }, method: 'DELETE' }],
  ];
  for (const [input, init] of requests) {
    const [ours, theirs] = await Promise.all([own(input, init), fetch(input, init)]);
    expect(await ours.json()).toEqual(await theirs.json());
  }
  const post = new Request(url, { method: 'POST', body: 'text', headers: { a: '1' } });
  expect(await (await own(post)).json()).toMatchObject({ method: 'POST', a: '1', body: 'text' });
  expect(await rejection(own('/no-url'))).toBeInstanceOf(TypeError);
  const aborted = new Request(url, { signal: AbortSignal.abort(new Error('no')) });
  expect(await rejection(own(aborted))).toMatchObject({ message: 'no' });
});
