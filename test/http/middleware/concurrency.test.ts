import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { client, concurrency, type Middleware, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { nobody, serve } from '../../support/http/servers.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';

/** Keeps all answers, of which the head is sent. */
async function start(limit: number) {
  const answers: ServerResponse[] = [];
  const url = await serve((_request, response) => {
    response.write('x');
    answers.push(response);
  });
  return { answers, own: client(url).use(concurrency(limit)) };
}

describe('no more requests than the limit', () => {
  test('are sent at a time: a place is free when a body has ended, was cancelled or is lost', async () => {
    const { answers, own } = await start(2);
    const responses: (Response | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      void own
        .get('/')
        .send()
        .then((response) => {
          responses[i] = response;
        });
    }
    await waitFor(() => responses.length === 2, 'two heads');
    await waitWhile(() => answers.length === 2, 'two requests');
    answers[0]?.end();
    await text(responses[0] as Response);
    await waitFor(() => responses.length === 3, 'the third');
    await responses[1]?.body?.cancel();
    await waitFor(() => responses.length === 4, 'the fourth');
    responses[2] = undefined;
    await waitFor(() => {
      collectGarbage();
      return responses.length === 5;
    }, 'the fifth');
  });

  test('are waited for by those that were aborted meanwhile', async () => {
    const { answers, own } = await start(1);
    const first = await own.get('/').send();
    const controller = new AbortController();
    const source = Readable.from(['a']);
    const aborted = rejection(own.post('/').body(source).signal(controller.signal).send());
    const third = own.get('/').send();
    controller.abort(new Error('enough'));
    expect(await aborted).toMatchObject({ message: 'enough' });
    expect(source.destroyed).toBe(true);
    answers[0]?.end();
    await text(first);
    expect((await third).status).toBe(200);
    expect(answers).toHaveLength(2);
    await (await third).body?.cancel();
  });

  test('and a request that fails, or has an answer without a body, keeps no place', async () => {
    const limited = concurrency(1);
    const lost = client(await nobody()).use(limited);
    for (let i = 0; i < 3; i++)
      expect(await rejection(lost.get('/').send())).toMatchObject({ code: 'HFS_CONNECTION' });
    const url = await serve((_request, response) => response.writeHead(204).end());
    for (let i = 0; i < 3; i++) expect((await client(url).use(limited).get('/').send()).status).toBe(204);
  });

  test('and an answer that other middleware has read keeps none', async () => {
    const url = await serve((_request, response) => response.end('hello'));
    const reading: Middleware = (next) => async (target, init) => {
      const response = await next(target, init);
      await response.text();
      return response;
    };
    const own = client(url).use(concurrency(1), reading);
    for (let i = 0; i < 3; i++) expect((await own.get('/').send()).bodyUsed).toBe(true);
  });

  test('in the order in which they were sent', async () => {
    const order: string[] = [];
    const url = await serve((request, response) => {
      order.push(request.url ?? '');
      response.end('x');
    });
    const own = client(url).use(concurrency(1));
    await Promise.all(['/1', '/2', '/3', '/4'].map((path) => own.get(path).send().then(text)));
    expect(order).toEqual(['/1', '/2', '/3', '/4']);
  });

  test('which is a number of requests', () => {
    for (const limit of [0, -1, 1.5, Number.NaN]) expect(() => concurrency(limit)).toThrow(RangeError);
  });
});
