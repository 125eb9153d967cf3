import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lines, ndjson } from '../../../src/http/index.node.ts';
import { answerOf, cutAt, gathered } from '../../support/http/answers.ts';

const linesOf = (text: string, maxLineBytes?: number) =>
  gathered(lines(answerOf([text]).response, maxLineBytes === undefined ? {} : { maxLineBytes }));

describe('the lines of an answer', () => {
  test.each([
    ['', []],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\r\nb\n\nc\r', ['a', 'b', '', 'c']],
    ['\n', ['']],
    ['\ufeff', []],
    ['\ufeff\n', ['']],
    ['a\rb\n', ['a\rb']],
    ['\ufeffa\n\ufeffb', ['a', '\ufeffb']],
    ['ä\u2028b\n', ['ä\u2028b']],
  ])('%j: %j', async (text, expected) => {
    expect(await linesOf(text)).toEqual({ items: expected, error: undefined });
  });

  test('are the same however it is cut', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'ä', '€', '😀', '\r', ' ', '\ufeff') });
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1 }), fc.array(fc.nat()), async (all, places) => {
        const text = all.join('\n');
        const bytes = new TextEncoder().encode(text);
        const { items } = await gathered(lines(answerOf(cutAt(bytes, places)).response));
        const plain = text.replace(/^\ufeff/, '');
        const expected = plain.split('\n').map((each) => each.replace(/\r$/, ''));
        if (plain.endsWith('\n') || plain === '') expected.pop();
        expect(items).toEqual(expected);
      }),
    );
  });

  test('are not longer than the limit, in bytes, wherever they are cut', async () => {
    expect(await linesOf('äää\näää\r\näää', 6)).toMatchObject({
      items: ['äää', 'äää', 'äää'],
      error: undefined,
    });
    expect(await linesOf('a\naäää\nb', 6)).toMatchObject({
      items: ['a'],
      error: { code: 'HFS_TOO_LARGE', maxBytes: 6 },
    });
    const endless = answerOf(Array.from({ length: 1000 }, () => 'x'.repeat(1000)));
    expect(await gathered(lines(endless.response, { maxLineBytes: 5000 }))).toMatchObject({
      items: [],
      error: { code: 'HFS_TOO_LARGE' },
    });
    expect(endless.state).toMatchObject({ isCancelled: true, pulled: 6 });
  });

  test('of which one has come in single bytes take no more memory for it', async () => {
    const size = 100_000;
    const before = process.memoryUsage();
    const { response } = answerOf(new Array(size).fill('x'));
    const { items } = await gathered(lines(response));
    expect(items[0]?.length).toBe(size);
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(100 * size);
  });

  test('are given until it breaks, without one that was cut', async () => {
    const { response } = answerOf(['a\nb\nc'], { error: new Error('cut') });
    expect(await gathered(lines(response))).toMatchObject({ items: ['a', 'b'], error: { message: 'cut' } });
  });

  test('are read no further than they are asked for, and leaving the loop cancels the body', async () => {
    const { response, state } = answerOf(['a\n', 'b\n', 'c\n']);
    for await (const line of lines(response)) if (line === 'b') break;
    expect(state).toEqual({ isCancelled: true, pulled: 2 });
    const thrown = answerOf(['a\n', 'b\n']);
    const reading = async () => {
      for await (const _ of lines(thrown.response)) throw new Error('mine');
    };
    await expect(reading()).rejects.toThrow('mine');
    expect(thrown.state.isCancelled).toBe(true);
  });

  test('of nothing are none', async () => {
    expect(await gathered(lines(new Response(null, { status: 204 })))).toEqual({
      items: [],
      error: undefined,
    });
  });
});

test('ndjson gives the value of each line that is not empty, and refuses what is none', async () => {
  const { response, state } = answerOf(['{"a":1}\n\n[2]\r\n"x', '"\n', 'no\n3\n', 'more']);
  const { items, error } = await gathered(ndjson(response));
  expect(items).toEqual([{ a: 1 }, [2], 'x']);
  expect(error).toBeInstanceOf(SyntaxError);
  expect(state.isCancelled).toBe(true);
});
