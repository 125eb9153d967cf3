import { expect, test } from 'vitest';
import { Syncer } from '../../../src/core/log/syncer.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A file that counts its syncs, each of which lasts until it is released. */
function gatedFile() {
  const file = {
    syncs: 0,
    release: () => {},
    sync: () => {
      file.syncs++;
      return new Promise<void>((resolve) => {
        file.release = resolve;
      });
    },
  };
  return file;
}

test('one file at a time is synced, and none that is forgotten while it waits for its turn', async () => {
  const syncer = new Syncer(1);
  const [first, second, third] = [gatedFile(), gatedFile(), gatedFile()];
  for (const file of [first, second, third]) syncer.touch(file);
  await waitFor(() => first.syncs === 1, 'the first turn');
  expect([second.syncs, third.syncs]).toEqual([0, 0]);
  syncer.forget(second);
  first.release();
  await waitFor(() => third.syncs === 1, 'the third turn');
  third.release();
  expect(second.syncs).toBe(0);
  await syncer.close();
});

test('what is written during its own sync is synced again', async () => {
  const syncer = new Syncer(1);
  const file = gatedFile();
  syncer.touch(file);
  await waitFor(() => file.syncs === 1, 'the sync');
  syncer.touch(file);
  file.release();
  await waitFor(() => file.syncs === 2, 'the second sync');
  file.release();
  await syncer.close();
});
