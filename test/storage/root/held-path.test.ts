import { close, constants } from 'node:fs';
import { mkdir, readdir, readFile, realpath, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as fileIo from '../../../src/storage/file-io.ts';
import { DescriptorHolder, NameHolder, pathHolder } from '../../../src/storage/root/held-path.ts';
import { diskDirectory } from '../../support/server/server.ts';

const isLinux = process.platform === 'linux';

/** A directory with a file that is swapped for a symlink to another one. */
async function makeDirectories() {
  const base = await realpath(await diskDirectory());
  const at = (...names: string[]) => path.join(base, ...names);
  await mkdir(at('d'));
  await mkdir(at('outside'));
  await writeFile(at('d', 'f'), 'inside');
  await writeFile(at('outside', 'f'), 'secret');
  const swap = async () => {
    await rename(at('d'), at('moved'));
    await symlink(at('outside'), at('d'));
  };
  return { at, swap };
}

describe('the holder for a machine', () => {
  it('holds descriptors where they are paths, too', async () => {
    const holder = pathHolder(await realpath(await diskDirectory()));
    expect(holder).toBeInstanceOf(isLinux ? DescriptorHolder : NameHolder);
  });
});

describe.runIf(isLinux)('a descriptor that is held', () => {
  it('leads to what was looked up, whatever the name leads to by now', async () => {
    const { at, swap } = await makeDirectories();
    const file = new DescriptorHolder().hold(at('d', 'f'));
    const directory = new DescriptorHolder().hold(at('d'), { directory: true });
    await swap();
    expect(await readFile(file.entry, 'utf8')).toBe('inside');
    await writeFile(path.join(directory.entry, 'new'), '');
    expect(await readdir(at('moved'))).toEqual(['f', 'new']);
    expect(await readdir(at('outside'))).toEqual(['f']);
    file.release();
    directory.release();
  });

  it('tells where it is, without symlinks', async () => {
    const { at, swap } = await makeDirectories();
    await swap();
    const held = new DescriptorHolder().hold(at('d', 'f'));
    expect(held.real).toBe(at('outside', 'f'));
    held.release();
    expect(() => new DescriptorHolder().hold(at('d'), { directory: true, noFollow: true })).toThrow(
      expect.objectContaining({ code: 'ENOTDIR' }),
    );
  });
});

describe('a name that is held', () => {
  it('finds out that something else was opened than what was looked up', async () => {
    const { at, swap } = await makeDirectories();
    const held = new NameHolder().hold(at('d', 'f'));
    await swap();
    const fd = await fileIo.open(held.entry, constants.O_RDONLY);
    expect(held.confirms(fd, '')).toBe(false);
    await promisify(close)(fd);
  });

  it('finds out that a file was made elsewhere', async () => {
    const { at, swap } = await makeDirectories();
    const held = new NameHolder().hold(at('d'), { directory: true });
    await swap();
    const fd = await fileIo.open(path.join(held.entry, 'new'), constants.O_RDWR | constants.O_CREAT, 0o600);
    expect(held.confirms(fd, 'new')).toBe(false);
    await promisify(close)(fd);
  });

  it('confirms what is where it was', async () => {
    const { at } = await makeDirectories();
    const held = new NameHolder().hold(at('d'), { directory: true });
    const fd = await fileIo.open(path.join(held.entry, 'f'), constants.O_RDONLY);
    expect(held.confirms(fd, 'f')).toBe(true);
    await promisify(close)(fd);
    expect(() => new NameHolder().hold(at('d', 'f'), { directory: true })).toThrow(
      expect.objectContaining({ code: 'ENOTDIR' }),
    );
  });
});
