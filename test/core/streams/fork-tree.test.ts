import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ForkTree } from '../../../src/core/streams/fork-tree.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { failingWrites, recordsOf } from '../../support/core/stored-records.ts';
import { fingerprintOf } from '../../support/disk/restored-root.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

/** A stream `a` that was deleted, as was its fork `b`, of which a fork `c` is there. */
async function deletedChain() {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const records = recordsOf(directory);
  await records.open();
  onTestFinished(() => records.close());
  await writeFile(path.join(directory, 'c'), '');
  const c = { path: 'c', fingerprint: await fingerprintOf(path.join(directory, 'c')) };
  const b = { path: 'b', fingerprint: '2-2' };
  await records.write(
    (draft) => {
      draft.setTombstone({ path: 'a', fingerprint: '1-1' });
      draft.setForks('1-1', [b]);
      draft.setTombstone({ ...b, origin: { path: 'a', fingerprint: '1-1' } });
      draft.setForks(b.fingerprint, [c]);
      draft.set('3-3', { path: 'source', isForked: true });
      draft.setForks('3-3', [c]);
    },
    { durable: false },
  );
  return { directory, records, tree: new ForkTree(root, records) };
}

test('who looks which forks live waits while the store is opened anew', async () => {
  const { directory, records, tree } = await deletedChain();
  const fail = failingWrites(records);
  const { stat } = Root.prototype;
  const looking = vi.spyOn(Root.prototype, 'stat').mockImplementation(async function failed(this: Root, at) {
    await fail();
    return stat.call(this, at);
  });
  onTestFinished(() => looking.mockRestore());
  expect(await tree.isKept('a', false)).toBe(true);
  expect(looking).toHaveBeenCalledTimes(2);
  await rm(path.join(directory, 'c'));
  expect(await tree.isKept('a', false)).toBe(false);
});

test('who deletes a source waits while the store is opened anew', async () => {
  const { records, tree } = await deletedChain();
  await failingWrites(records)();
  expect(await tree.lostForks('3-3')).toEqual(new Set());
});
