import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unmaskDown, unmaskInPlace, unmaskWords } from '../../src/wire/unmask.ts';

const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });

/** Unmasks byte by byte, as RFC 6455 says it. */
const unmasked = (bytes: Uint8Array, key: Uint8Array, phase: number) =>
  bytes.map((byte, i) => byte ^ key[(phase + i) % 4]!);

test.each([
  ['native code', unmaskInPlace],
  ['words', unmaskWords],
])(
  '%s unmask what lies anywhere in memory, from any byte of a frame on, and nothing beside it',
  (_, unmask) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70 }),
        mask,
        fc.nat(9),
        fc.nat(1000),
        (bytes, key, offset, phase) => {
          const memory = new Uint8Array(offset + bytes.length + 9).fill(7);
          memory.set(bytes, offset);
          const expected = memory.slice();
          expected.set(unmasked(bytes, key, phase), offset);
          unmask(memory.subarray(offset, offset + bytes.length), key, phase);
          expect(memory).toEqual(expected);
        },
      ),
    );
  },
);

test('unmasks on the way down to any place, over itself, and touches nothing else', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 70 }),
      fc.tuple(fc.nat(70), fc.nat(70), fc.nat(70)),
      mask,
      fc.nat(1000),
      (bytes, places, key, phase) => {
        const [target = 0, start = 0, end = 0] = places
          .map((place) => place % (bytes.length + 1))
          .sort((a, b) => a - b);
        const memory = bytes.slice();
        const expected = bytes.slice();
        expected.set(unmasked(bytes.subarray(start, end), key, phase), target);
        unmaskDown(memory, start, end, target, key, phase);
        expect(memory).toEqual(expected);
      },
    ),
  );
});
