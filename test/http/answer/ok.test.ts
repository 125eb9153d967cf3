import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { client, ok, StatusError } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { answerOf } from '../../support/http/answers.ts';
import { serve } from '../../support/http/servers.ts';
import { waitFor } from '../../support/wait-for.ts';

describe('ok', () => {
  const answer = (status: number, body: string, type = 'text/plain') =>
    new Response(body, { status, headers: { 'content-type': type } });

  test('gives an answer of 2xx back', async () => {
    const response = answer(201, 'x');
    expect(await ok(response)).toBe(response);
  });

  test('throws what another one says', async () => {
    const error = await rejection(ok(answer(404, ' not here\n')));
    expect(error).toBeInstanceOf(StatusError);
    expect(error).toMatchObject({
      code: 'HFS_STATUS',
      status: 404,
      text: ' not here\n',
      problem: undefined,
      message: 'HTTP status 404: not here',
    });
  });

  test('throws the members of a problem document', async () => {
    const problem = { title: 'No', detail: 'not today', status: 403, code: 'X' };
    const error = await rejection(
      ok(answer(403, JSON.stringify(problem), 'application/problem+json; charset=utf-8')),
    );
    expect(error).toMatchObject({ problem, message: 'HTTP status 403: not today' });
    for (const body of ['{', '[]', 'null', '1']) {
      expect(await rejection(ok(answer(500, body, 'application/problem+json')))).toMatchObject({
        status: 500,
        problem: undefined,
      });
    }
  });

  test('reads no more than a person would, and cancels the rest', async () => {
    const endless = answerOf(Array.from({ length: 1000 }, () => 'x'.repeat(1000)));
    const response = new Response(endless.response.body, { status: 500 });
    const error = (await rejection(ok(response))) as StatusError;
    expect([error.text.length, error.message.length]).toEqual([65_536, 'HTTP status 500: '.length + 200]);
    expect(endless.state).toEqual({ isCancelled: true, pulled: 66 });
  });

  test('tells the status of one that breaks', async () => {
    const { response } = answerOf(['a'], { error: new Error('cut') });
    expect(await rejection(ok(new Response(response.body, { status: 502 })))).toMatchObject({
      status: 502,
      text: 'a',
    });
  });

  test('tells the status of one that never ends, with what has come, and cancels the rest', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let cancelled = 0;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('busy')),
      cancel: () => void cancelled++,
    });
    const refused = rejection(ok(new Response(body, { status: 503 })));
    await vi.advanceTimersByTimeAsync(5000);
    expect(await refused).toMatchObject({ status: 503, text: 'busy', message: 'HTTP status 503: busy' });
    expect(cancelled).toBe(1);
  });

  test('closes the connection of one that never ends', async () => {
    let closed = false;
    const url = await serve((_request, response) => {
      response.once('close', () => {
        closed = true;
      });
      response.writeHead(503).write('busy');
    });
    const response = await client(url).get('').send();
    const clock = vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const refused = rejection(ok(response));
    await clock.advanceTimersByTimeAsync(5000);
    vi.useRealTimers();
    expect(await refused).toMatchObject({ status: 503 });
    await waitFor(() => closed, 'the connection to close');
  });
});
