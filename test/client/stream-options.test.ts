import type { IncomingHttpHeaders } from 'node:http';
import { expect, test } from 'vitest';
import {
  append,
  type FollowStream,
  follow,
  type HandshakeHeaders,
  openAppend,
} from '../../src/client/index.ts';
import { VERSION } from '../../src/wire/version.ts';
import { waitFor } from '../support/wait-for.ts';
import { FakeServer } from '../support/websocket/fake-server.ts';
import { readingError, rejection } from './client-server.ts';

const QUICK = { minDelayMs: 1, maxDelayMs: 5 };

/** A server that cuts each connection but the last; what it was sent with each. */
async function startCutting(connections: number) {
  const seen: IncomingHttpHeaders[] = [];
  const server = await FakeServer.start((connection, number) => {
    seen.push(connection.headers);
    connection.tell({ type: 'open', generation: 1, position: 0, live: true });
    if (number < connections - 1) connection.cut();
    else connection.tell({ type: 'end', position: 0, reason: 'finished' });
  });
  return { server, seen };
}

function startFollow(server: FakeServer, headers: HandshakeHeaders): FollowStream {
  return follow(server.url, { headers, retry: QUICK });
}

test.each<[string, (number: number) => { authorization: string } | Promise<{ authorization: string }>]>([
  ['tells', (number) => ({ authorization: `token ${number}` })],
  ['promises', async (number) => ({ authorization: `token ${number}` })],
])('a function that %s the headers is asked before each connection', async (_, headersOf) => {
  const { server, seen } = await startCutting(3);
  let calls = 0;
  expect(await readingError(startFollow(server, () => headersOf(calls++)))).toBeUndefined();
  expect(seen.map(({ authorization }) => authorization)).toEqual(['token 0', 'token 1', 'token 2']);
});

test.each<[string, (error: Error) => never | Promise<never>]>([
  [
    'throws',
    (error) => {
      throw error;
    },
  ],
  ['rejects', (error) => Promise.reject(error)],
])('what it %s is the error of the stream, at the first connection and later', async (_, fail) => {
  const { server, seen } = await startCutting(3);
  const failure = new Error('no token');
  const writable = openAppend(server.url, { headers: () => fail(failure) });
  expect(await rejection(writable.close())).toBe(failure);
  let calls = 0;
  expect(await readingError(startFollow(server, () => (calls++ === 0 ? {} : fail(failure))))).toBe(failure);
  expect(seen).toHaveLength(1);
});

test('headers that cannot be sent are told at once, those of a function by the stream', async () => {
  const { server, seen } = await startCutting(2);
  const headers = { name: 'a\nb' };
  expect(() => follow(server.url, { headers })).toThrow(TypeError);
  expect(await rejection(append(server.url, 'x', { headers }))).toBeInstanceOf(TypeError);
  expect(await rejection(append(server.url, 'x', { headers: () => headers }))).toBeInstanceOf(TypeError);
  let calls = 0;
  expect(await readingError(startFollow(server, () => (calls++ === 0 ? {} : headers)))).toBeInstanceOf(
    TypeError,
  );
  expect(seen).toHaveLength(1);
});

test('a stream that is destroyed while it waits for the headers never connects', async () => {
  const { server } = await startCutting(1);
  let tell: (headers: Record<string, string>) => void = () => undefined;
  const told = new Promise<Record<string, string>>((resolve) => {
    tell = resolve;
  });
  const readable = startFollow(server, () => told);
  const failed = readingError(readable);
  readable.destroy(new Error('enough'));
  tell({});
  expect(await failed).toMatchObject({ message: 'enough' });
  expect(await readingError(startFollow(server, {}))).toBeUndefined();
  expect(server.queries).toHaveLength(1);
});

test('handshakes say which program asks, unless it is told otherwise', async () => {
  const { server, seen } = await startCutting(1);
  for (const headers of [{}, { 'User-Agent': 'mine' }]) {
    await append(server.url, [], { headers }).catch(() => undefined);
  }
  await waitFor(() => seen.length === 2, 'the handshakes');
  expect(seen.map((headers) => headers['user-agent'])).toEqual([`httpfstream/${VERSION}`, 'mine']);
});
