import { setImmediate as aTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { LiveNames } from '../../../src/core/sessions/live-names.ts';
import {
  DirectoryWatches,
  type DirectoryWatchesDependencies,
} from '../../../src/core/watch/directory-watches.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A directory of which the system notifies or not; what its only listener is told. */
async function watched() {
  const stat = { kind: 'directory', identity: '1', mtimeNs: 1n };
  let notify: (name: string) => void = () => {};
  const told: string[] = [];
  const watches = new DirectoryWatches({
    root: {
      stat: async () => ({ ...stat }),
      entries: {
        watch: (_path: unknown, changed: (name: string) => void) => {
          notify = changed;
          return () => {};
        },
      },
    },
    directories: { entry: async () => undefined },
    liveNames: new LiveNames(),
  } as unknown as DirectoryWatchesDependencies);
  const permit = { path: ResourcePath.parse('/d/') } as Parameters<DirectoryWatches['watch']>[0];
  const leave = await watches.watch(permit, {
    changed: (changes) => void told.push(...changes.map(({ name }) => name)),
    changedAll: () => void told.push('all'),
    gone: () => void told.push('gone'),
  });
  onTestFinished(leave);
  return { stat, told, notify: (name: string) => notify(name) };
}

it('has everything looked at anew when a directory has changed, and the system does not say where', async () => {
  const { stat, told } = await watched();
  await vi.advanceTimersByTimeAsync(3000);
  expect(told).toEqual([]);
  stat.mtimeNs = 2n;
  await vi.advanceTimersByTimeAsync(3000);
  expect(told).toEqual(['all']);
});

it('goes by what the system says, also when that comes after the look', async () => {
  const { stat, told, notify } = await watched();
  await vi.advanceTimersByTimeAsync(3000);
  stat.mtimeNs = 2n;
  await vi.advanceTimersByTimeAsync(1000);
  notify('f');
  await vi.advanceTimersByTimeAsync(3000);
  notify('g');
  stat.mtimeNs = 3n;
  await vi.advanceTimersByTimeAsync(3000);
  expect(told).toEqual(['f', 'g']);
});

/** Very many directories, and at which it was looked, in order. A look takes as long as a test says. */
function manyDirectories() {
  const looks: string[] = [];
  const look = { takesMs: 0 };
  let nowMs = 0;
  const now = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => now.mockRestore());
  const watches = new DirectoryWatches({
    root: {
      stat: async ({ key }: ResourcePath) => {
        looks.push(key);
        nowMs += look.takesMs;
        return { kind: 'directory', identity: key, mtimeNs: 1n };
      },
      entries: { watch: () => () => {} },
    },
    directories: { entry: async () => undefined },
    liveNames: new LiveNames(),
  } as unknown as DirectoryWatchesDependencies);
  const watch = async (name: string) => {
    const permit = { path: ResourcePath.parse(`/${name}/`) } as Parameters<DirectoryWatches['watch']>[0];
    const leave = await watches.watch(permit, { changed() {}, changedAll() {}, gone() {} });
    onTestFinished(leave);
    return leave;
  };
  return { looks, look, watch };
}

const NAMES = Array.from({ length: 200 }, (_, i) => `d${i}`);

it('looks at a directory that somebody begins to watch, and not at the others', async () => {
  const { looks, watch } = manyDirectories();
  for (const name of NAMES) await watch(name);
  expect(new Set(looks.splice(0))).toEqual(new Set(NAMES));
  await watch('d0');
  await watch('another');
  expect(new Set(looks)).toEqual(new Set(['d0', 'another']));
});

it('looks at all of them once a second, and lets everybody else have turns meanwhile', async () => {
  const { looks, look, watch } = manyDirectories();
  for (const name of NAMES) await watch(name);
  looks.length = 0;
  look.takesMs = 1;
  vi.advanceTimersByTime(1000);
  const inTurns: number[] = [];
  for (; looks.length < NAMES.length; await aTurn()) inTurns.push(looks.length);
  expect(looks).toEqual(NAMES);
  expect(inTurns.length).toBeGreaterThanOrEqual(NAMES.length / 5);
});

it('does not go on with a round when nobody wants to know any more, and begins another for who comes then', async () => {
  const { looks, look, watch } = manyDirectories();
  const leaves = await Promise.all(NAMES.map(watch));
  looks.length = 0;
  look.takesMs = 1;
  vi.advanceTimersByTime(1000);
  await aTurn();
  expect(looks.length).toBeLessThan(NAMES.length);
  const before = looks.length;
  for (const leave of leaves) leave();
  await aTurn();
  await aTurn();
  expect(looks.length).toBe(before);
  await watch('new');
  looks.length = 0;
  vi.advanceTimersByTime(1000);
  await aTurn();
  expect(looks).toEqual(['new']);
});
