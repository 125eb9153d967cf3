import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Reserve } from '../../src/storage/reserve.ts';
import { temporaryDirectory } from '../support/server.ts';

const nameIn = (directory: string) => path.join(directory, 'own/reserve');

describe('room that is kept', () => {
  test('is there for the next server, and free when it is given up, once', async () => {
    const name = nameIn(await temporaryDirectory());
    const first = new Reserve(name);
    expect([first.isThere, await first.release()]).toEqual([false, false]);
    await first.make();
    const { size, blocks } = await stat(name);
    expect(first.isThere).toBe(true);
    expect(size).toBeGreaterThanOrEqual(256 * 1024);
    // It is not a hole.
    expect(blocks * 512).toBeGreaterThanOrEqual(size);

    const next = new Reserve(name);
    await next.find();
    expect(next.isThere).toBe(true);
    expect([await next.release(), next.isThere, await next.release()]).toEqual([true, false, false]);
    await expect(stat(name)).rejects.toThrow('ENOENT');
    await next.make();
    expect((await stat(name)).size).toBe(size);
  });

  test('is made by several at once as by one, and given up only when it is made', async () => {
    const name = nameIn(await temporaryDirectory());
    const reserve = new Reserve(name);
    const made = [reserve.make(), reserve.make()];
    expect(await reserve.release()).toBe(true);
    await Promise.all(made);
    await expect(stat(name)).rejects.toThrow('ENOENT');
  });

  test('is made anew when it was not finished', async () => {
    const directory = await temporaryDirectory();
    const name = path.join(directory, 'reserve');
    await writeFile(name, 'not finished');
    const reserve = new Reserve(name);
    await reserve.find();
    expect(reserve.isThere).toBe(false);
    await reserve.make();
    expect((await stat(name)).size).toBeGreaterThanOrEqual(256 * 1024);
  });

  test('is none, and no error, where there can be none', async () => {
    const directory = await temporaryDirectory();
    await writeFile(path.join(directory, 'own'), 'a file');
    const reserve = new Reserve(nameIn(directory));
    await reserve.find();
    await reserve.make();
    expect(reserve.isThere).toBe(false);
  });
});
