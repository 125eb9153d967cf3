import { expect, test } from 'vitest';
import { Chunk, chunksOf, type Encoder } from '../../../src/core/readers/chunk.ts';

/** Keeps what it was asked to encode: each part, and whether it was merged. */
function spyEncoder() {
  const asked: [text: string, isMerged: boolean | undefined][][] = [];
  const encode: Encoder = (parts, merged) => {
    asked.push(parts.map((part) => [part.toString(), merged?.has(part)]));
    return parts;
  };
  return { asked, encode };
}

test('which parts are short messages is known wherever a reader begins', () => {
  const { asked, encode } = spyEncoder();
  const parts = ['abc', 'def', 'ghi'].map((text) => Buffer.from(text));
  const [chunk] = [...chunksOf(100, parts, new Set([parts[1] as Buffer]))];
  for (const position of [100, 101, 104]) chunk?.encodedFrom(position, encode);
  expect(asked).toEqual([
    [
      ['abc', false],
      ['def', true],
      ['ghi', false],
    ],
    [
      ['bc', false],
      ['def', true],
      ['ghi', false],
    ],
    [
      ['ef', true],
      ['ghi', false],
    ],
  ]);
});

test('bytes are encoded once for all that begin with them, as one buffer from the second on', () => {
  const { asked, encode } = spyEncoder();
  const chunk = new Chunk(0, [Buffer.from('abc'), Buffer.from('def')]);
  const [first, second, third] = [1, 2, 3].map(() => chunk.encodedFrom(0, encode));
  expect([first?.length, second?.length]).toEqual([2, 1]);
  expect(third?.[0]).toBe(second?.[0]);
  expect(asked).toHaveLength(1);
});

test('what is not to be sent from memory is that for all, not empty for the second', () => {
  const chunk = new Chunk(0, [Buffer.from('abc')]);
  const refuse: Encoder = () => [];
  expect([1, 2, 3].map(() => chunk.encodedFrom(0, refuse))).toEqual([[], [], []]);
});
