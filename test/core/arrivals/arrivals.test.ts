import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Arrivals } from '../../../src/core/arrivals/arrivals.ts';
import { Root } from '../../../src/storage/root.ts';
import { StorageError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const INTERVAL_MS = 20;
const FOR_LONG_MS = 3_600_000;

async function start() {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const arrivals = new Arrivals(root, INTERVAL_MS);
  onTestFinished(() => arrivals.close());
  const wait = (name: string, timeoutMs = FOR_LONG_MS) =>
    arrivals.wait(ResourcePath.parse(name), timeoutMs, new AbortController().signal);
  const at = (name: string) => path.join(directory, name);
  return { root, arrivals, wait, at };
}

/** Resolves when the root was looked at so many times more. */
async function looks(stat: { mock: { calls: unknown[] } }, count: number): Promise<void> {
  const before = stat.mock.calls.length;
  await waitFor(() => stat.mock.calls.length >= before + count, `${count} looks`);
}

describe('waiting for a file', () => {
  it('ends when another program has made it', async () => {
    const { root, wait, at } = await start();
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('f');
    await looks(stat, 5);
    await writeFile(at('f'), '');
    expect(await arrived).toBe(true);
  });

  it('ends when it was made in directories that were not there either', async () => {
    const { root, wait, at } = await start();
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('a/b/c/f');
    await looks(stat, 5);
    await mkdir(at('a/b'), { recursive: true });
    await looks(stat, 20);
    await mkdir(at('a/b/c'));
    await writeFile(at('a/b/c/f'), '');
    expect(await arrived).toBe(true);
  });

  it('goes on when the directory is taken away and made anew', async () => {
    const { root, wait, at } = await start();
    await mkdir(at('a/b'), { recursive: true });
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('a/b/f');
    await looks(stat, 20);
    await rm(at('a'), { recursive: true });
    await looks(stat, 20);
    await mkdir(at('a/b'), { recursive: true });
    await writeFile(at('a/b/f'), '');
    expect(await arrived).toBe(true);
  });

  it('ends when what a symlink leads to has come, which changes nothing where the symlink is', async () => {
    const { root, wait, at } = await start();
    await mkdir(at('d'));
    await symlink('d/target', at('link'));
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('link');
    await looks(stat, 5);
    await writeFile(at('d/target'), '');
    expect(await arrived).toBe(true);
  });

  it('goes on while there is a directory in its place', async () => {
    const { root, wait, at } = await start();
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('f');
    await mkdir(at('f'));
    await looks(stat, 10);
    await rm(at('f'), { recursive: true });
    await writeFile(at('f'), '');
    expect(await arrived).toBe(true);
  });

  it('ends at once when it is told, without a look', async () => {
    const { root, arrivals, wait } = await start();
    const stat = vi.spyOn(root, 'stat');
    const arrived = wait('f');
    arrivals.notify(ResourcePath.parse('/f'));
    expect(await arrived).toBe(true);
    expect(stat).not.toHaveBeenCalled();
  });

  it('ends when the disk does not tell what is there, which whoever opens it is told', async () => {
    const { root, wait } = await start();
    const arrived = wait('f');
    vi.spyOn(root, 'stat').mockRejectedValue(new StorageError("the server's file system refused"));
    expect(await arrived).toBe(true);
  });

  it('ends without it when the time is over, or nobody waits any longer', async () => {
    const { arrivals, wait } = await start();
    expect(await wait('f', 1)).toBe(false);
    const waits = ['f', 'd/f'].map((name) => wait(name));
    arrivals.close();
    expect(await Promise.all(waits)).toEqual([false, false]);
    expect(await wait('f')).toBe(false);
  });

  it('ends when its client goes', async () => {
    const { arrivals } = await start();
    const aborter = new AbortController();
    const arrived = arrivals.wait(ResourcePath.parse('f'), FOR_LONG_MS, aborter.signal);
    aborter.abort(new Error('gone'));
    await expect(arrived).rejects.toThrow('gone');
  });
});

describe('thousands that wait for different files', () => {
  const COUNT = 3000;

  it.each([
    ['in one directory', (i: number) => `d/f${i}`],
    ['in as many directories that are missing', (i: number) => `d${i}/f`],
  ])('%s cost no more looks at a time than a few do', async (_where, nameOf) => {
    const { root, wait, at } = await start();
    await mkdir(at('d'));
    const stat = vi.spyOn(root, 'stat');
    const names = vi.spyOn(root, 'names');
    const waits = Array.from({ length: COUNT }, (_, i) => wait(nameOf(i)));
    await looks(stat, 10);
    const [statsBefore, namesBefore, ticksBefore] = [
      stat.mock.calls.length,
      names.mock.calls.length,
      ticks(),
    ];
    await looks(stat, 1000);
    const passed = ticks() - ticksBefore;
    // 64 looks in each interval; one that is under way is not counted twice.
    expect(stat.mock.calls.length - statsBefore).toBeLessThan(65 * (passed + 2));
    expect(names.mock.calls.length - namesBefore).toBeLessThan(2 * (passed + 2));
    await mkdir(at('d7'));
    await writeFile(at(nameOf(7)), '');
    expect(await waits[7]).toBe(true);
  });
});

function ticks(): number {
  return performance.now() / INTERVAL_MS;
}
