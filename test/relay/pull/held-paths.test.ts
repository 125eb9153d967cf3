import { expect, onTestFinished, test, vi } from 'vitest';
import type { Copied } from '../../../src/relay/copies/copy-file.ts';
import { HeldPaths } from '../../../src/relay/pull/held-paths.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

const F = ResourcePath.parse('/f');

const HERE: Copied = {
  size: 10,
  generation: 7,
  outcome: { reason: 'finished' },
  isClosed: false,
  url: undefined,
  answer: undefined,
};

function start() {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return new HeldPaths();
}

test('somebody is expected back until the last one has not come in time', () => {
  const held = start();
  expect([held.holdMs(F), held.hold(F, 1000), held.hold(F, 500)]).toEqual([0, true, false]);
  vi.advanceTimersByTime(600);
  expect(held.holdMs(F)).toBe(400);
  expect(held.hold(F, 500)).toBe(false);
  vi.advanceTimersByTime(501);
  expect([held.holdMs(F), held.hold(F, 1000)]).toEqual([0, true]);
});

test('it is known there how far it was followed as long as somebody is expected back', () => {
  const held = start();
  held.hold(F, 1000);
  expect([held.track(F), held.track(F)]).toEqual([false, true]);
  vi.advanceTimersByTime(1000);
  held.hold(F, 1000);
  expect([held.track(F), held.track(F)]).toEqual([false, true]);
});

test('what is here is what was followed if it has its generation, and was not cut since', () => {
  const held = start();
  held.hold(F, 1000);
  const isSame = (from: number, generation?: number) =>
    held.isSame(F, HERE, { from, generation, holdMs: 1000 });
  expect([isSame(5, 7), isSame(5), isSame(5, 6)]).toEqual([true, true, false]);
  held.cut(F, 7);
  expect([isSame(5, 7), isSame(0, 7), isSame(5)]).toEqual([false, true, true]);
  vi.advanceTimersByTime(1000);
  expect(isSame(5, 7)).toBe(true);
});

test('what is no copy is what it is', () => {
  const held = start();
  const isSame = (here: 'local' | 'occupied' | undefined) => held.isSame(F, here, { generation: 7 });
  expect([isSame('local'), isSame('occupied'), isSame(undefined)]).toEqual([true, false, false]);
});
