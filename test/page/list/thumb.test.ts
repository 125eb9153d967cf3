import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { positionOfThumb, thumbOf } from '../../../src/page/list/thumb.ts';

const TRACK_PX = 800;

describe('the thumb of the scrollbar', () => {
  it('is not there when all of the file is in view', () => {
    expect(thumbOf({ top: 0, bottom: 50, size: 50 }, TRACK_PX)).toBeUndefined();
  });

  it('is at the ends of its track exactly at the ends of the file', () => {
    const size = 5 * 1024 ** 3;
    expect(thumbOf({ top: 0, bottom: 4000, size }, TRACK_PX)).toMatchObject({ top: 0 });
    const last = thumbOf({ top: size - 4000, bottom: size, size }, TRACK_PX)!;
    expect(last.top + last.height).toBeCloseTo(TRACK_PX);
  });

  it('leads back to where it stands for', () => {
    const sizes = fc.integer({ min: 10_000, max: 2 ** 50 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (size, fraction) => {
        const top = Math.floor(fraction * (size - 4000));
        const extent = { top, bottom: top + 4000, size };
        const position = positionOfThumb(thumbOf(extent, TRACK_PX)!.top, extent, TRACK_PX);
        expect(Math.abs(position - top)).toBeLessThanOrEqual(1 + size * 1e-12);
      }),
    );
  });
});
