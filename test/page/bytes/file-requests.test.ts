import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { BytesGoneError, requestsOf, sizeIn } from '../../../src/page/bytes/file-requests.ts';

/** A server that answers each query with these headers, and what it was asked. */
async function serverOf(headersOf: (query: string) => http.OutgoingHttpHeaders) {
  const asked: { url: string; token: string | undefined }[] = [];
  const server = http.createServer(({ url = '', headers }, response) => {
    asked.push({ url, token: headers.authorization });
    response.writeHead(200, headersOf(url.split('?')[1] ?? '')).end('bytes');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/f.log#L1`), asked };
}

it('sends the token of the moment, and the query in place of any other', async () => {
  const { url, asked } = await serverOf(() => ({}));
  let token: string | undefined;
  const request = requestsOf(new URL('?view', url), () => ({ token, generation: 1 }));
  await (await request('raw')).text();
  token = 'secret';
  await (await request('view=index&block=2')).text();
  expect(asked).toEqual([
    { url: '/f.log?raw', token: undefined },
    { url: '/f.log?view=index&block=2', token: 'Bearer secret' },
  ]);
});

it.each([
  ['of bytes', (generation: number) => ({ 'stream-next-offset': `${generation}_0000000000000005` })],
  ['to a search', (generation: number) => ({ 'stream-generation': generation })],
  ['of lines', (generation: number) => ({ 'index-generation': `${generation}-0` })],
])('takes no answer %s from another file', async (_, headersOf) => {
  let there = 1111111111111111;
  const { url } = await serverOf(() => headersOf(there));
  const request = requestsOf(url, () => ({ token: undefined, generation: 1111111111111111 }));
  expect(await (await request('raw')).text()).toBe('bytes');
  there += 1;
  await expect(request('raw')).rejects.toThrow(BytesGoneError);
});

it('takes any answer before it is known which file it is', async () => {
  const { url } = await serverOf(() => ({ 'stream-generation': 7 }));
  const request = requestsOf(url, () => ({ token: undefined, generation: undefined }));
  expect(await (await request('raw')).text()).toBe('bytes');
});

it('takes no answer of a directory that has the name of the file', async () => {
  const server = http.createServer(({ url: asked = '' }, response) => {
    if (asked.startsWith('/f.log/')) response.end('a list');
    else response.writeHead(301, { location: `.${asked.replace('?', '/?')}` }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/f.log`);
  const request = requestsOf(url, () => ({ token: undefined, generation: undefined }));
  await expect(request('raw')).rejects.toThrow(BytesGoneError);
});

it.each([
  ['a part', { 'content-range': 'bytes 0-5/51' }, 51],
  ['a part of what has no known size', { 'content-range': 'bytes 0-5/*' }, undefined],
  ['a search', { 'search-size': '18' }, 18],
  ['anything else', {}, undefined],
])('knows the size of the file from an answer to %s', (_, headers, size) => {
  expect(sizeIn(new Headers(headers as Record<string, string>))).toBe(size);
});
