import type { Stats } from 'node:fs';
import { readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Reserve } from '../../../src/storage/records/reserve.ts';
import { diskDirectory } from '../../support/server/server.ts';

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

async function filesIn(directory: string): Promise<Stats[]> {
  return Promise.all((await readdir(directory)).map((name) => stat(path.join(directory, name))));
}

const nameIn = (directory: string) => path.join(directory, 'own/reserve');

describe('room that is kept', () => {
  test('is there for the next server, and free when it is given up, once', async () => {
    const name = nameIn(await diskDirectory());
    const first = new Reserve(name);
    expect([first.isThere, await first.release()]).toEqual([false, false]);
    await first.make();
    const kept = await filesIn(name);
    expect(first.isThere).toBe(true);
    expect(sum(kept.map(({ size }) => size))).toBe(4 * 1024 * 1024);
    // There are no holes, and others find room for files.
    for (const { size, blocks } of kept) expect(blocks * 512).toBeGreaterThanOrEqual(size);
    expect(kept.length).toBeGreaterThanOrEqual(16);

    const next = new Reserve(name);
    await next.find();
    expect(next.isThere).toBe(true);
    expect([await next.release(), next.isThere, await next.release()]).toEqual([true, false, false]);
    await expect(stat(name)).rejects.toThrow('ENOENT');
    await next.make();
    expect(await filesIn(name)).toHaveLength(kept.length);
  });

  test('is made by several at once as by one, and given up only when it is made', async () => {
    const name = nameIn(await diskDirectory());
    const reserve = new Reserve(name);
    const made = [reserve.make(), reserve.make()];
    expect(await reserve.release()).toBe(true);
    await Promise.all(made);
    await expect(stat(name)).rejects.toThrow('ENOENT');
  });

  test.each([
    ['was not finished', (name: string) => truncate(path.join(name, '15'), 1000)],
    ['lacks a file', (name: string) => rm(path.join(name, '3'))],
    [
      'is one file',
      async (name: string) => {
        await rm(name, { recursive: true });
        await writeFile(name, Buffer.alloc(4 * 1024 * 1024));
      },
    ],
  ])('is made anew when it %s', async (_what, change) => {
    const name = nameIn(await diskDirectory());
    await new Reserve(name).make();
    await change(name);
    const reserve = new Reserve(name);
    await reserve.find();
    expect(reserve.isThere).toBe(false);
    await reserve.make(1024 * 1024);
    expect(sum((await filesIn(name)).map(({ size }) => size))).toBe(1024 * 1024);
  });

  test('is none, and no error, where there can be none', async () => {
    const directory = await diskDirectory();
    await writeFile(path.join(directory, 'own'), 'a file');
    const reserve = new Reserve(nameIn(directory));
    await reserve.find();
    await reserve.make();
    expect(reserve.isThere).toBe(false);
  });
});
