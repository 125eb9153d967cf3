import { describe, expect, test } from 'vitest';
import { bytes, json, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { answerOf, gathered } from '../../support/http/answers.ts';

describe('the whole body of an answer', () => {
  test('is bytes, text without its byte order mark, or JSON', async () => {
    expect(await bytes(answerOf(['hä', 'llo']).response)).toEqual(new TextEncoder().encode('hällo'));
    expect(
      await text(
        answerOf([Uint8Array.of(0xef, 0xbb), Uint8Array.of(0xbf, 0x61, 0xc3), Uint8Array.of(0xa4)]).response,
      ),
    ).toBe('aä');
    expect(await json(answerOf(['{"a"', ':1}']).response)).toEqual({ a: 1 });
    expect(await rejection(json(answerOf(['{']).response))).toBeInstanceOf(SyntaxError);
    expect(await text(new Response(null))).toBe('');
  });

  test('is memory of its own', async () => {
    const chunk = new TextEncoder().encode('hello');
    const read = await bytes(answerOf([chunk]).response);
    chunk.fill(0);
    expect(new TextDecoder().decode(read)).toBe('hello');
    expect(read.buffer.byteLength).toBe(5);
  });

  test('is not longer than the limit, of which no more is read', async () => {
    const { response, state } = answerOf(['12345', '67890', '1', '2']);
    expect(await rejection(bytes(response, { maxBytes: 10 }))).toMatchObject({
      code: 'HFS_TOO_LARGE',
      maxBytes: 10,
    });
    expect(state).toEqual({ isCancelled: true, pulled: 3 });
    expect(await text(answerOf(['12345', '67890']).response, { maxBytes: 10 })).toBe('1234567890');
    expect(await text(answerOf([]).response, { maxBytes: 0 })).toBe('');
  });

  test('that declares more is not read at all, unless it was coded', async () => {
    const declared = { 'content-length': '11' };
    const { response, state } = answerOf(['x'], { headers: declared });
    expect(await rejection(text(response, { maxBytes: 10 }))).toMatchObject({ code: 'HFS_TOO_LARGE' });
    expect(state).toEqual({ isCancelled: true, pulled: 0 });
    const coded = answerOf(['x'], { headers: { ...declared, 'content-encoding': 'gzip' } });
    expect(await text(coded.response, { maxBytes: 10 })).toBe('x');
  });

  test.each<[string, (response: Response) => Promise<unknown>]>([
    ['that was read', async (response) => response.text()],
    ['that was read chunk by chunk', async ({ body }) => gathered(body as unknown as AsyncIterable<unknown>)],
    ['that was cancelled', async ({ body }) => body?.cancel()],
    ['that somebody reads', async ({ body }) => body?.getReader()],
  ])('%s is refused, and not taken for an empty one', async (_what, use) => {
    const { response } = answerOf(['hello']);
    await use(response);
    expect(await rejection(text(response))).toMatchObject({ code: 'HFS_INVALID_SOURCE' });
  });

  test('is none of no size', async () => {
    const { response } = answerOf(['hello']);
    expect(await rejection(text(response, { maxBytes: Number.NaN }))).toMatchObject({
      code: 'HFS_TOO_LARGE',
    });
  });

  test('of which nobody can say how long it is, whatever it declares, is read', async () => {
    const { response } = answerOf(['hello'], { headers: { 'content-length': 'long' } });
    expect(await text(response)).toBe('hello');
  });

  test('that breaks is an error', async () => {
    expect(await rejection(text(answerOf(['a'], { error: new Error('cut') }).response))).toMatchObject({
      message: 'cut',
    });
  });
});
