import { link, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { checkRoot } from '../../../src/core/recovery/check/root-check.ts';
import type { Report } from '../../../src/storage/report.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { RootDirectory } from '../../../src/storage/root/root-directory.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { killedRoot } from '../../support/core/crash-root.ts';
import { recordsIn, recoverAfterKill, removalsIn, tombstonesIn } from '../../support/core/stored-records.ts';
import { makeFork, makeStream, textOf } from '../../support/core/streams.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';

async function start(directory: string, report?: Report) {
  const core = new Core(await Root.open(directory), {
    durability: 'disk',
    graceMs: 0,
    ...(report && { report }),
  });
  onTestFinished(() => core.close());
  await recoverAfterKill(directory, core);
  return core;
}

/** What is remembered of streams that are being removed, or were. */
const remembered = async (root: string) => ({
  records: Object.keys(await recordsIn(root)).sort(),
  tombstones: Object.keys(await tombstonesIn(root)),
  removals: (await removalsIn(root)).length,
});

const KEPT = { records: ['d/source', 'fork'], tombstones: ['d/source'], removals: 1 };
const LIVING = { records: ['d/source', 'fork'], tombstones: [], removals: 0 };
const DELETED = { records: ['fork'], tombstones: ['d/source'], removals: 0 };

function failToSync() {
  const syncing = vi.spyOn(Root.prototype, 'syncNames');
  syncing.mockRejectedValue(storageFailure(systemError('EIO')));
  onTestFinished(() => syncing.mockRestore());
  return () => syncing.mockRestore();
}

describe('a stream that is deleted when its directory cannot be synced', () => {
  /** With its file as it would be there again after a loss of power. */
  async function unsafelyDeleted() {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'd/source', 'text');
    await makeFork(core, 'd/source', 'fork');
    const at = (name: string) => path.join(directory, name);
    await link(at('d/source'), at('lost'));
    const restore = failToSync();
    await expect(core.streams.delete(ResourcePath.parse('d/source'))).rejects.toMatchObject({
      code: 'HFS_OUTCOME_UNKNOWN',
    });
    restore();
    expect(await remembered(directory)).toEqual(KEPT);
    const comeBack = () => rename(at('lost'), at('d/source'));
    const goForGood = () => rm(at('lost'));
    return { directory, core, at, comeBack, goForGood };
  }

  test('is gone, and its name is kept for its forks', async () => {
    const { core } = await unsafelyDeleted();
    await expect(textOf(core, 'd/source')).rejects.toMatchObject({ code: 'HFS_STREAM_GONE' });
    await expect(makeStream(core, 'd/source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
  });

  test('is all that it was when a loss of power brings it back', async () => {
    const { directory, core, comeBack } = await unsafelyDeleted();
    await core.close();
    await comeBack();
    const next = await start(directory);
    expect(await remembered(directory)).toEqual(LIVING);
    expect(await textOf(next, 'd/source')).toBe('text');
    const stream = await next.resources.acquire(ResourcePath.parse('d/source'));
    expect(stream.streamType).toBe('text/plain');
    next.resources.release(stream);
  });

  test('is forgotten by the next start when it is safely gone, and not before', async () => {
    const { directory, core, goForGood } = await unsafelyDeleted();
    await core.close();
    await goForGood();
    const restore = failToSync();
    const told: string[] = [];
    const second = await start(directory, (message, detail) => {
      // How far it is, each second, where all is slow.
      if (!('ofStreams' in detail)) told.push(message);
    });
    expect([await remembered(directory), told.length]).toEqual([KEPT, 1]);
    await second.close();
    expect(await checkRoot(await Root.open(directory), () => {})).toBe(false);
    expect(await remembered(directory)).toEqual(KEPT);
    restore();
    await start(directory);
    expect(await remembered(directory)).toEqual(DELETED);
  });

  test('is forgotten, too, when its directory is gone', async () => {
    const { directory, core, at, goForGood } = await unsafelyDeleted();
    await core.close();
    await goForGood();
    await rm(at('d'), { recursive: true });
    await start(directory);
    expect(await remembered(directory)).toEqual(DELETED);
  });

  test('loses nothing to the sync of another directory up: that of the root is needed', async () => {
    const { directory, core, at, goForGood } = await unsafelyDeleted();
    await core.close();
    await goForGood();
    await rm(at('d'), { recursive: true });
    const root = await RootDirectory.open(directory);
    await root.syncNames('d/source', { isRemoved: true });
    await expect(root.syncNames('d/source')).rejects.toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
    await rm(directory, { recursive: true });
    await expect(root.syncNames('d/source', { isRemoved: true })).rejects.toMatchObject({
      code: 'HFS_RESOURCE_NOT_FOUND',
    });
  });
});

describe('a stream that was to be deleted when the server was killed', () => {
  test.each(['source.1', 'elsewhere/source'])(
    'lives when another program has renamed it to %s',
    async (name) => {
      const directory = await killedRoot('delete a stream that was forked', {
        step: { at: 1, how: 'after' },
      });
      expect(await remembered(directory)).toMatchObject({ tombstones: ['source'], removals: 1 });
      await mkdir(path.join(directory, 'elsewhere'));
      await rename(path.join(directory, 'source'), path.join(directory, name));
      const core = await start(directory);
      expect(await remembered(directory)).toMatchObject({
        records: ['fork', 'source'],
        tombstones: [],
        removals: 0,
      });
      const stream = await core.resources.acquire(ResourcePath.parse(name));
      expect(stream.streamType).toBe('text/plain');
      core.resources.release(stream);
    },
  );
});
