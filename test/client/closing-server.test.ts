import { buffer } from 'node:stream/consumers';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { append } from '../../src/client/append/append.ts';
import { follow } from '../../src/client/follow/follow.ts';
import type { RetryOptions } from '../../src/client/session/session-options.ts';
import { httpfstream } from '../../src/server/plugin.ts';
import { ServerClosingError, StorageError } from '../../src/wire/errors.ts';
import { listen, temporaryDirectory } from '../support/server/server.ts';
import { rejection } from './client-server.ts';

const RETRY: RetryOptions = { minDelayMs: 1, maxDelayMs: 1 };

/** A server that refuses the first handshakes like this. */
async function startRefusing(...refusals: Error[]) {
  const app = Fastify();
  const root = await temporaryDirectory();
  await app.register(async (scope) => {
    scope.addHook('onRequest', async (_request, reply) => {
      const refusal = refusals.shift();
      if (refusal === undefined) return;
      reply.header('retry-after', '0');
      throw refusal;
    });
    await httpfstream(scope, { root, closeTimeoutMs: 200 });
  });
  return listen(app);
}

const CLOSING = new ServerClosingError('the server is shutting down');

test('a first attempt that meets a server that closes waits for the next one', async () => {
  const appending = await startRefusing(CLOSING, new StorageError('the next one has just begun'), CLOSING);
  const attempts: number[] = [];
  const onReconnect = ({ attempt }: { attempt: number }) => attempts.push(attempt);
  expect(await append(appending.url('/a'), 'text', { retry: RETRY, onReconnect })).toMatchObject({
    bytes: 4,
  });
  expect(attempts).toEqual([1, 2, 3]);
  const following = await startRefusing(CLOSING);
  const error = await rejection(buffer(follow(following.url('/a'), { retry: RETRY })));
  expect(error).toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
});

test.each([
  ['with retries turned off', CLOSING, { retry: false }],
  ['for another reason', new StorageError('a broken disk'), { retry: RETRY }],
] as const)('a first attempt that is refused %s is final', async (_, refusal, options) => {
  const { url } = await startRefusing(refusal, refusal);
  for (const attempt of [append(url('/a'), 'text', options), buffer(follow(url('/a'), options))]) {
    expect(await rejection(attempt)).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS' });
  }
});
