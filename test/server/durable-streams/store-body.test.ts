import Fastify from 'fastify';
import { expect, onTestFinished, test } from 'vitest';
import { storeBody } from '../../../src/server/durable-streams/store-body.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

test('a body that has come as a whole is no reason to cut its connection, however slow the disk is', async () => {
  const root = await Root.open(await temporaryDirectory());
  const app = Fastify();
  onTestFinished(() => app.close());
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.put('/', async (request) => {
    const file = await root.newFile();
    const isWhole = await storeBody(request, file, { idleTimeoutMs: 30_000 });
    await file.discard();
    return { isWhole, limitMs: request.raw.socket.timeout };
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'text/css' },
    body: Buffer.alloc(100_000, 'x'),
  });
  expect(await answer.json()).toEqual({ isWhole: true, limitMs: 0 });
});
