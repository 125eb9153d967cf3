import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unmaskDown, unmaskInPlace, unmaskWords, wordsOf } from '../../src/wire/unmask.ts';

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

test.each([
  ['bytes', () => undefined],
  ['words', wordsOf],
])('unmasks %s on the way down to any place, over itself, and touches nothing behind it', (_, words) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.nat(200), fc.nat(200), fc.nat(200)),
      mask,
      fc.nat(9),
      fc.nat(1000),
      (bytes, places, key, offset, phase) => {
        const [target = 0, start = 0, end = 0] = places
          .map((place) => place % (bytes.length + 1))
          .sort((a, b) => a - b);
        const memory = new Uint8Array(offset + bytes.length).subarray(offset);
        memory.set(bytes);
        const down = unmasked(bytes.subarray(start, end), key, phase);
        unmaskDown(memory, start, end, target, key, phase, words(memory));
        // What lay there before is nobody's any more.
        const isDown = [memory.subarray(0, target), memory.subarray(target, target + down.length)];
        expect([...isDown, memory.subarray(end)]).toEqual([bytes.slice(0, target), down, bytes.slice(end)]);
      },
    ),
  );
});
