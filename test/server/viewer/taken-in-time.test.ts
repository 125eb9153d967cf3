import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { takenInTime } from '../../../src/server/viewer/taken-in-time.ts';
import { NEVER_MS } from '../../support/patience.ts';

async function* numbers(pauseMs: number) {
  for (const number of [1, 2]) {
    await delay(pauseMs);
    yield number;
  }
}

it('tells when nobody takes what is next', async () => {
  await new Promise<void>((late) => void takenInTime(numbers(0), 1, late).next());
});

it('passes on what is taken, however long it takes to come', async () => {
  const taken: number[] = [];
  const late = () => {
    throw new Error('late');
  };
  for await (const number of takenInTime(numbers(20), NEVER_MS, late)) taken.push(number);
  expect(taken).toEqual([1, 2]);
});
