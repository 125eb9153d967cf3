import fs, { constants } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileMaker } from '../../../src/storage/root/file-maker.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A maker of files, on a file system on which each takes so long, beside what it takes. */
async function start() {
  const directory = await diskDirectory();
  const maker = new FileMaker();
  const disk = { slowMs: 0 };
  const { openSync } = fs;
  const opening = vi.spyOn(fs, 'openSync').mockImplementation((...args) => {
    const untilMs = performance.now() + disk.slowMs;
    while (performance.now() < untilMs);
    return openSync(...args);
  });
  onTestFinished(() => opening.mockRestore());
  let made = 0;
  /** @returns whether it was made in line */
  const make = async (): Promise<boolean> => {
    const before = opening.mock.calls.length;
    const name = path.join(directory, String(made++));
    const fd = await maker.open(name, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    fs.writeSync(fd, 'made');
    fs.closeSync(fd);
    expect(await readFile(name, 'utf8')).toBe('made');
    await rm(name);
    return opening.mock.calls.length > before;
  };
  return { directory, maker, disk, make };
}

describe('a file', () => {
  it('is made in line', async () => {
    const { make } = await start();
    expect(await make()).toBe(true);
  });

  it('is made by a thread after one that took long, and in line again later', async () => {
    const { disk, make } = await start();
    // A machine that stands still meanwhile lets that time pass.
    await waitFor(async () => {
      disk.slowMs = 15;
      await make();
      disk.slowMs = 0;
      return !(await make());
    }, 'a thread to make a file');
    await waitFor(make, 'a file to be made in line');
  });

  it('is made by a thread when several were slow', async () => {
    const { disk, make } = await start();
    disk.slowMs = 1;
    await waitFor(async () => !(await make()), 'a thread to make a file');
  });

  it('that cannot be made is refused with what the system says, however it is tried', async () => {
    const { directory, maker, disk, make } = await start();
    const missing = path.join(directory, 'missing', 'f');
    const attempt = () => maker.open(missing, constants.O_WRONLY | constants.O_CREAT, 0o600);
    await expect(attempt()).rejects.toMatchObject({ code: 'ENOENT' });
    disk.slowMs = 15;
    await make();
    await expect(attempt()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
