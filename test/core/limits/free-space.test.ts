import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FreeSpaceWatch, type MinFree } from '../../../src/core/limits/free-space.ts';
import { StorageFullError } from '../../../src/wire/errors.ts';

const MiB = 1024 * 1024;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** One of a disk with so much free, and how often it was looked at. */
function watchOf(minFree: MinFree, totalBytes = 100_000 * MiB, totalFiles = 1_000_000) {
  const free = { bytes: totalBytes, files: totalFiles, totalBytes, totalFiles };
  const look = vi.fn(() => ({ ...free }));
  const ask = vi.fn(async () => look());
  const exhausted = vi.fn();
  const watch = new FreeSpaceWatch({ directory: '/', minFree, exhausted, look, ask });
  /** Counts what was written; resolves when that was looked at, if it was. */
  const write = async (bytes: number) => {
    watch.written(bytes);
    await nextTurn();
  };
  return { watch, free, look, ask, exhausted, write };
}

const refused = (watch: FreeSpaceWatch) => {
  try {
    watch.assertForNew();
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('what stays free by default', () => {
  test.each([
    ['256 MiB of a large disk', 100_000, 256],
    ['a twentieth of a small one', 100, 5],
  ])('is %s', (_what, totalMiB, leastMiB) => {
    const { watch, free } = watchOf({ bytes: undefined, files: undefined }, totalMiB * MiB);
    free.bytes = leastMiB * MiB;
    expect(refused(watch)).toBeUndefined();
    free.bytes--;
    vi.advanceTimersByTime(1000);
    expect(refused(watch)).toBeInstanceOf(StorageFullError);
    expect((refused(watch) as Error).message).toContain('bytes');
  });

  test.each([
    ['1,000 files of many', 1_000_000, 1000],
    ['a twentieth of few', 500, 25],
  ])('is %s', (_what, totalFiles, least) => {
    const { watch, free } = watchOf({ bytes: undefined, files: undefined }, undefined, totalFiles);
    free.files = least;
    expect(refused(watch)).toBeUndefined();
    free.files--;
    vi.advanceTimersByTime(1000);
    expect((refused(watch) as Error).message).toContain('inodes');
  });

  test('counts no files where the system has no number of them', () => {
    const { watch, free } = watchOf({ bytes: undefined, files: undefined }, undefined, 0);
    free.files = Number.POSITIVE_INFINITY;
    expect(refused(watch)).toBeUndefined();
  });
});

test('below it nothing new begins until there is room again, and what lives goes on; below half of it that ends', async () => {
  const { watch, free, exhausted, write } = watchOf({ bytes: 10 * MiB, files: 0 });
  free.bytes = 5 * MiB;
  await write(16 * MiB);
  expect(refused(watch)).toBeInstanceOf(StorageFullError);
  watch.assertForMore();
  expect(exhausted).not.toHaveBeenCalled();
  free.bytes--;
  await write(16 * MiB);
  expect(exhausted).toHaveBeenCalledWith(expect.any(StorageFullError));
  expect(() => watch.assertForMore()).toThrow(StorageFullError);
  free.bytes = 10 * MiB;
  expect(refused(watch)).toBeUndefined();
});

test('it is looked at after 16 MiB, after a second in which anything was written, and never otherwise', async () => {
  const { look, write } = watchOf({ bytes: 1, files: 1 });
  await write(8 * MiB);
  expect(look).not.toHaveBeenCalled();
  await write(8 * MiB);
  expect(look).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(60_000);
  expect(look).toHaveBeenCalledTimes(1);
  await write(1);
  vi.advanceTimersByTime(999);
  expect(look).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  expect(look).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(60_000);
  expect(look).toHaveBeenCalledTimes(2);
});

test('a disk that does not answer is asked once, and again for what was written meanwhile; after the close nobody is told', async () => {
  const { watch, free, ask, exhausted, write } = watchOf({ bytes: 10 * MiB, files: 0 });
  let answer = () => {};
  const hanging = () =>
    new Promise<typeof free>((resolve) => {
      answer = () => resolve({ ...free, bytes: 1 });
    });
  ask.mockImplementation(hanging);
  for (let i = 0; i < 5; i++) await write(16 * MiB);
  vi.advanceTimersByTime(60_000);
  expect(ask).toHaveBeenCalledTimes(1);
  answer();
  await nextTurn();
  expect(exhausted).toHaveBeenCalledTimes(1);
  expect(ask).toHaveBeenCalledTimes(2);
  watch.close();
  answer();
  await nextTurn();
  await write(16 * MiB);
  expect(exhausted).toHaveBeenCalledTimes(1);
  expect(ask).toHaveBeenCalledTimes(2);
});

test('what begins costs a look in a second at most', () => {
  const { watch, look } = watchOf({ bytes: 1, files: 1 });
  for (let i = 0; i < 100; i++) watch.assertForNew();
  expect(look).toHaveBeenCalledTimes(1);
});

test('a disk of which the system tells nothing refuses by itself', () => {
  const { watch, look } = watchOf({ bytes: Number.MAX_SAFE_INTEGER, files: 0 });
  look.mockImplementation(() => {
    throw new Error('no statfs here');
  });
  expect(refused(watch)).toBeUndefined();
});
