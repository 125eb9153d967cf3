import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { resourceSize } from '../../src/cli/resource-size.ts';
import { startSource } from '../support/http/source.ts';
import { OriginalServer } from '../support/original/server.ts';

/** A server that refuses HEAD, and answers everything else in one way; returns a URL of it. */
async function withoutHead(status: number, headers: Record<string, string>, body: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.method === 'HEAD') response.writeHead(405).end();
    else response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`;
}

test('is had of a server that refuses HEAD, as the original does', async () => {
  const server = await OriginalServer.start();
  server.write('/a', 'x'.repeat(12_345));
  server.write('/one', 'x');
  server.write('/empty', '');
  expect(await resourceSize(server.url('/a'), { headers: {} })).toBe(12_345);
  expect(await resourceSize(server.url('/one'), { headers: {} })).toBe(1);
  expect(await resourceSize(server.url('/empty'), { headers: {} })).toBe(0);
  expect(await resourceSize(server.url('/none'), { headers: {} })).toBeUndefined();
});

test('is had of a server that knows no ranges either, or has nothing to take one of', async () => {
  expect(
    await resourceSize(await withoutHead(200, { 'content-length': '7' }, '1234567'), { headers: {} }),
  ).toBe(7);
  expect(
    await resourceSize(await withoutHead(416, { 'content-range': 'bytes */0' }, ''), { headers: {} }),
  ).toBe(0);
});

test.each([
  ['the first question', 0],
  ['the one that takes its place where HEAD is refused', 1],
])('is asked for no longer than until the signal: %s', async (_, answered) => {
  const stop = new AbortController();
  let questions = 0;
  const url = await startSource((_request, response) => {
    if (questions++ === answered) stop.abort(new Error('enough'));
    else response.writeHead(405).end();
  });
  const error = await resourceSize(url, { headers: {} }, stop.signal).catch((error: unknown) => error);
  expect(error).toMatchObject({ message: 'enough' });
});

test('a server that tells it in no way is an error that says so', async () => {
  const url = await withoutHead(206, { 'content-range': 'bytes 0-0/*' }, 'x');
  await expect(resourceSize(url, { headers: {} })).rejects.toThrow(
    'the server does not tell the size of the resource',
  );
});
