import { renameSync, writeFileSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Permit } from '../../../src/core/permit.ts';
import { Records } from '../../../src/storage/records/records.ts';
import { Root } from '../../../src/storage/root/root.ts';
import type { Fingerprints } from '../../../src/storage/root/walk.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { killedRoot } from '../../support/core/crash-root.ts';
import { RecordingOwner } from '../../support/core/harness.ts';
import { recordsIn, recoverAfterKill, removalsIn, tombstonesIn } from '../../support/core/stored-records.ts';
import { makeFork, makeStream, storeFile, textOf } from '../../support/core/streams.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

async function start(directory: string, durability: 'os' | 'disk' = 'os') {
  const core = new Core(await Root.open(directory), { durability, graceMs: 0 });
  onTestFinished(() => core.close());
  await recoverAfterKill(directory, core);
  return core;
}

const remove = ({ streams }: Core, name: string) => streams.delete(Permit.own(ResourcePath.parse(name)));

function fail<T extends object>(
  owner: T,
  method: { [K in keyof T]: T[K] extends (...args: never[]) => Promise<void> ? K : never }[keyof T] & string,
) {
  const failing = vi.spyOn(owner as Record<string, () => Promise<void>>, method);
  failing.mockRejectedValue(storageFailure(systemError('EIO')));
  onTestFinished(() => failing.mockRestore());
  return failing;
}

describe('a name that is kept for the forks of a stream that was deleted', () => {
  test.each(['source', 'fork', 'fork of fork'])(
    'is free after a kill -9 while the last fork was being deleted: %s',
    async (name) => {
      // That it is to be is noted, and the file is gone, and nothing else.
      const directory = await killedRoot('delete the last fork', { step: { at: 2, how: 'after' } });
      expect(await makeStream(await start(directory), name)).toBe(true);
    },
  );

  test('is free when another program has deleted the last fork', async () => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    await remove(core, 'source');
    await expect(makeStream(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
    await rm(path.join(directory, 'fork'));
    expect(await makeStream(core, 'source')).toBe(true);
  });

  test('is free when another program has deleted the last fork of a fork, whichever name is asked for first', async () => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    await makeFork(core, 'fork', 'fork of fork');
    for (const name of ['source', 'fork']) await remove(core, name);
    await rm(path.join(directory, 'fork of fork'));
    for (const name of ['source', 'fork']) expect(await makeStream(core, name)).toBe(true);
  });

  test('costs a bounded number of looks for lost forks, however many files there are', async () => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'source');
    for (const room of ['a', 'b']) {
      await makeFork(core, 'source', `${room}/fork`);
      await rm(path.join(directory, room, 'fork'));
      for (let i = 0; i < 700; i++) writeFileSync(path.join(directory, room, String(i)), '');
    }
    const looking = vi.spyOn(Root.prototype, 'fingerprintsIn');
    onTestFinished(() => looking.mockRestore());
    await remove(core, 'source');
    const listings = await Promise.all(looking.mock.settledResults.map(({ value }) => value as Fingerprints));
    expect(listings.map(({ looks }) => looks)).toEqual([700, 300]);
    expect(await makeStream(core, 'source')).toBe(true);
  });

  test('is taken while the fork lives, below whatever name, over restarts', async () => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    await remove(core, 'source');
    await rename(path.join(directory, 'fork'), path.join(directory, 'fork.1'));
    await core.close();
    const next = await start(directory);
    await expect(makeStream(next, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
    await remove(next, 'fork.1');
    expect(await makeStream(next, 'source')).toBe(true);
  });

  test('is kept when the stream is deleted while an append is under way', async () => {
    const core = await start(await diskDirectory(), 'disk');
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    const owner = new RecordingOwner();
    const appender = await core.sessions.open(Permit.own(ResourcePath.parse('source')), {}, owner);
    const { syncNames } = Root.prototype;
    const syncing = vi.spyOn(Root.prototype, 'syncNames');
    onTestFinished(() => syncing.mockRestore());
    // What the append remembers of its end comes before the deletion is over.
    syncing.mockImplementationOnce(async function late(this: Root, ...args) {
      await waitFor(() => owner.failures.length > 0, 'the appender to be told');
      await syncNames.apply(this, args);
    });
    await remove(core, 'source');
    await appender.end('interrupted');
    await expect(textOf(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_GONE' });
  });

  test('is kept for a fork that is just being made', async () => {
    const core = await start(await diskDirectory());
    await makeStream(core, 'source');
    const { publish } = Root.prototype;
    const publishing = vi.spyOn(Root.prototype, 'publish');
    onTestFinished(() => publishing.mockRestore());
    publishing.mockImplementationOnce(async function late(this: Root, ...args) {
      await remove(core, 'source');
      return publish.apply(this, args);
    });
    await makeFork(core, 'source', 'fork');
    await expect(makeStream(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
  });
});

describe('what has its name is made', () => {
  /** Lets something happen as soon as the next stream has its name. */
  function oncePublished(happens: () => void) {
    const { publish } = Root.prototype;
    const publishing = vi.spyOn(Root.prototype, 'publish');
    onTestFinished(() => publishing.mockRestore());
    publishing.mockImplementationOnce(async function published(this: Root, ...args) {
      const location = await publish.apply(this, args);
      happens();
      return location;
    });
  }

  const makings: [kind: string, make: (core: Core, directory: string) => Promise<unknown>][] = [
    ['a stream', (core) => makeStream(core, 'new', 'text')],
    ['a file', (core, directory) => storeFile(core, directory, 'new', 'text')],
    ['a fork', (core) => makeFork(core, 'source', 'new')],
  ];

  test.each(makings)('even if the server closes: %s', async (_kind, make) => {
    const directory = await diskDirectory();
    const core = await start(directory, 'disk');
    await makeStream(core, 'source', 'text');
    let closed: Promise<void> | undefined;
    oncePublished(() => {
      closed = core.close();
    });
    await make(core, directory);
    await closed;
    expect(await textOf(await start(directory), 'new')).toBe('text');
  });

  test.each(makings)('even if no file can be opened any more: %s', async (_kind, make) => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'source', 'text');
    const opening = vi.spyOn(Root.prototype, 'openRead');
    onTestFinished(() => opening.mockRestore());
    oncePublished(() => opening.mockRejectedValue(storageFailure(systemError('EMFILE'))));
    await make(core, directory);
    opening.mockRestore();
    expect(await textOf(core, 'new')).toBe('text');
  });
});

test('what has lost its name is deleted, even if the server closes', async () => {
  const directory = await diskDirectory();
  const core = await start(directory, 'disk');
  await makeStream(core, 'source');
  await makeFork(core, 'source', 'fork');
  const unlink = Root.prototype.remove;
  const unlinking = vi.spyOn(Root.prototype, 'remove');
  onTestFinished(() => unlinking.mockRestore());
  let closed: Promise<void> | undefined;
  unlinking.mockImplementationOnce(function removed(this: Root, ...args) {
    const isRemoved = unlink.apply(this, args);
    closed = core.close();
    return isRemoved;
  });
  await remove(core, 'fork');
  await closed;
  await remove(await start(directory), 'source');
  expect(await readdir(directory)).toEqual([RESERVED]);
});

describe('a file that another program renames to the name of a stream that is being deleted', () => {
  test.each([
    ['deleted', {}, false],
    ['expired', { expiresAt: new Date(0).toISOString() }, true],
  ])('is not taken for it: %s', async (_how, more, isKept) => {
    const directory = await diskDirectory();
    const core = await start(directory);
    await makeStream(core, 'stream', 'stream', more);
    const unlink = Root.prototype.remove;
    const unlinking = vi.spyOn(Root.prototype, 'remove');
    onTestFinished(() => unlinking.mockRestore());
    const judged: unknown[] = [];
    unlinking.mockImplementation(function late(this: Root, ...args) {
      if (judged.length === 0) {
        writeFileSync(path.join(directory, 'other'), 'other');
        renameSync(path.join(directory, 'other'), path.join(directory, 'stream'));
      }
      const isRemoved = unlink.apply(this, args);
      judged.push(isRemoved);
      return isRemoved;
    });
    if (isKept) expect(await textOf(core, 'stream')).toBe('other');
    // Who asks to delete what is there means that, too.
    await remove(core, 'stream');
    expect(judged).toEqual([false, true]);
    expect(await readdir(directory)).toEqual([RESERVED]);
  });
});

describe('when the disk refuses on the way', () => {
  test.each([
    ['ENOSPC', 'HFS_STORAGE_FULL'],
    ['EIO', 'HFS_STORAGE_ERROR'],
  ])('%s of a sync is told as %s, and nothing is made', async (code, expected) => {
    const directory = await diskDirectory();
    const core = await start(directory, 'disk');
    const syncing = vi.spyOn(AppendFile.prototype, 'sync');
    onTestFinished(() => syncing.mockRestore());
    syncing.mockRejectedValue(storageFailure(systemError(code)));
    await expect(makeStream(core, 'stream', 'text')).rejects.toMatchObject({ code: expected });
    await expect(storeFile(core, directory, 'stream', 'text')).rejects.toMatchObject({ code: expected });
    expect(await readdir(directory)).toEqual([RESERVED]);
    const appending = core.sessions.open(Permit.own(ResourcePath.parse('session')), {}, new RecordingOwner());
    await expect(appending).rejects.toMatchObject({ code: expected });
  });

  test('a stream whose name could not be synced is there, and that it may not stay is told', async () => {
    const core = await start(await diskDirectory(), 'disk');
    const failing = fail(Root.prototype, 'syncNames');
    await expect(makeStream(core, 'stream', 'text')).rejects.toMatchObject({
      code: 'HFS_OUTCOME_UNKNOWN',
    });
    failing.mockRestore();
    expect(await textOf(core, 'stream')).toBe('text');
  });

  test('a stream that is deleted leaves nothing in the way, even if that could not be synced, and nothing after a restart', async () => {
    const directory = await diskDirectory();
    const core = await start(directory, 'disk');
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    await remove(core, 'source');
    const failing = fail(Root.prototype, 'syncNames');
    await expect(remove(core, 'fork')).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    failing.mockRestore();
    for (const name of ['source', 'fork']) expect(await makeStream(core, name)).toBe(true);
    const fork = (await Root.open(directory)).statAt('fork')?.fingerprint;
    await core.close();
    await start(directory, 'disk');
    expect([await tombstonesIn(directory), await removalsIn(directory)]).toEqual([{}, []]);
    expect((await recordsIn(directory)).fork?.fingerprint).toBe(fork);
    expect(Object.keys(await recordsIn(directory)).sort()).toEqual(['fork', 'source']);
  });

  test('a stream that is deleted is deleted, whatever of what was remembered of it stays', async () => {
    const core = await start(await diskDirectory());
    await makeStream(core, 'source');
    await makeFork(core, 'source', 'fork');
    await remove(core, 'source');
    const { write } = Records.prototype;
    const writing = vi.spyOn(Records.prototype, 'write');
    onTestFinished(() => writing.mockRestore());
    // What says that it begins is written, and nothing after that.
    writing.mockImplementationOnce(write).mockRejectedValue(storageFailure(systemError('EIO')));
    await remove(core, 'fork');
    writing.mockRestore();
    for (const name of ['source', 'fork']) expect(await makeStream(core, name)).toBe(true);
  });

  test('a stream that cannot be made leaves no file, and its own error', async () => {
    const directory = await diskDirectory();
    const core = await start(directory);
    fail(Records.prototype, 'write').mockRejectedValue(storageFailure(systemError('ENOSPC')));
    await expect(makeStream(core, 'stream')).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    expect(await readdir(path.join(directory, RESERVED, 'incoming'))).toEqual([]);
  });
});
