import { expect, test } from 'vitest';
import {
  ageLastsMs,
  formatAge,
  formatBytes,
  formatCount,
  formatTime,
} from '../../../src/page/frame/format.ts';

const NOW = Date.UTC(2026, 2, 1, 12, 30, 5);
const DAY = 86_400_000;

test('bytes are told in the unit in which they are at least one, with a decimal from KiB on', () => {
  const told = [0, 1, 1023, 1024, 1536, 1_048_575, 1_048_576, 5_376_021_990, 2 ** 50 * 2000].map(formatBytes);
  expect(told).toEqual([
    '0 B',
    '1 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '1.0 MiB',
    '1.0 MiB',
    '5.0 GiB',
    '2,000.0 PiB',
  ]);
});

test('counts have a comma after each three digits', () => {
  expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567']);
});

test('an age is told in its largest unit, and as a date once it is old', () => {
  const ages = [0, 999, 12_000, 59_999, 3 * 60_000, 5 * 3_600_000, 2 * DAY, 29.9 * DAY, 31 * DAY];
  expect(ages.map((age) => formatAge(NOW - age, NOW))).toEqual([
    'now',
    'now',
    '12 s ago',
    '59 s ago',
    '3 min ago',
    '5 h ago',
    '2 d ago',
    '29 d ago',
    '2026-01-29',
  ]);
});

test('what is in the future is now while clocks may differ so much, else a date', () => {
  expect([formatAge(NOW + 30_000, NOW), formatAge(NOW + 2 * DAY, NOW)]).toEqual(['now', '2026-03-03']);
});

test('an age says the same until it is over, and then something else', () => {
  for (const age of [
    -30_000,
    0,
    1,
    999,
    1000,
    59_001,
    61_000,
    3_599_999,
    3_600_000,
    90_000_000,
    29.99 * DAY,
  ]) {
    const lasts = ageLastsMs(NOW - age, NOW);
    expect(formatAge(NOW - age, NOW + lasts - 1), `${age}`).toBe(formatAge(NOW - age, NOW));
    expect(formatAge(NOW - age, NOW + lasts), `${age}`).not.toBe(formatAge(NOW - age, NOW));
  }
  expect(ageLastsMs(NOW - 40 * DAY, NOW)).toBe(Number.POSITIVE_INFINITY);
});

test('a time is told in full, and what is none is not made up', () => {
  expect([formatTime(NOW), formatTime(Number.NaN), formatAge(Number.NaN, NOW)]).toEqual([
    '2026-03-01 12:30:05 UTC',
    '?',
    '?',
  ]);
});
