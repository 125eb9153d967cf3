import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { BytesGoneError, requestsOf } from '../../../src/page/bytes/file-requests.ts';

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
