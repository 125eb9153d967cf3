import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Sidecar, SidecarStore } from '../../../src/storage/records/sidecar-store.ts';
import { HttpfstreamError } from '../../../src/wire/errors.ts';
import { temporaryDirectory } from '../../support/server.ts';

const NOT_DURABLE = { durable: false };

const sidecar = (start = 0): Sidecar => ({
  path: 'f',
  append: { session: 'x'.repeat(16), start, state: 'open' },
});

async function openStore() {
  const root = await temporaryDirectory();
  const directory = path.join(root, '.httpfstream', 'meta');
  const files = async () =>
    (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.join(parentPath, name));
  const reopen = () => new SidecarStore(directory, path.join(root, '.httpfstream', 'aside'));
  return { root, store: reopen(), files, reopen };
}

describe('what is remembered of a resource', () => {
  test.each([false, true])('is what was written last (durable: %s)', async (durable) => {
    const { store } = await openStore();
    expect(await store.read('1-1')).toBeUndefined();
    await store.write('1-1', sidecar(1), { durable });
    await store.write('1-1', sidecar(2), { durable });
    expect(await store.read('1-1')).toEqual(sidecar(2));
  });

  test('says nothing of a file that was made anew', async () => {
    const { store } = await openStore();
    await store.write('1-1', sidecar(), NOT_DURABLE);
    expect(await store.read('1-2')).toBeUndefined();
  });

  test('may be looked at in passing, of which nothing is kept', async () => {
    const { store, reopen } = await openStore();
    expect(await store.peek('1-1')).toBeUndefined();
    await reopen().write('1-1', sidecar(1), NOT_DURABLE);
    expect(await store.peek('1-1')).toEqual(sidecar(1));
    await reopen().write('1-1', sidecar(2), NOT_DURABLE);
    expect(await store.peek('1-1')).toEqual(sidecar(2));
  });

  test('is kept apart for every file', async () => {
    const { store } = await openStore();
    const files = ['1-1', '1-2', '2-1', '11-1', '1-11', '18446744073709551615-9007199254740991'];
    for (const [i, file] of files.entries()) await store.write(file, sidecar(i), NOT_DURABLE);
    for (const [i, file] of files.entries()) expect((await store.read(file))?.append?.start).toBe(i);
    await store.remove('1-1');
    expect(await store.read('1-1')).toBeUndefined();
    expect((await store.read('1-2'))?.append?.start).toBe(1);
  });

  test('may be forgotten twice', async () => {
    const { store } = await openStore();
    await store.write('1-1', sidecar(), NOT_DURABLE);
    await store.remove('1-1');
    await store.remove('1-1');
    expect(await store.read('1-1')).toBeUndefined();
  });

  test.each(['', '{', 'null', '[]', '"x"', '{"generation":1}', '{"generation":1,"append":{}}'])(
    'says that something broke when the document is %j, and is written anew',
    async (text) => {
      const { store: before, files, reopen } = await openStore();
      await before.write('1-1', sidecar(), NOT_DURABLE);
      const [file] = await files();
      await writeFile(file as string, text);
      const store = reopen();
      expect((await store.read('1-1'))?.append?.state).toBe('interrupted');
      await store.write('1-1', sidecar(7), NOT_DURABLE);
      expect((await store.read('1-1'))?.append?.start).toBe(7);
    },
  );

  test('is one whole document whoever writes at the same time, with nothing left over', async () => {
    const { store, files } = await openStore();
    const numbers = Array.from({ length: 30 }, (_, i) => i);
    await Promise.all(numbers.map((i) => store.write('1-1', sidecar(i), NOT_DURABLE)));
    expect(numbers).toContain((await store.read('1-1'))?.append?.start);
    const left = await files();
    expect(left).toHaveLength(1);
    expect(JSON.parse(await readFile(left[0] as string, 'utf8')).path).toBe('f');
  });

  test('is for the user of the server alone', async () => {
    const { root, store, files } = await openStore();
    await store.write('1-1', sidecar(), NOT_DURABLE);
    for (const name of [path.join(root, '.httpfstream'), ...(await files())]) {
      expect([name, (await stat(name)).mode & 0o077]).toEqual([name, 0]);
    }
  });

  test('that cannot be written is an error of ours, leaves the old one, and nothing beside it', async () => {
    const { root, store, files } = await openStore();
    await store.write('1-1', sidecar(), NOT_DURABLE);
    const [file] = await files();
    await rm(file as string);
    await mkdir(file as string);
    await expect(store.write('1-1', sidecar(1), NOT_DURABLE)).rejects.toBeInstanceOf(HttpfstreamError);
    expect(await files()).toEqual([]);
    await rm(path.join(root, '.httpfstream'), { recursive: true });
    await writeFile(path.join(root, '.httpfstream'), 'somebody else’s');
    await expect(store.write('1-1', sidecar(1), NOT_DURABLE)).rejects.toBeInstanceOf(HttpfstreamError);
    expect(await readFile(path.join(root, '.httpfstream'), 'utf8')).toBe('somebody else’s');
  });
});
