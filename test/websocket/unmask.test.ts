import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unmaskDown, unmaskInPlace, unmaskWords } from '../../src/websocket/unmask.ts';

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

test('unmasks on the way down, over itself', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 70 }),
      mask,
      fc.nat(9),
      fc.nat(1000),
      (bytes, key, distance, phase) => {
        const memory = new Uint8Array(distance + bytes.length);
        memory.set(bytes, distance);
        unmaskDown(memory, distance, memory.length, 0, key, phase);
        expect(memory.subarray(0, bytes.length)).toEqual(unmasked(bytes, key, phase));
      },
    ),
  );
});
