import { expect, test } from 'vitest';
import { FileSync } from '../../../src/core/log/file-sync.ts';
import { Syncer } from '../../../src/core/log/syncer.ts';
import type { AppendFile } from '../../../src/storage/stored-file.ts';
import { PATIENCE_MS } from '../../support/patience.ts';

/** An open file that counts its syncs, each of which lasts until it is released. */
function gatedFile() {
  const releases: (() => void)[] = [];
  const file = {
    syncs: 0,
    release: () => releases.shift()?.(),
    sync: () => {
      file.syncs++;
      return new Promise<void>((resolve) => releases.push(resolve));
    },
  };
  return file as typeof file & AppendFile;
}

test('all who want a sync while one waits for its turn share that, however often the file is open', async () => {
  const files = [gatedFile(), gatedFile(), gatedFile(), gatedFile()];
  const sync = new FileSync(new Syncer(1000));
  let done = 0;
  const syncing = files.map(async (file) => {
    sync.written(file);
    await sync.sync();
    done++;
  });
  await expect.poll(() => files[0]?.syncs, { timeout: PATIENCE_MS }).toBe(1);
  // One that is written after a sync has begun needs another.
  sync.written(files[3] as AppendFile);
  const last = sync.sync();
  files[0]?.release();
  await Promise.all(syncing);
  await expect.poll(() => files[3]?.syncs, { timeout: PATIENCE_MS }).toBe(1);
  files[3]?.release();
  await last;
  expect([done, ...files.map(({ syncs }) => syncs)]).toEqual([4, 1, 0, 0, 1]);
});
