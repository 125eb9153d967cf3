import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffsetNames } from '../../../src/core/streams/stream-offset.ts';
import { InvalidRequestError, ResourceGoneError } from '../../../src/wire/errors.ts';

// Small, so that what lies at a boundary is often met.
const SIZE = 20;
const position = fc.nat({ max: SIZE });

/** A stream that was forked from a fork, and so on, each time at another position. */
const forkedIn = (generations: fc.Arbitrary<number[]>) =>
  fc.tuple(generations, fc.array(position, { maxLength: 4 })).map(([[first = 0, ...rest], ends]) => {
    let source = new OffsetNames(first);
    const shared: { source: OffsetNames; end: number }[] = [];
    for (const [at, end] of ends.entries()) {
      shared.push({ source, end });
      source = new OffsetNames(rest[at] as number, source.inheritedUpTo(end));
    }
    return { names: source, shared };
  });

const generations = fc.array(fc.nat({ max: 1_000_000 }), { minLength: 5, maxLength: 5 });

/** Whatever the clock said when each was made. */
const forked = forkedIn(generations);

/** Each was made after the one before. */
const forkedInOrder = forkedIn(generations.map((gaps) => gaps.map((gap, at) => at * 2_000_000 + gap)));

describe('the name of a position', () => {
  it('leads back to it', () => {
    fc.assert(
      fc.property(forked, position, ({ names }, at) => {
        expect(names.positionOf(names.nameOf(at), SIZE)).toBe(at);
      }),
    );
  });

  it('sorts as the position does', () => {
    fc.assert(
      fc.property(forked, position, position, ({ names }, one, other) => {
        expect(Math.sign(one - other)).toBe(
          names.nameOf(one) < names.nameOf(other) ? -1 : Number(names.nameOf(one) > names.nameOf(other)),
        );
      }),
    );
  });

  it('is the one that the source gave it, as far as a fork goes with it', () => {
    fc.assert(
      fc.property(forkedInOrder, position, ({ names, shared }, at) => {
        const { source, end } = shared.at(-1) ?? { source: names, end: SIZE };
        if (at <= end) expect(names.nameOf(at)).toBe(source.nameOf(at));
        else expect(() => source.positionOf(names.nameOf(at), SIZE)).toThrow(ResourceGoneError);
      }),
    );
  });
});

describe('a token', () => {
  const names = new OffsetNames(7);

  it.each(['-1', `${'0'.repeat(16)}_${'0'.repeat(16)}`])('%s is the beginning', (token) => {
    expect(names.positionOf(token, SIZE)).toBe(0);
  });

  it.each(['', '0', '-2', 'x', '7_5', `${'9'.repeat(16)}_${'9'.repeat(16)}`, ` ${names.nameOf(1)}`])(
    '"%s" is none',
    (token) => {
      expect(() => names.positionOf(token, SIZE)).toThrow(InvalidRequestError);
    },
  );

  it('of another generation, or beyond the end, is gone', () => {
    expect(() => names.positionOf(new OffsetNames(8).nameOf(5), SIZE)).toThrow(ResourceGoneError);
    expect(() => names.positionOf(names.nameOf(SIZE + 1), SIZE)).toThrow(ResourceGoneError);
    expect(names.positionOf(names.nameOf(SIZE), SIZE)).toBe(SIZE);
  });
});
