import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Reloads } from '../../../src/cli/server/reloads.ts';

test('what cannot be read again is told, keeps nothing else from it, and counts as not current until it can', async () => {
  const log: string[] = [];
  const reloads = new Reloads(pino({}, { write: (line) => void log.push(line) }));
  let failure: Error | undefined = new Error('it is broken');
  let count = 0;
  const first = {
    isCurrent: true,
    reload: async () => {
      if (failure !== undefined) throw failure;
    },
  };
  const second = { isCurrent: true, reload: async () => void count++ };
  reloads.add('first', first);
  reloads.add('second', second);
  await reloads.begin();
  expect(reloads.isCurrent).toBe(true);
  await reloads.run();
  expect([reloads.isCurrent, count]).toEqual([false, 1]);
  expect(log.join()).toMatch(/it is broken.*first cannot be reloaded/);
  failure = undefined;
  await reloads.run();
  expect([reloads.isCurrent, count]).toEqual([true, 2]);
  // What reads by itself that it has changed.
  second.isCurrent = false;
  expect(reloads.isCurrent).toBe(false);
});

test('what is asked for before all is there is done then', async () => {
  const reloads = new Reloads(pino({ level: 'silent' }));
  let count = 0;
  const reloadable = { isCurrent: true, reload: async () => void count++ };
  reloads.add('first', reloadable);
  await reloads.run();
  reloads.add('second', reloadable);
  expect(count).toBe(0);
  await reloads.begin();
  expect(count).toBe(2);
});
