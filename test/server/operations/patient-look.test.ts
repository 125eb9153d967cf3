import { expect, test } from 'vitest';
import { PatientLook } from '../../../src/server/operations/patient-look.ts';

test('a disk that hangs is asked once, and nobody waits for it for long', async () => {
  let count = 0;
  let answer = (_: number) => {};
  const look = new PatientLook(() => {
    count++;
    return new Promise<number>((resolve) => (answer = resolve));
  });
  expect(await Promise.all([look.take(), look.take()])).toEqual([undefined, undefined]);
  const late = look.take();
  expect(count).toBe(1);
  answer(5);
  expect(await late).toBe(5);
  const next = look.take();
  answer(6);
  expect([await next, count]).toEqual([6, 2]);
});

test('what the system does not say is not known', async () => {
  const look = new PatientLook(() => Promise.reject(new Error('there is no such call')));
  expect(await look.take()).toBeUndefined();
});
