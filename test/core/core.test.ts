import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { Core } from '../../src/core/core.ts';
import { Permit } from '../../src/core/permit.ts';
import { checkRootAt } from '../../src/core/recovery/check/root-check.ts';
import { RootInUseError, ServerClosingError, StorageError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../support/core/harness.ts';
import { temporaryDirectory } from '../support/server/server.ts';

const { signal } = new AbortController();

describe('a core that closes', () => {
  it('does not say how the session ends that waits for its client: that is for the next server to tell', async () => {
    const { core, open } = await startCore();
    const appender = await open('/f', undefined, { session: 'a'.repeat(20) });
    appender.append(Buffer.from('some'));
    appender.release();
    const f = ResourcePath.parse('/f');
    const early = new CollectingSink();
    early.follower = await core.followers.follow(Permit.own(f), {}, early, signal);
    early.drain();
    await core.close();
    expect(early.endReason).toBe('shutdown');
    await expect(core.followers.follow(Permit.own(f), {}, new CollectingSink(), signal)).rejects.toThrow(
      ServerClosingError,
    );
    await expect(core.followers.withLiveFeed(Permit.own(f), () => undefined)).rejects.toThrow(
      ServerClosingError,
    );
  });

  it('takes no follower of what nobody appends to', async () => {
    const { core, directory } = await startCore();
    await writeFile(path.join(directory, 'f'), 'some');
    await core.close();
    const follow = core.followers.follow(
      Permit.own(ResourcePath.parse('/f')),
      {},
      new CollectingSink(),
      signal,
    );
    await expect(follow).rejects.toThrow(ServerClosingError);
  });

  it('frees what the next server needs, and then the root', async () => {
    const directory = await temporaryDirectory();
    const core = await Core.open(directory, { durability: 'os', graceMs: 0, fileMode: 0o644 });
    await core.close(() => expect(Core.assertFree(directory)).rejects.toThrow(RootInUseError));
    await Core.assertFree(directory);
    expect.assertions(1);
  });

  it('keeps the root when something of it may be open', async () => {
    const directory = await temporaryDirectory();
    const core = await Core.open(directory, { durability: 'os', graceMs: 0, fileMode: 0o644 });
    const closing = vi
      .spyOn(core.records, 'close')
      .mockRejectedValueOnce(new StorageError('the disk failed'));
    await expect(core.close()).rejects.toThrow('the disk failed');
    await expect(Core.assertFree(directory)).rejects.toThrow(RootInUseError);
    closing.mockRestore();
    await core.close();
    await Core.assertFree(directory);
  });
});

describe('a core that finds something else in place of what is its own', () => {
  it.each([
    ['a file', 'records'],
    ['a directory', 'records/DAMAGED'],
    ['a directory', 'records/CURRENT'],
    ['a file', 'redo'],
    ['a directory', 'redo/0000000001.log'],
    ['a file', 'quarantine'],
    ['a directory', 'quarantine/1-2.log'],
    ['a directory', 'quarantine/x'],
    ['a file', 'imported-0.3'],
  ])('says where: %s at %s', async (what, name) => {
    const directory = await temporaryDirectory();
    const own = path.join(directory, '.httpfstream');
    const place = path.join(own, name);
    await mkdir(path.dirname(place), { recursive: true });
    await (what === 'a file' ? writeFile(place, '') : mkdir(place));
    const failure = { code: 'HFS_STORAGE_ERROR', message: expect.stringContaining(place) };
    const opened = Core.open(directory, { durability: 'os', graceMs: 0, fileMode: 0o644 });
    await expect(opened).rejects.toMatchObject(failure);
    await expect(checkRootAt(directory, () => undefined)).rejects.toMatchObject(failure);
  });

  it('says what went wrong first, not what follows from that', async () => {
    const directory = await temporaryDirectory();
    const own = path.join(directory, '.httpfstream');
    await mkdir(path.join(own, 'redo.spare'), { recursive: true });
    await writeFile(path.join(own, 'records'), '');
    const opened = Core.open(directory, { durability: 'os', graceMs: 0, fileMode: 0o644 });
    await expect(opened).rejects.toThrow(path.join(own, 'records'));
  });
});
