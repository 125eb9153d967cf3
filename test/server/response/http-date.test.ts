import { describe, expect, it } from 'vitest';
import { parseHttpDate } from '../../../src/server/response/http-date.ts';

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
