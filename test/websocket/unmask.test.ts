import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unmaskDown, unmaskInPlace } from '../../src/websocket/unmask.ts';

/** As RFC 6455, section 5.3 has it. */
function expected(bytes: Uint8Array, mask: Uint8Array, phase: number): number[] {
  return [...bytes].map((byte, i) => byte ^ (mask[(phase + i) % 4] as number));
}

const bytes = fc.uint8Array({ maxLength: 40 });
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
const phase = fc.nat({ max: 1000 });

describe('unmasking gives what was masked, at any place in a frame', () => {
  test('in place', () => {
    fc.assert(
      fc.property(bytes, mask, phase, (masked, key, at) => {
        const copy = Buffer.from(masked);
        unmaskInPlace(copy, key, at);
        expect([...copy]).toEqual(expected(masked, key, at));
      }),
    );
  });

  test('at the beginning of a view that is not the beginning of its memory', () => {
    const masked = Buffer.from([9, 9, 9, 1, 2, 3, 4, 5, 9]);
    unmaskInPlace(masked.subarray(3, 8), Buffer.from([1, 1, 1, 1]), 2);
    expect([...masked]).toEqual([9, 9, 9, 0, 3, 2, 5, 4, 9]);
  });

  test('moved down, and touches nothing else', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), fc.nat(), fc.nat(), mask, phase, (all, a, b, c, key, at) => {
        const [target, from, to] = [a, b, c].map((n) => n % (all.length + 1)).sort((x, y) => x - y) as [
          number,
          number,
          number,
        ];
        const moved = Uint8Array.from(all);
        unmaskDown(moved, from, to, target, key, at);
        const wanted = [...all];
        wanted.splice(target, to - from, ...expected(all.subarray(from, to), key, at));
        expect([...moved]).toEqual(wanted);
      }),
    );
  });

  test('of nothing is nothing', () => {
    const empty = new Uint8Array(0);
    unmaskInPlace(empty, new Uint8Array(4), 0);
    unmaskDown(empty, 0, 0, 0, new Uint8Array(4), 0);
    expect(empty).toHaveLength(0);
  });
});
