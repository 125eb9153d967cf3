import { expect, test } from 'vitest';
import { PullProgress, type PullState } from '../../../src/relay/pull/pull-state.ts';
import { failed, stored } from '../../../src/relay/pull/verdict.ts';

const STORING: PullState = { phase: 'storing', isReadable: false, isConnected: true };

const isTold = (progress: PullProgress) =>
  Promise.race([progress.told.then(() => true), new Promise((resolve) => setImmediate(resolve, false))]);

test('a pull goes forward only, and its first verdict stays', () => {
  const progress = new PullProgress();
  const first = failed(new Error('first'));
  expect(progress.become(STORING)).toBe(true);
  expect(progress.become({ phase: 'waiting' })).toBe(false);
  expect(progress.become({ phase: 'ending', verdict: first })).toBe(true);
  expect(progress.become({ phase: 'ending', verdict: stored('hit') })).toBe(false);
  expect(progress.become(STORING)).toBe(false);
  progress.become({ phase: 'over', verdict: stored('hit') });
  expect(progress.state).toEqual({ phase: 'over', verdict: first });
});

test('who asks is told when it is known what becomes of him', async () => {
  const progress = new PullProgress();
  expect(await isTold(progress)).toBe(false);
  progress.become({ phase: 'waiting' });
  expect(await isTold(progress)).toBe(true);
  progress.become(STORING);
  const told = progress.told;
  expect(await isTold(progress)).toBe(false);
  progress.become({ ...STORING, isReadable: true });
  await told;
});
