import { mkdir, symlink, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import type https from 'node:https';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { expect, expectTypeOf, test } from 'vitest';
import {
  type Body,
  bearer,
  bytes,
  type Client,
  type ClientRequest,
  client,
  concurrency,
  events,
  type Fetch,
  json,
  lines,
  logging,
  type Middleware,
  type MultipartRequest,
  type NodeFetch,
  ndjson,
  nodeFetch,
  ok,
  readable,
  retry,
  type ServerSentEvent,
  text,
} from '../../src/http/index.node.ts';
import * as browser from '../../src/http/index.ts';
import { runSuccessfully } from '../support/programs/program.ts';
import { temporaryDirectory } from '../support/server/server.ts';

test('a client gives requests, and those give themselves until they are sent', () => {
  const own = client('http://a', { fetch: globalThis.fetch as Fetch, headers: { a: 'b' } });
  expectTypeOf(own).toEqualTypeOf<Client>();
  expectTypeOf(client).parameter(0).toEqualTypeOf<string | URL>();
  expectTypeOf(own.use).returns.toEqualTypeOf<Client>();
  for (const method of ['get', 'head', 'put', 'post', 'patch', 'delete'] as const) {
    expectTypeOf(own[method]).toEqualTypeOf<(path: string) => ClientRequest>();
  }
  const request = own
    .request('GET', '/{a}')
    .pathParam('a', 1)
    .query('b', true)
    .header('c', 'd')
    .cookie('e', 'f');
  expectTypeOf(request).toEqualTypeOf<ClientRequest>();
  expectTypeOf(
    request.timeout(1).idleTimeout(1).signal(new AbortController().signal),
  ).toEqualTypeOf<ClientRequest>();
  expectTypeOf(request.body('a', 'text/plain').gzip()).toEqualTypeOf<ClientRequest>();
  expectTypeOf(request.send).toEqualTypeOf<() => Promise<Response>>();
  request.progress((progress) => {
    expectTypeOf(progress).toEqualTypeOf<{ sentBytes: number; receivedBytes: number; totalBytes?: number }>();
  });
  const form = own.multipart('/', 'PUT').field('a', 1).file('b', 'c', 'd', { contentType: 'e', size: 1 });
  expectTypeOf(form.timeout(1)).toEqualTypeOf<MultipartRequest>();
  // @ts-expect-error: a form has its own body
  expect(() => form.body('a')).toThrow(TypeError);
});

test('what can be sent is typed', () => {
  expectTypeOf<string | Uint8Array | Buffer | Blob | Response>().toExtend<Body>();
  expectTypeOf<Readable | ReadableStream<Uint8Array> | AsyncGenerator<string>>().toExtend<Body>();
  expectTypeOf<() => AsyncGenerator<Uint8Array | string>>().toExtend<Body>();
  expectTypeOf<() => string>().toExtend<Body>();
  expectTypeOf<number>().not.toExtend<Body>();
  expectTypeOf<ArrayBuffer>().not.toExtend<Body>();
  expectTypeOf<string[]>().not.toExtend<Body>();
  expectTypeOf<() => Promise<string>>().not.toExtend<Body>();
});

test('what reads answers takes any of them', () => {
  expectTypeOf(ok).toEqualTypeOf<(response: Response) => Promise<Response>>();
  expectTypeOf(text).returns.resolves.toEqualTypeOf<string>();
  expectTypeOf(bytes).returns.resolves.toEqualTypeOf<Uint8Array<ArrayBuffer>>();
  expectTypeOf(json).returns.resolves.toEqualTypeOf<unknown>();
  expectTypeOf(json<{ a: number }>).returns.resolves.toEqualTypeOf<{ a: number }>();
  expectTypeOf(lines).returns.toEqualTypeOf<AsyncGenerator<string>>();
  expectTypeOf(ndjson<{ a: number }>).returns.toEqualTypeOf<AsyncGenerator<{ a: number }>>();
  expectTypeOf(events).returns.toEqualTypeOf<AsyncGenerator<ServerSentEvent>>();
  expectTypeOf(readable).toEqualTypeOf<(response: Response) => Readable>();
});

test('middleware wraps a fetch, and a fetch is what the platform has', () => {
  expectTypeOf<Middleware>().toEqualTypeOf<(next: Fetch) => Fetch>();
  expectTypeOf<typeof globalThis.fetch>().toExtend<Fetch>();
  expectTypeOf<NodeFetch>().toExtend<Fetch & { close(): void }>();
  expectTypeOf(logging).returns.toEqualTypeOf<Middleware>();
  expectTypeOf(concurrency).toEqualTypeOf<(limit: number) => Middleware>();
  expectTypeOf(retry({ times: 1 })).toEqualTypeOf<Middleware>();
  expectTypeOf(bearer(async () => 'token')).toEqualTypeOf<Middleware>();
  expectTypeOf(nodeFetch)
    .parameter(0)
    .toEqualTypeOf<{ agents?: { http?: http.Agent; https?: https.Agent } } | undefined>();
});

test('in browsers there is all but what is for Node', async () => {
  const node = await import('../../src/http/index.node.ts');
  const onlyNode = ['nodeFetch', 'readable'];
  expect(Object.keys(browser)).toEqual(Object.keys(node).filter((name) => !onlyNode.includes(name)));
  expectTypeOf<Omit<typeof node, 'nodeFetch' | 'readable'>>().toEqualTypeOf<typeof browser>();
});

/** A page's program: what browsers have is what it is typed with. */
const PAGE = `
import { type Body, bytes, client, concurrency, events, type Fetch, lines, logging, type Middleware, ndjson, ok } from 'httpfstream/http';
const wrap: Middleware = (next) => next;
const platform: Fetch = fetch;
const own = client(location.origin, { fetch, headers: { a: 'b' } }).use(logging(console), concurrency(2), wrap);
const response: Response = await ok(await own.post('/').body(new Blob(['x'])).send());
for await (const line of lines(response)) line.length;
for await (const { data } of events(response)) data.length;
for await (const { a } of ndjson<{ a: number }>(response)) a + 1;
const bodies: Body[] = [response, response.body!, new ReadableStream<Uint8Array>(), () => 'x'];
const copy = new Blob([await bytes(response)]);
await own.multipart('/').file('a', 'b', new File([], 'x')).send();
export { bodies, copy, platform };
`;

const CHECKOUT = path.join(import.meta.dirname, '../..');

test('a project for browsers can use it, without the types of Node', async () => {
  const directory = await temporaryDirectory();
  await mkdir(path.join(directory, 'node_modules'));
  await symlink(CHECKOUT, path.join(directory, 'node_modules/httpfstream'));
  await writeFile(path.join(directory, 'page.ts'), PAGE);
  const compilerOptions = {
    lib: ['ES2022', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    target: 'ES2022',
    module: 'ESNext',
    moduleResolution: 'bundler',
    preserveSymlinks: true,
    types: [],
    strict: true,
    noEmit: true,
  };
  await writeFile(
    path.join(directory, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['page.ts'] }),
  );
  expect(await runSuccessfully(path.join(CHECKOUT, 'node_modules/.bin/tsc'), ['-p', directory])).toBe('');
});
