import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
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
    overview: { resources: () => [] },
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
