import fs from 'node:fs';
import { unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Root } from '../../src/storage/root/root.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { descriptorsBackTo, openDescriptors } from '../support/disk/descriptors.ts';
import { diskDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;

/** An open file of a size, and how often something is closed in line from then on. */
async function openFile(size: number) {
  const directory = await diskDirectory();
  const name = path.join(directory, 'f');
  await writeFile(name, Buffer.alloc(size, 'x'));
  const root = await Root.open(directory);
  const before = await openDescriptors();
  const file = await root.openRead(ResourcePath.parse('/f'));
  const closing = vi.spyOn(fs, 'closeSync');
  onTestFinished(() => closing.mockRestore());
  return { file, name, before, closing };
}

describe('an open file', () => {
  it.each([
    ['small', 1000],
    ['large', 4 * MiB],
  ])('that is %s is closed in line, once', async (_how, size) => {
    const { file, before, closing } = await openFile(size);
    const closed = file.close();
    expect(closing).toHaveBeenCalledTimes(1);
    await closed;
    await file.close();
    expect(closing).toHaveBeenCalledTimes(1);
    await descriptorsBackTo(before);
  });

  it('that was deleted and is large is closed by another thread, which frees its blocks', async () => {
    const { file, name, before, closing } = await openFile(4 * MiB);
    await unlink(name);
    await file.close();
    expect(closing).not.toHaveBeenCalled();
    await descriptorsBackTo(before);
  });

  it('that was empty when it was opened, and is large and deleted by now, is closed so, too', async () => {
    const { file, name, before, closing } = await openFile(0);
    const openedMs = performance.now();
    await writeFile(name, Buffer.alloc(4 * MiB, 'x'));
    await unlink(name);
    await vi.waitUntil(() => performance.now() - openedMs > 20);
    const shared = file.share();
    await file.close();
    await shared.close();
    expect(closing).not.toHaveBeenCalled();
    await descriptorsBackTo(before);
  });

  it('that is small is not looked at again when it is closed at once', async () => {
    const directory = await diskDirectory();
    await writeFile(path.join(directory, 'f'), 'small');
    const root = await Root.open(directory);
    const looking = vi.spyOn(fs, 'fstatSync');
    onTestFinished(() => looking.mockRestore());
    // The machine may take a while between the two.
    await waitFor(async () => {
      const file = await root.openRead(ResourcePath.parse('/f'));
      looking.mockClear();
      void file.close();
      return looking.mock.calls.length === 0;
    }, 'a file that is closed at once');
  });

  it('is closed when the last one who shares it has closed it', async () => {
    const { file, closing } = await openFile(1000);
    const shared = file.share();
    await file.close();
    expect(closing).not.toHaveBeenCalled();
    expect((await shared.read(0, 1)).toString()).toBe('x');
    await shared.close();
    expect(closing).toHaveBeenCalledTimes(1);
  });

  it('is read in line as far as it goes', async () => {
    const { file } = await openFile(1000);
    expect(file.readInLine(10, 20).length).toBe(20);
    expect(file.readInLine(990, 20).length).toBe(10);
    expect(file.readInLine(1000, 20).length).toBe(0);
    await file.close();
  });
});
