import { expect, test } from 'vitest';
import { Chunk, chunksOf, type Encoder } from '../../../src/core/readers/chunk.ts';

/** Keeps what it was asked to encode. */
function spyEncoder() {
  const asked: [text: string, isMerged: boolean | undefined][] = [];
  const encode: Encoder = (parts, isMerged) => {
    asked.push([Buffer.concat(parts).toString(), isMerged]);
    return parts;
  };
  return { asked, encode };
}

test.each([true, false])(
  'whether bytes were short messages is known wherever a reader begins: %s',
  (isMerged) => {
    const { asked, encode } = spyEncoder();
    const [chunk] = [...chunksOf(100, [Buffer.from('abc'), Buffer.from('def')], isMerged)];
    chunk?.encodedFrom(100, encode);
    chunk?.encodedFrom(104, encode);
    expect(asked).toEqual([
      ['abcdef', isMerged],
      ['ef', isMerged],
    ]);
  },
);

test('bytes are encoded once for all that begin with them, as one buffer from the second on', () => {
  const { asked, encode } = spyEncoder();
  const chunk = new Chunk(0, [Buffer.from('abc'), Buffer.from('def')]);
  const [first, second, third] = [1, 2, 3].map(() => chunk.encodedFrom(0, encode));
  expect([first?.length, second?.length]).toEqual([2, 1]);
  expect(third?.[0]).toBe(second?.[0]);
  expect(asked).toHaveLength(1);
});
