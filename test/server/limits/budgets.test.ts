import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Budgets } from '../../../src/server/limits/budgets.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** How often a client may do it in a row. */
function times(budgets: Budgets, client: string): number {
  let count = 0;
  while (budgets.spend(client)) count++;
  return count;
}

test('a client has its burst, then its rate, and never more than its burst; others have their own', () => {
  const budgets = new Budgets({ perSecond: 10, burst: 50 });
  expect(times(budgets, 'a')).toBe(50);
  vi.advanceTimersByTime(100);
  expect(times(budgets, 'a')).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(times(budgets, 'a')).toBe(10);
  vi.advanceTimersByTime(3_600_000);
  expect(times(budgets, 'a')).toBe(50);
  expect(times(budgets, 'b')).toBe(50);
});

test('however many clients there are, it knows those that were seen last, 25,000 at least', () => {
  const budgets = new Budgets({ perSecond: 1, burst: 1 });
  const others = (from: number, count: number) => {
    for (let i = from; i < from + count; i++) budgets.spend(`client ${i}`);
  };
  budgets.spend('first');
  others(0, 25_000);
  // It is seen again, in vain, which counts.
  expect(budgets.spend('first')).toBe(false);
  others(25_000, 25_000);
  expect(budgets.spend('first')).toBe(false);
  others(50_000, 50_000);
  expect(budgets.spend('first')).toBe(true);
});
