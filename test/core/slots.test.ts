import { expect, test } from 'vitest';
import { Slots } from '../../src/core/slots.ts';

test('who waits for a slot leaves the line when told to, and the others move up', async () => {
  const slots = new Slots(1);
  const begun: string[] = [];
  let finish = () => {};
  const first = slots.run(() => {
    begun.push('first');
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  const leaving = new AbortController();
  const second = slots.run(async () => void begun.push('second'), leaving);
  const third = slots.run(async () => void begun.push('third'));
  const reason = new Error('gone');
  leaving.abort(reason);
  await expect(second).rejects.toBe(reason);
  finish();
  await Promise.all([first, third]);
  expect(begun).toEqual(['first', 'third']);
  // The slot is free again, and who is told before does not begin.
  await expect(slots.run(async () => 'never', leaving)).rejects.toBe(reason);
  expect(await slots.run(async () => 'fourth')).toBe('fourth');
});
