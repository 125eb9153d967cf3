import { expect, it, onTestFinished, vi } from 'vitest';
import { Pace } from '../../../src/storage/root/pace.ts';

it('looks that have taken long make room for a turn of everybody else, and others do not', async () => {
  let nowMs = 0;
  const now = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => now.mockRestore());
  const pace = new Pace();
  let turns = 0;
  setImmediate(() => turns++);
  nowMs = 4;
  await pace.rest();
  expect(turns).toBe(0);
  nowMs = 5;
  await pace.rest();
  expect(turns).toBe(1);
  setImmediate(() => turns++);
  nowMs = 9;
  await pace.rest();
  expect(turns).toBe(1);
});
