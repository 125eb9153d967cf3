import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WholeValues } from '../../../src/relay/pull/whole-values.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';

test('values come whole, in order, however they are cut on their way', () => {
  const pieces = fc.array(
    fc
      .array(fc.constantFrom('a', '1', '\n'), { minLength: 1, maxLength: 8 })
      .map((letters) => letters.join('')),
  );
  fc.assert(
    fc.property(pieces, (texts) => {
      const values = new WholeValues();
      const whole = texts.map((text) => values.whole(Buffer.from(text)));
      const ended = whole.filter((bytes) => bytes !== undefined).map(String);
      const all = texts.join('');
      expect(ended.every((text) => text.endsWith('\n'))).toBe(true);
      expect(ended.join('')).toBe(all.slice(0, all.lastIndexOf('\n') + 1));
      expect(values.openBytes).toBe(all.length - ended.join('').length);
    }),
  );
});

test('a value that has no end yet takes little more memory than its bytes, however small the pieces in which it comes', () => {
  const values = new WholeValues();
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 1000; i++) values.whole(Buffer.alloc(64 * 1024, '1').subarray(i, i + 1));
  collectGarbage();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  expect(values.whole(Buffer.from('\n'))?.length).toBe(1001);
});
