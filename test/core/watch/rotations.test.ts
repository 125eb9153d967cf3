import { appendFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PathWatch } from '../../../src/core/watch/path-watch.ts';
import { RotatedFile } from '../../../src/core/watch/rotated-file.ts';
import { RotatedPath } from '../../../src/core/watch/rotated-path.ts';
import { Rotations } from '../../../src/core/watch/rotations.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const RESOURCE = ResourcePath.parse('/f');
const HOLD_MS = 100_000;

/** A file that is held, and nobody reads. */
async function holdFile({ intervalMs = 5, holdMs = HOLD_MS }: { intervalMs?: number; holdMs?: number } = {}) {
  const directory = await temporaryDirectory();
  const at = (name: string) => path.join(directory, name);
  await writeFile(at('f'), 'old');
  const root = await Root.open(directory);
  const rotations = new Rotations(root, new PathWatch(root, new WriteTurns()), intervalMs);
  onTestFinished(() => rotations.close());
  const file = await root.openRead(RESOURCE);
  rotations.hold(RESOURCE, file, { holdMs });
  await file.close();
  const { generation } = file.stat;
  const open = async (from = 0, wanted = generation) => {
    const opened = await rotations.open(RESOURCE, { generation: wanted, from, holdMs });
    await opened?.file.close();
    return opened;
  };
  /** As if nobody had written to it for a while. */
  const rest = (name: string) => utimes(at(name), 1, 1);
  return { at, root, rotations, file, generation, open, rest };
}

describe('a file that is held', () => {
  it('is to be had when it was renamed or deleted', async () => {
    const { at, rotations, generation } = await holdFile();
    await rename(at('f'), at('f.1'));
    await rm(at('f.1'));
    const opened = await rotations.open(RESOURCE, { generation, holdMs: HOLD_MS });
    expect(opened).toMatchObject({ size: 3, isReplaced: false, successor: undefined });
    expect((await opened?.file.read(0, 10))?.toString()).toBe('old');
    await opened?.file.close();
  });

  it('is to be had however often others ask for it', async () => {
    const { rotations, generation } = await holdFile();
    const ask = () =>
      rotations.open(RESOURCE, { generation, holdMs: HOLD_MS }).then((opened) => opened?.file.close());
    let isAnswered = false;
    const asked: Promise<unknown>[] = [];
    // In each turn somebody asks, and a look takes several.
    for (let turns = 0; !isAnswered && turns < 10_000; turns++) {
      asked.push(
        ask().then(() => {
          isAnswered = true;
        }),
      );
      await nextTurn();
    }
    expect(isAnswered).toBe(true);
    await Promise.all(asked);
  });

  it('has a successor when that has bytes, and nobody has written to it for a while', async () => {
    const { at, open, rest } = await holdFile();
    await rename(at('f'), at('f.1'));
    await writeFile(at('f'), '');
    await rest('f.1');
    expect(await open()).toMatchObject({ isReplaced: true, successor: undefined });
    await writeFile(at('f'), 'new');
    await appendFile(at('f.1'), 'er');
    expect(await open()).toMatchObject({ size: 5, successor: undefined });
    await rest('f.1');
    expect((await open())?.successor).toMatchObject({ isUnsure: false });
  });

  it('has one after ten seconds in which it is still written to, of whose end nobody is sure then', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { at, open, rest } = await holdFile();
    await rename(at('f'), at('f.1'));
    await writeFile(at('f'), 'new');
    const write = () => utimes(at('f.1'), new Date(Date.now() + 60_000), new Date(Date.now() + 60_000));
    await write();
    expect((await open())?.successor).toBeUndefined();
    vi.advanceTimersByTime(10_001);
    expect((await open())?.successor).toMatchObject({ isUnsure: true });
    await rest('f.1');
    expect((await open())?.successor).toMatchObject({ isUnsure: false });
  });

  it('has one that is empty, when another has come after that', async () => {
    const { at, open, rest } = await holdFile();
    await rename(at('f'), at('f.1'));
    await rest('f.1');
    await writeFile(at('f'), '');
    expect((await open())?.successor).toBeUndefined();
    await rename(at('f'), at('f.2'));
    await writeFile(at('f'), 'new');
    const successor = (await open())?.successor;
    await rest('f.2');
    expect(await open(0, successor?.generation)).toMatchObject({ size: 0, isReplaced: true });
  });

  it('is cut for those who were beyond its end, be it as long again, and for nobody else', async () => {
    const { at, rotations, file, open } = await holdFile();
    const { generation } = file.stat;
    rotations.hold(RESOURCE, file, { generation, holdMs: HOLD_MS }, 3);
    await appendFile(at('f'), 'er text');
    expect(await open(3)).toMatchObject({ size: 10, isCut: false });
    await truncate(at('f'), 1);
    expect(await open(0)).toMatchObject({ size: 1, isCut: false });
    await appendFile(at('f'), 'nother text');
    expect(await open(1)).toMatchObject({ isCut: false });
    expect(await open(3)).toMatchObject({ size: 12, isCut: true, sizeBeforeCut: 10 });
    // Somebody has got there since.
    rotations.hold(RESOURCE, file, { generation, holdMs: HOLD_MS }, 3);
    expect(await open(3)).toMatchObject({ isCut: false });
  });

  it('is let go when nobody comes back in time', async () => {
    const { open } = await holdFile({ holdMs: 1 });
    await waitFor(async () => (await open()) === undefined, 'it to be let go');
  });

  it('is let go when it was deleted here, and others stay', async () => {
    const { rotations, file, open, at } = await holdFile();
    await rename(at('f'), at('f.1'));
    await writeFile(at('f'), 'new');
    expect(await open()).toMatchObject({ isReplaced: true });
    rotations.forget(`${file.stat.identity}0`);
    expect(await open()).toBeDefined();
    rotations.forget(file.stat.identity);
    expect(await open()).toBeUndefined();
  });

  it('leads to nothing that was deleted here, but to what was there after that, and it is told that something is missing', async () => {
    const { at, root, rotations, open, rest } = await holdFile();
    await rename(at('f'), at('f.1'));
    await rest('f.1');
    await writeFile(at('f'), '');
    expect(await open()).toMatchObject({ isReplaced: true });
    const first = await root.stat(RESOURCE);
    await rm(at('f'));
    rotations.forget(first.identity);
    expect(await open()).toMatchObject({ size: 3, isReplaced: false, successor: undefined });
    await writeFile(at('f'), 'second');
    const second = await root.stat(RESOURCE);
    expect((await open())?.successor).toMatchObject({ generation: second.generation });
    await rename(at('f'), at('f.2'));
    await writeFile(at('f'), 'third');
    expect(await open(0, second.generation)).toMatchObject({ isReplaced: true });
    rotations.forget(second.identity);
    const third = await root.stat(RESOURCE);
    expect((await open())?.successor).toEqual({ generation: third.generation, isUnsure: true });
  });

  it('is looked at in each interval, however many others are, whether it is cut', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { root, rotations, at } = await holdFile();
    const names = Array.from({ length: 100 }, (_, i) => `${i}`);
    const generations = await Promise.all(
      names.map(async (name) => {
        await writeFile(at(name), 'old');
        const file = await root.openRead(ResourcePath.parse(`/${name}`));
        rotations.hold(ResourcePath.parse(`/${name}`), file, { holdMs: HOLD_MS }, 3);
        await file.close();
        await truncate(at(name), 0);
        return file.stat.generation;
      }),
    );
    const tidying = vi.spyOn(RotatedPath.prototype, 'tidy');
    onTestFinished(() => tidying.mockRestore());
    vi.advanceTimersByTime(5);
    await waitFor(() => tidying.mock.calls.length > 100, 'an interval');
    await Promise.all(tidying.mock.results.map(({ value }) => value));
    const asked = await Promise.all(
      names.map(async (name, i) => {
        await writeFile(at(name), 'new text');
        const request = { generation: generations[i] as number, from: 3, holdMs: HOLD_MS };
        const opened = await rotations.open(ResourcePath.parse(`/${name}`), request);
        await opened?.file.close();
        return opened?.isCut;
      }),
    );
    expect(asked.filter((isCut) => isCut)).toHaveLength(100);
  });

  it('is looked at no more where the system tells, until it is touched', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const looking = vi.spyOn(RotatedFile.prototype, 'lookForCut');
    const tidying = vi.spyOn(RotatedPath.prototype, 'tidy');
    onTestFinished(() => [looking, tidying].forEach((spy) => void spy.mockRestore()));
    const { at } = await holdFile();
    /** Resolves when it has had its turn. */
    const interval = async () => {
      const before = tidying.mock.calls.length;
      vi.advanceTimersByTime(5);
      await waitFor(() => tidying.mock.calls.length > before, 'an interval');
      await tidying.mock.results.at(-1)?.value;
    };
    for (let intervals = 0; intervals < 10; intervals++) await interval();
    expect(looking).toHaveBeenCalledTimes(1);
    await truncate(at('f'), 1);
    await waitFor(async () => {
      await interval();
      return looking.mock.calls.length > 1;
    }, 'a look at the file that was cut');
    await rename(at('f'), at('f.1'));
    // By that name nobody is told.
    await waitFor(async () => {
      const before = looking.mock.calls.length;
      await interval();
      await interval();
      return looking.mock.calls.length === before + 2;
    }, 'a look in each interval');
  });

  it('is let go an hour after it has gone from its path, however often somebody comes back', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { open, at } = await holdFile({ intervalMs: NEVER_MS });
    const passing = async (milliseconds: number) => {
      for (let at = 0; at < milliseconds; at += HOLD_MS / 2) {
        vi.advanceTimersByTime(HOLD_MS / 2);
        if ((await open()) === undefined) return 'let go';
      }
      return 'held';
    };
    expect(await passing(7_200_000)).toBe('held');
    await rename(at('f'), at('f.1'));
    expect(await passing(3_500_000)).toBe('held');
    expect(await passing(200_000)).toBe('let go');
  });

  it('is held as long as it is read', async () => {
    const { root, rotations, open } = await holdFile({ holdMs: 1 });
    const file = await root.openRead(RESOURCE);
    // By two who follow it through one open file.
    rotations.hold(RESOURCE, file, { holdMs: 1 });
    rotations.hold(RESOURCE, file, { holdMs: 1 });
    const look = vi.spyOn(RotatedPath.prototype, 'tidy');
    onTestFinished(() => look.mockRestore());
    await waitFor(() => look.mock.calls.length > 5, 'some looks');
    expect(file.isShared).toBe(true);
    await file.close();
    await waitFor(async () => (await open()) === undefined, 'it to be let go');
  });

  it('stays held however many others come, which are not when there is no room; and goes when the server closes', async () => {
    const { root, rotations, at, open } = await holdFile();
    const held = await Promise.all(
      Array.from({ length: 257 }, async (_, i) => {
        await writeFile(at(`${i}`), '');
        const resource = ResourcePath.parse(`/${i}`);
        const file = await root.openRead(resource);
        onTestFinished(() => file.close());
        rotations.hold(resource, file, { holdMs: HOLD_MS });
        return file;
      }),
    );
    expect(held.filter(({ isShared }) => isShared)).toHaveLength(255);
    expect(await open()).toBeDefined();
    await rotations.close();
    expect(held.some(({ isShared }) => isShared)).toBe(false);
  });
});
