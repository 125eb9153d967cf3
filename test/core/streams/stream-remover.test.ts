import { mkdir, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Core } from '../../../src/core/core.ts';
import { LiveResources } from '../../../src/core/live-resources.ts';
import { Permit } from '../../../src/core/permit.ts';
import { Records } from '../../../src/storage/records/records.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { OutcomeUnknownError, StorageFullError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { removalsIn, tombstonesIn } from '../../support/core/stored-records.ts';
import { appendLine, makeFork, makeStream, textOf } from '../../support/core/streams.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');

/** Lets something happen when the next change was written. */
function onceWritten(happens: () => Promise<void>): void {
  const { write } = Records.prototype;
  const writing = vi.spyOn(Records.prototype, 'write');
  onTestFinished(() => writing.mockRestore());
  writing.mockImplementationOnce(async function late(this: Records, ...args) {
    await write.apply(this, args);
    await happens();
  });
}

describe('a stream that has outlived its time when somebody comes who saw it live', () => {
  const TTL_SECONDS = 100;

  async function streamWithTime() {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await makeStream(core.core, 'stream', 'first\n', { ttlSeconds: TTL_SECONDS });
    return core;
  }

  /** Somebody has opened it in time, and holds it only when `come` is called. */
  function onTheWay(core: Core) {
    const { acquire } = LiveResources.prototype;
    const acquiring = vi.spyOn(LiveResources.prototype, 'acquire');
    onTestFinished(() => acquiring.mockRestore());
    let goOn = () => {};
    const told = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let held: Promise<unknown> | undefined;
    acquiring.mockImplementationOnce(function late(this: LiveResources, ...args) {
      const stream = told.then(() => acquire.apply(this, args));
      held = stream;
      return stream;
    });
    const appended = appendLine(core, 'stream', 'second\n');
    const come = async () => {
      goOn();
      await held;
    };
    return { come, appended, isOnTheWay: () => held !== undefined };
  }

  test('stays for an append that comes while it is being deleted, and can be deleted later', async () => {
    const { core, directory } = await streamWithTime();
    const { come, appended, isOnTheWay } = onTheWay(core);
    await waitFor(isOnTheWay, 'the file to be open');
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    onceWritten(come);
    const file = await core.resources.open(Permit.own(STREAM));
    await file.close();
    await appended;
    expect(await removalsIn(directory)).toEqual([]);
    await core.resources.touch(file.stat.fingerprint, { version: 1, size: 0, ttlSeconds: TTL_SECONDS });
    expect(await textOf(core, 'stream')).toBe('first\nsecond\n');
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    await expect(core.resources.open(Permit.own(STREAM))).rejects.toMatchObject({
      code: 'HFS_RESOURCE_NOT_FOUND',
    });
    expect([await readdir(directory), await removalsIn(directory)]).toEqual([[RESERVED], []]);
  });

  test('stays when it is used while it is being deleted', async () => {
    const { core, directory } = await streamWithTime();
    const { fingerprint } = await core.resources.open(Permit.own(STREAM)).then(async (file) => {
      await file.close();
      return file.stat;
    });
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    onceWritten(async () => {
      void core.resources.touch(fingerprint, { version: 1, size: 0, ttlSeconds: TTL_SECONDS });
    });
    expect(await textOf(core, 'stream')).toBe('first\n');
    expect(await removalsIn(directory)).toEqual([]);
  });

  test('is deleted all the same by who asks for that', async () => {
    const { core, directory } = await streamWithTime();
    onceWritten(async () => {
      const stream = await core.resources.acquire(Permit.own(STREAM));
      core.resources.release(stream);
    });
    await core.streams.delete(Permit.own(STREAM));
    expect(await readdir(directory)).toEqual([RESERVED]);
  });
});

describe('when it cannot be noted that a stream is to be removed', () => {
  const FULL = new StorageFullError("the server's disk is full");

  async function forkedStream() {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    for (const name of ['source', 'alone']) await makeStream(core.core, name, 'text');
    await makeFork(core.core, 'source', 'fork');
    const remove = (name: string) => core.core.streams.delete(Permit.own(ResourcePath.parse(name)));
    const writing = vi.spyOn(Records.prototype, 'write');
    onTestFinished(() => writing.mockRestore());
    return { ...core, remove, writing };
  }

  test.each(['source', 'fork'])('because the disk is full, the %s stays', async (name) => {
    const { core, remove, writing } = await forkedStream();
    writing.mockRejectedValue(FULL);
    await expect(remove(name)).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    writing.mockRestore();
    expect(await textOf(core, name)).toBe('text');
  });

  test('because the disk is full, what is nobody else’s goes all the same', async () => {
    const { core, directory, remove, writing } = await forkedStream();
    writing.mockRejectedValue(FULL);
    await remove('alone');
    writing.mockRestore();
    expect((await readdir(directory)).sort()).toEqual([RESERVED, 'fork', 'source']);
    expect(await makeStream(core, 'alone')).toBe(true);
  });

  test('for sure, it stays, and can be forked', async () => {
    const { core, directory, remove, writing } = await forkedStream();
    const { write } = Records.prototype;
    writing.mockRestore();
    const unsafe = vi.spyOn(Records.prototype, 'write');
    onTestFinished(() => unsafe.mockRestore());
    unsafe.mockImplementationOnce(async function unsynced(this: Records, ...args) {
      await write.apply(this, args);
      throw new OutcomeUnknownError('not safe', { cause: systemError('EIO') });
    });
    await expect(remove('source')).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect([await removalsIn(directory), await tombstonesIn(directory)]).toEqual([[], {}]);
    await makeFork(core, 'source', 'second fork');
    expect(await textOf(core, 'second fork')).toBe('text');
  });
});

describe('while a stream is being removed', () => {
  async function source() {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await makeStream(core.core, 'source', 'text');
    await makeFork(core.core, 'source', 'fork');
    return {
      ...core,
      remove: (name: string) => core.core.streams.delete(Permit.own(ResourcePath.parse(name))),
    };
  }

  test('its name is kept for its forks, though nothing else can be written', async () => {
    const { core, remove } = await source();
    const { write } = Records.prototype;
    const writing = vi.spyOn(Records.prototype, 'write');
    onTestFinished(() => writing.mockRestore());
    writing.mockImplementationOnce(write).mockRejectedValue(storageFailure(systemError('EIO')));
    await remove('source');
    writing.mockRestore();
    await expect(textOf(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_GONE' });
    await expect(makeStream(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
    await remove('fork');
    expect(await makeStream(core, 'source')).toBe(true);
  });

  test('it can be forked until it is gone, and its name is kept for that', async () => {
    const { core, directory, remove } = await source();
    onceWritten(() => makeFork(core, 'source', 'second fork'));
    await remove('source');
    await remove('fork');
    expect(Object.keys(await tombstonesIn(directory))).toEqual(['source']);
    await expect(makeStream(core, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
    await remove('second fork');
    expect(await tombstonesIn(directory)).toEqual({});
  });

  test('and stays, because another program has put something in its place, its name is not kept', async () => {
    const { directory, remove } = await source();
    onceWritten(async () => {
      await rename(path.join(directory, 'source'), path.join(directory, 'elsewhere'));
      await mkdir(path.join(directory, 'source'));
    });
    await expect(remove('source')).rejects.toMatchObject({ code: 'HFS_PATH_CONFLICT' });
    expect([await removalsIn(directory), await tombstonesIn(directory)]).toEqual([[], {}]);
  });
});
