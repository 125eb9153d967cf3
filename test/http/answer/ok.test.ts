import { describe, expect, test } from 'vitest';
import { ok, StatusError } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { answerOf } from '../../support/http/answers.ts';

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
      text: '',
    });
  });
});
