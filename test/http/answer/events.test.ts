import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { events, type ServerSentEvent } from '../../../src/http/index.node.ts';
import { answerOf, cutAt, gathered } from '../../support/http/answers.ts';

const encode = ({ id, event, data }: ServerSentEvent, end: string) =>
  [
    ': a comment',
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(event === undefined ? [] : [`event:${event}`]),
    ...data.split('\n').map((line) => `data: ${line}`),
    'retry: 10',
    'unknown: x',
    '',
    '',
  ].join(end);

describe('the events of an answer', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'ä', '€', '😀', ' ', ':'), minLength: 1 });
  const data = fc
    .array(fc.string({ unit: fc.constantFrom('a', 'ä', '😀', ' ', ':', '{') }), { minLength: 1 })
    .map((all) => all.join('\n'));
  const event = fc.record({ id: word, event: word, data }, { requiredKeys: ['data'] }).map((each) => ({
    ...each,
    // One space after the colon is no part of the value.
    ...(each.event !== undefined && { event: `e${each.event}` }),
  }));

  test('are the same however it is cut, without one that has not ended', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event),
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.nat()),
        async (all, end, places) => {
          const text = `${all.map((each) => encode(each, end)).join('')}data: cut off${end}`;
          const { items, error } = await gathered(
            events(answerOf(cutAt(new TextEncoder().encode(text), places)).response),
          );
          expect(error).toBeUndefined();
          expect(items).toEqual(all);
        },
      ),
    );
  });

  test.each([
    ['a line without an end', [`data: ${'x'.repeat(50)}`, 'x'.repeat(60), 'x'.repeat(60)]],
    ['lines without an end', Array.from({ length: 50 }, () => `data: ${'x'.repeat(10)}\n`)],
    ['one that came at once', [`data: ok\n\ndata: ${'€'.repeat(40)}\n\n`]],
  ])('are not longer than the limit: %s', async (_what, chunks) => {
    const { response, state } = answerOf(chunks);
    const { error } = await gathered(events(response, { maxEventBytes: 100 }));
    expect(error).toMatchObject({ code: 'HFS_TOO_LARGE', maxBytes: 100 });
    expect(state.isCancelled || state.pulled > chunks.length).toBe(true);
  });

  test('may be any number: the limit is for each', async () => {
    const { response } = answerOf(Array.from({ length: 100 }, () => `data: ${'x'.repeat(90)}\n\n`));
    expect((await gathered(events(response, { maxEventBytes: 100 }))).items).toHaveLength(100);
  });

  test('are given as they come, and until it breaks', async () => {
    const { response, state } = answerOf(['data: a\n\n', 'data: b\n\ndata: c'], { error: new Error('cut') });
    const iterator = events(response);
    expect(await iterator.next()).toMatchObject({ value: { data: 'a' } });
    expect(state.pulled).toBe(1);
    expect(await gathered(iterator)).toMatchObject({ items: [{ data: 'b' }], error: { message: 'cut' } });
  });

  test('end with the loop, which cancels the body', async () => {
    const { response, state } = answerOf(['data: a\n\ndata: b\n\n', 'data: c\n\n']);
    for await (const { data } of events(response)) if (data === 'a') break;
    expect(state).toEqual({ isCancelled: true, pulled: 1 });
  });
});
