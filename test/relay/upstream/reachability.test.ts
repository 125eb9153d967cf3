import { expect, onTestFinished, test, vi } from 'vitest';
import { Reachability } from '../../../src/relay/upstream/reachability.ts';

test('a server that does not answer is asked less and less often, until it answers', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const reachability = new Reachability();
  expect([reachability.isDoubted, reachability.isAway]).toEqual([false, false]);
  const awayMs = Array.from({ length: 7 }, () => {
    reachability.failed();
    // Those that were asked at the same time are no further failure.
    reachability.failed();
    let ms = 0;
    for (; reachability.isAway; ms += 500) vi.advanceTimersByTime(500);
    return ms;
  });
  expect(awayMs).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  expect(reachability.isDoubted).toBe(true);
  reachability.answered();
  expect([reachability.isDoubted, reachability.isAway]).toEqual([false, false]);
});
