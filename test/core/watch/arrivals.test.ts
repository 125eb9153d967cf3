import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { Arrivals } from '../../../src/core/watch/arrivals.ts';
import { PathWatch } from '../../../src/core/watch/path-watch.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { ServerClosingError, StorageError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const FOR_LONG_MS = 3_600_000;

async function start(sweepIntervalMs = 1000) {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const limits = { sweepIntervalMs, maxDirectories: 100 };
  const arrivals = new Arrivals(root, new PathWatch(root, new WriteTurns(), limits));
  onTestFinished(() => arrivals.close());
  const wait = (name: string, timeoutMs = FOR_LONG_MS) =>
    arrivals.wait(Permit.own(ResourcePath.parse(name)), timeoutMs, new AbortController().signal);
  const at = (name: string) => path.join(directory, name);
  return { root, arrivals, wait, at };
}

describe('waiting for a file', () => {
  it('ends when another program has made it, be it before anybody has looked', async () => {
    const { root, wait, at } = await start();
    const peek = vi.spyOn(root, 'peek');
    const [early, late] = [wait('early'), wait('late')];
    await writeFile(at('early'), '');
    expect(await early).toBe(true);
    await waitFor(() => peek.mock.calls.length >= 2, 'the first looks');
    await writeFile(at('late'), '');
    expect(await late).toBe(true);
  });

  it('ends for all who wait for it', async () => {
    const { wait, at } = await start();
    const waits = [wait('f'), wait('f')];
    await writeFile(at('f'), '');
    expect(await Promise.all(waits)).toEqual([true, true]);
    expect(await wait('f')).toBe(true);
  });

  it('ends when what a symlink leads to has come, which changes nothing where the symlink is', async () => {
    const { root, wait, at } = await start();
    await mkdir(at('d'));
    await symlink('d/target', at('link'));
    const peek = vi.spyOn(root, 'peek');
    const arrived = wait('link');
    await waitFor(() => peek.mock.calls.length > 0, 'the first look');
    await writeFile(at('d/target'), '');
    expect(await arrived).toBe(true);
  });

  it('goes on while symlinks lead round, or out of the root', async () => {
    const { root, wait, at } = await start();
    await symlink('round', at('round'));
    await symlink(import.meta.filename, at('out'));
    const peek = vi.spyOn(root, 'peek');
    const ended = vi.fn();
    const waits = ['round', 'out'].map((name) => wait(name).finally(ended));
    await waitFor(() => peek.mock.calls.length > 2, 'looks at each');
    expect(ended).not.toHaveBeenCalled();
    for (const name of ['round', 'out']) {
      await writeFile(at('new'), '');
      await rename(at('new'), at(name));
    }
    expect(await Promise.all(waits)).toEqual([true, true]);
  });

  it('goes on while there is a directory in its place', async () => {
    const { root, wait, at } = await start();
    await mkdir(at('f/below'), { recursive: true });
    const peek = vi.spyOn(root, 'peek');
    const arrived = wait('f');
    const below = wait('f/below/f');
    await waitFor(() => peek.mock.calls.length >= 2, 'the first looks');
    await writeFile(at('f/below/f'), '');
    expect(await below).toBe(true);
    await rm(at('f'), { recursive: true });
    await writeFile(at('f'), '');
    expect(await arrived).toBe(true);
  });

  it('ends at once when it is told, without a look', async () => {
    const { root, arrivals, wait } = await start();
    const peek = vi.spyOn(root, 'peek');
    const arrived = wait('f');
    arrivals.notify(ResourcePath.parse('/f'));
    expect(await arrived).toBe(true);
    expect(peek).not.toHaveBeenCalled();
  });

  it('begins with a look for who comes when it has just ended for others', async () => {
    const { root, arrivals, wait } = await start(NEVER_MS);
    const peek = vi.spyOn(root, 'peek');
    const first = wait('f');
    await waitFor(() => peek.mock.calls.length === 1, 'the first look');
    arrivals.notify(ResourcePath.parse('/f'));
    // Before those others have gone on.
    const second = wait('f');
    expect(await first).toBe(true);
    await waitFor(() => peek.mock.calls.length === 2, 'the second look');
    arrivals.close();
    await expect(second).rejects.toThrow(ServerClosingError);
  });

  it('ends when the disk does not tell what is there, which whoever opens it is told', async () => {
    const { root, wait } = await start();
    vi.spyOn(root, 'peek').mockImplementation(() => {
      throw new Error('EIO');
    });
    vi.spyOn(root, 'stat').mockRejectedValue(new StorageError("the server's file system refused"));
    expect(await wait('f')).toBe(true);
  });

  it('ends without it when the time is over, and is refused when the server closes', async () => {
    const { arrivals, wait } = await start();
    expect(await wait('f', 1)).toBe(false);
    const waits = ['f', 'd/f'].map((name) => wait(name));
    const refused = [...waits, wait('g')].map((waiting) =>
      expect(waiting).rejects.toThrow(ServerClosingError),
    );
    arrivals.close();
    await Promise.all(refused);
    await expect(wait('f')).rejects.toThrow(ServerClosingError);
  });

  it('ends when its client goes', async () => {
    const { arrivals } = await start();
    const aborter = new AbortController();
    const arrived = arrivals.wait(Permit.own(ResourcePath.parse('f')), FOR_LONG_MS, aborter.signal);
    aborter.abort(new Error('gone'));
    await expect(arrived).rejects.toThrow('gone');
  });
});
