import { expect, test } from 'vitest';
import { isDay, isTimestamp } from '../../src/wire/timestamp.ts';

test.each(['2030-01-31T12:00:00Z', '2028-02-29t23:59:59.5z', '2030-01-31T12:00:00-07:30'])(
  '%s is a time',
  (text) => {
    expect(isTimestamp(text)).toBe(true);
  },
);

test.each([
  '',
  '2030-01-31',
  '2030-01-31T12:00Z',
  '2030-01-31T12:00:00',
  '2030-01-31 12:00:00Z',
  '2030-01-31T24:00:00Z',
  '2030-01-31T12:60:00Z',
  '2027-02-29T00:00:00Z',
  '2027-02-31T00:00:00Z',
  '2027-13-01T00:00:00Z',
  ' 2030-01-31T12:00:00Z',
])('%j is none', (text) => {
  expect(isTimestamp(text)).toBe(false);
});

test('there are days, and others', () => {
  expect(['2028-02-29', '2027-02-29', '2027-99-99', ''].map(isDay)).toEqual([true, false, false, false]);
});
