import { afterEach, expect, test, vi } from 'vitest';
import { EventLoop } from '../../../src/server/operations/event-loop.ts';

afterEach(() => void vi.useRealTimers());

test('the delay of the event loop is watched only while somebody asks for it', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const loop = new EventLoop();
  expect(loop.isWatched).toBe(false);
  expect(loop.take().delays).toEqual([]);
  expect(loop.isWatched).toBe(true);
  vi.advanceTimersByTime(200_000);
  loop.take();
  vi.advanceTimersByTime(200_000);
  expect(loop.isWatched).toBe(true);
  vi.advanceTimersByTime(100_000);
  expect(loop.isWatched).toBe(false);
});

test('how late it is says nothing of how often it is looked at', async () => {
  const loop = new EventLoop();
  loop.take();
  await expect.poll(() => loop.take().delays.length, { interval: 60 }).toBe(3);
  const { utilization } = loop.take();
  expect(utilization).toBeGreaterThanOrEqual(0);
  expect(utilization).toBeLessThanOrEqual(1);
  loop.stop();
});
