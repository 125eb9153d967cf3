import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LastModified, parseHttpDate } from '../../../src/server/response/last-modified.ts';

const NOON_MS = Date.UTC(2026, 10, 28, 12);
const httpDate = (timeMs: number) => new Date(timeMs).toUTCString();

describe('a Last-Modified date', () => {
  it.each([
    ['of long ago', -3_600_000, true, true],
    ['of a minute ago', -60_000, true, true],
    ['of a little less than a minute ago', -59_000, true, false],
    ['of the second before', -1000, true, false],
    ['of this second', 0, false, false],
    ['to come', 60_000, false, false],
  ])('%s counts as what it is', (_what, ageMs, isWeakOne, isStrongOne) => {
    const lastModified = new LastModified(NOON_MS + ageMs, true, NOON_MS + 900);
    const date = httpDate(NOON_MS + ageMs);
    expect(lastModified.header === date).toBe(isWeakOne);
    expect(lastModified.isUnchangedSince(date)).toBe(isWeakOne);
    expect(lastModified.isStronglyEqualTo(date)).toBe(isStrongOne);
  });

  it('is not after itself, nor after what is to come, and after what it was told as before', () => {
    const lastModified = new LastModified(NOON_MS + 500, true, NOON_MS + 900);
    expect(lastModified.isNotAfter(httpDate(NOON_MS))).toBe(true);
    expect(lastModified.isNotAfter(httpDate(NOON_MS + 3_600_000))).toBe(true);
    expect(lastModified.isNotAfter(httpDate(NOON_MS - 1000))).toBe(false);
    expect(lastModified.isNotAfter(lastModified.header)).toBe(false);
    expect(lastModified.isNotAfter('tomorrow')).toBe(false);
  });

  it('of a file in which there is more than what is sent says nothing', () => {
    const lastModified = new LastModified(NOON_MS - 3_600_000, false, NOON_MS);
    expect(lastModified.isUnchangedSince(httpDate(NOON_MS - 3_600_000))).toBe(false);
    expect(lastModified.isUnchangedSince(lastModified.header)).toBe(false);
    expect(lastModified.isStronglyEqualTo(lastModified.header)).toBe(false);
  });

  it('that a client was told is never that of a later state, whenever that comes about', () => {
    const millisecond = fc.integer({ min: 0, max: 5000 });
    fc.assert(
      fc.property(millisecond, millisecond, millisecond, millisecond, fc.boolean(), (a, b, c, d, isWhole) => {
        const [changed, asked, changedAgain, askedAgain] = [a, b, c, d].sort((x, y) => x - y) as [
          number,
          number,
          number,
          number,
        ];
        // Of an answer that had not all, the rest may have come before.
        const secondChange = isWhole ? changedAgain : changed;
        fc.pre(changed !== changedAgain || !isWhole);
        const told = new LastModified(NOON_MS + changed, isWhole, NOON_MS + asked).header;
        const later = new LastModified(NOON_MS + secondChange, true, NOON_MS + askedAgain);
        expect(later.isUnchangedSince(told)).toBe(false);
      }),
    );
  });
});

describe('a date of HTTP', () => {
  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'is understood in each of its forms: %s',
    (text) => {
      expect(parseHttpDate(text)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37));
    },
  );

  it('may be a leap day', () => {
    expect(parseHttpDate('Thu, 29 Feb 2024 00:00:00 GMT')).toBe(Date.UTC(2024, 1, 29));
  });

  it.each([
    '',
    '5',
    '2026',
    'tomorrow',
    '2026-11-28T12:00:00Z',
    'Sat, 31 Feb 2026 00:00:00 GMT',
    'Sun, 29 Feb 2026 00:00:00 GMT',
    'Sat, 00 Nov 2026 00:00:00 GMT',
    'Sat, 28 Foo 2026 00:00:00 GMT',
    'Sat, 28 Nov 2026 24:00:00 GMT',
    'Sat, 28 Nov 2026 12:00:00',
    'Sat, 28 Nov 2026 12:00:00 CET',
    'Sat, 28 Nov 2026 12:00:00 GMT+0100',
    '28 Nov 2026 12:00:00 GMT',
    'Sat Feb 31 00:00:00 2026',
    'Saturday, 31-Feb-26 00:00:00 GMT',
  ])('is not what only looks like one, or names no day: "%s"', (text) => {
    expect(parseHttpDate(text)).toBeNaN();
  });
});
