import { expect, test } from 'vitest';
import { BUCKETS, Histogram } from '../../src/core/numbers.ts';

test('a histogram counts each time in the first bucket that is large enough, or behind all', () => {
  const histogram = new Histogram();
  for (const ms of [0, 0.5, 0.51, 4999, 5000, 5001]) histogram.observe(ms);
  const [first, second] = histogram.counts;
  expect([first, second, ...histogram.counts.slice(-2)]).toEqual([2, 1, 2, 1]);
  expect(histogram.counts).toHaveLength(BUCKETS.length + 1);
  expect(histogram.sum).toBeCloseTo(15.00101);
});
