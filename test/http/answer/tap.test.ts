import { describe, expect, test } from 'vitest';
import { tapped, withOrigin } from '../../../src/http/answer/tap.ts';
import { rejection } from '../../client/client-server.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { answerOf } from '../../support/http/answers.ts';
import { waitFor } from '../../support/wait-for.ts';

function noting() {
  const notes: unknown[] = [];
  const tap = {
    reading: () => void notes.push('reading'),
    read: (bytes: number) => void notes.push(bytes),
    failure: (error: unknown) => new Error(`wrapped ${(error as Error).message}`),
    end: (how: string, error?: unknown) =>
      void notes.push(error === undefined ? how : `${how} ${(error as Error).message}`),
  };
  return { notes, tap };
}

describe('an answer that is watched', () => {
  test('tells what is read of it, and its end', async () => {
    const { notes, tap } = noting();
    const { response, state } = answerOf(['ab', 'c']);
    const watched = tapped(response, tap);
    expect(state.pulled).toBe(0);
    expect(await watched.text()).toBe('abc');
    expect(notes).toEqual(['reading', 2, 'reading', 1, 'reading', 'complete']);
  });

  test('says where it came from, and so does each clone of it', async () => {
    const { tap } = noting();
    const { response } = answerOf(['abc']);
    const watched = tapped(withOrigin(response, 'http://files/a', true, false), tap);
    const clone = watched.clone().clone();
    expect([clone.url, clone.redirected, watched.url]).toEqual(['http://files/a', true, 'http://files/a']);
    expect([await clone.text(), await watched.text()]).toEqual(['abc', 'abc']);
  });

  test('tells that it broke, and its reader what it was told to', async () => {
    const { notes, tap } = noting();
    const { response } = answerOf(['ab'], { error: new Error('cut') });
    expect(await rejection(tapped(response, tap).text())).toMatchObject({ message: 'wrapped cut' });
    expect(notes.at(-1)).toBe('broken wrapped cut');
  });

  test('tells that its reader has left', async () => {
    const { notes, tap } = noting();
    const { response, state } = answerOf(['ab', 'c']);
    await tapped(response, tap).body?.cancel();
    expect([notes, state.isCancelled]).toEqual([['cancelled'], true]);
  });

  test('tells that nobody can read it any more, and cancels it', async () => {
    const { notes, tap } = noting();
    const { state } = (() => {
      const answer = answerOf(['ab']);
      tapped(answer.response, tap);
      return { state: answer.state };
    })();
    await waitFor(() => {
      collectGarbage();
      return state.isCancelled;
    }, 'the body to be cancelled');
    expect(notes).toEqual(['cancelled']);
  });

  test('is what it was', () => {
    const { tap } = noting();
    const response = Object.defineProperties(
      new Response('x', { status: 404, statusText: 'No', headers: { a: 'b' } }),
      {
        url: { value: 'http://a/' },
        redirected: { value: true },
      },
    );
    const watched = tapped(response, tap);
    const { status, statusText, url, redirected } = watched;
    expect({ status, statusText, url, redirected, a: watched.headers.get('a') }).toEqual({
      status: 404,
      statusText: 'No',
      url: 'http://a/',
      redirected: true,
      a: 'b',
    });
  });

  test('without a body is given back, and has ended', () => {
    const { notes, tap } = noting();
    const response = new Response(null, { status: 204 });
    expect(tapped(response, tap)).toBe(response);
    expect(notes).toEqual(['complete']);
  });
});
