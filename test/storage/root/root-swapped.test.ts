import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { Root } from '../../../src/storage/root/root.ts';
import type { StoredFile } from '../../../src/storage/stored-file.ts';
import { HttpfstreamError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { diskDirectory } from '../../support/server/server.ts';

const SWAPPER = fileURLToPath(new URL('../../support/disk/swap-directory.mjs', import.meta.url));

/** Enough for dozens of each fault when nothing is looked at after it was opened. */
const ROUNDS = 150;

const SECRET = 'secret';
const OUTSIDE = ['d', 'f', 'only-outside'];

/** A root with a directory `d`, which another process swaps for a symlink out of the root all the time. */
async function startSwapping() {
  const base = await realpath(await diskDirectory());
  const at = (...names: string[]) => path.join(base, ...names);
  await mkdir(at('root', 'd', 'd'), { recursive: true });
  await mkdir(at('outside', 'd'), { recursive: true });
  await writeFile(at('root', 'd', 'f'), 'inside');
  await writeFile(at('outside', 'f'), SECRET);
  await writeFile(at('outside', 'only-outside'), SECRET);
  const root = await Root.open(at('root'));
  const args = [SWAPPER, at('root', 'd'), at('root', 'aside'), at('outside')];
  const swapper = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(swapper, 'exit');
  onTestFinished(async () => {
    swapper.kill('SIGKILL');
    await exited;
  });
  await once(swapper.stdout, 'data');
  return { root, at, swapper };
}

const resource = (text: string) => ResourcePath.parse(text);

it('a directory that is swapped for a symlink leads nobody out of the root', async () => {
  const { root, at, swapper } = await startSwapping();
  const seen: string[] = [];
  let done = 0;

  /** What is refused is refused; only what is done counts. */
  const attempt = async (action: () => Promise<unknown>) => {
    try {
      await action();
      done++;
    } catch (error) {
      expect(error).toBeInstanceOf(HttpfstreamError);
    }
  };
  const reading = async (file: StoredFile) => {
    seen.push((await file.read(0, 100)).toString());
    await file.close();
  };

  for (let round = 0; round < ROUNDS; round++) {
    await attempt(async () => reading(await root.openRead(resource('d/f'))));
    await attempt(async () => reading(await root.openRepair('d/f')));
    await attempt(async () => {
      const { size } = await root.stat(resource('d/only-outside'));
      seen.push(`${SECRET} of ${size} bytes`);
    });
    await attempt(async () => {
      for await (const { name } of root.list(resource('d'))) seen.push(name);
    });
    await attempt(async () => {
      const file = await root.openAppend(resource('d/f'), { create: round % 2 === 0 });
      await file.write([Buffer.from('.')]);
      await file.close();
    });
    await attempt(async () => {
      const file = await root.openAppend(resource(`d/made${round % 10}/deep/f`), { create: true });
      await file.close();
    });
    await attempt(async () => {
      const file = await root.newFile();
      try {
        await root.publish(file, resource(`d/published${round}`));
      } finally {
        await file.discard();
      }
    });
    for (const name of [`d/published${round}`, 'd/only-outside']) {
      await attempt(async () => {
        root.remove(resource(name), (await root.stat(resource(name))).fingerprint);
      });
    }
    if (round % 50 === 0) {
      for await (const found of root.walk(() => undefined)) {
        if ((await root.statFound(found)) !== undefined) seen.push(found.location ?? '');
      }
    }
  }

  expect(swapper.exitCode).toBeNull();
  expect(done).toBeGreaterThan(ROUNDS / 10);
  expect(seen.filter((text) => text.includes(SECRET) || text.includes('only-outside'))).toEqual([]);
  expect((await readdir(at('outside'), { recursive: true })).sort()).toEqual(OUTSIDE);
  expect(await readFile(at('outside', 'f'), 'utf8')).toBe(SECRET);
});
