import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { FileEntry } from '../../../src/core/log/file-entry.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { StorageError } from '../../../src/wire/errors.ts';
import { fileOf, join, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { breakLog, HeldCommits, holdLog } from '../../support/disk/log-trouble.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { waitFor } from '../../support/wait-for.ts';

async function startDurable() {
  const core = await startCore({ durability: 'disk' });
  const owner = new RecordingOwner();
  const appender = await core.open('a', owner, { session: 'x'.repeat(32) });
  return { core, owner, appender };
}

describe('with the durability of the disk', () => {
  test('bytes are safe once the log has them, and not before', async () => {
    const { owner, appender } = await startDurable();
    const commits = new HeldCommits();
    const follower = join(appender);
    appender.append(Buffer.from('bytes'));
    await waitFor(() => commits.count === 1, 'the commit');
    for (let i = 0; i < 5; i++) await nextTurn();
    expect([appender.feed.committed, appender.safePosition, owner.safePosition]).toEqual([5, 0, 0]);
    // Followers need not wait for the disk.
    expect(follower.bytes.toString()).toBe('bytes');
    commits.release();
    await waitFor(() => owner.safePosition === 5, 'the word that they are safe');
    expect([appender.safePosition, commits.count]).toEqual([5, 1]);
    commits.releaseAll();
    await appender.end('finished');
  });

  test('all appends that wait share one commit, those to other files, too', async () => {
    const { core, owner, appender } = await startDurable();
    const otherOwner = new RecordingOwner();
    const other = await core.open('b', otherOwner);
    const commits = new HeldCommits();
    appender.append(Buffer.from('x'));
    await waitFor(() => commits.count === 1, 'the first commit');
    for (let i = 1; i <= 50; i++) {
      appender.append(Buffer.from('x'));
      other.append(Buffer.from('y'));
      await waitFor(() => appender.feed.committed === 1 + i && other.feed.committed === i, 'the bytes');
    }
    expect([commits.count, owner.safePosition]).toEqual([1, 0]);
    commits.release();
    await waitFor(() => commits.count === 2, 'the second commit');
    // The first one says nothing of what was written while it was under way.
    expect(owner.safePosition).toBe(1);
    commits.release();
    await waitFor(() => owner.safePosition === 51 && otherOwner.safePosition === 50, 'all to be safe');
    expect(commits.count).toBe(2);
    commits.releaseAll();
    await Promise.all([appender.end('finished'), other.end('finished')]);
  });

  test('an append has not finished before its last bytes are safe', async () => {
    const { owner, appender } = await startDurable();
    const commits = new HeldCommits();
    const follower = join(appender);
    appender.append(Buffer.from('last'));
    let isOver = false;
    const ended = appender.end('finished').then(() => {
      isOver = true;
    });
    await waitFor(() => commits.count === 1, 'the commit');
    for (let i = 0; i < 5; i++) await nextTurn();
    expect([isOver, follower.endReason]).toEqual([false, undefined]);
    commits.releaseAll();
    await ended;
    expect([owner.safePosition, follower.endReason]).toEqual([4, 'finished']);
  });

  test.each([
    ['many at once', 300_000, () => undefined],
    ['what the log refuses', 5, breakLog],
  ])('%s is made safe in the file', async (_what, length, prepare) => {
    const { owner, appender } = await startDurable();
    prepare();
    let syncs = 0;
    const file = fileOf(appender);
    const sync = file.sync.bind(file);
    file.sync = () => {
      syncs++;
      return sync();
    };
    appender.append(Buffer.alloc(length, 'x'));
    await waitFor(() => owner.safePosition === length, 'the word that they are safe');
    expect(syncs).toBe(1);
    await appender.end('finished');
  });

  test('what the log refuses that is safe in the file already is not in the way of what comes after it', async () => {
    const { owner, appender } = await startDurable();
    const log = holdLog();
    appender.append(Buffer.from('small'));
    await waitFor(() => log.count === 1, 'what goes to the log');
    appender.append(Buffer.alloc(300_000, 'x'));
    await waitFor(() => owner.safePosition === 300_005, 'the file to have all of it safely');
    log.refuse();
    appender.append(Buffer.from('after'));
    await waitFor(() => owner.safePosition === 300_010, 'the word that the rest is safe');
    await appender.end('finished');
    expect(owner.failures).toEqual([]);
  });

  test('an append that neither the log nor the file makes safe is interrupted, and not called safe', async () => {
    const { core, owner, appender } = await startDurable();
    const follower = join(appender);
    appender.append(Buffer.from('good'));
    await waitFor(() => owner.safePosition === 4, 'the first bytes to be safe');
    breakLog();
    fileOf(appender).sync = () => Promise.reject(systemError('EIO'));
    appender.append(Buffer.from(' lost'));
    await appender.end('finished');
    expect(owner.failures).toHaveLength(1);
    expect(owner.failures[0]).toBeInstanceOf(StorageError);
    expect([owner.safePosition, appender.safePosition]).toEqual([4, 4]);
    expect(follower.endReason).toBe('interrupted');
    await core.core.close();
  });

  test('what the log has of an append is moot once it has finished, so that a cut is not undone', async () => {
    const { core, owner, appender } = await startDurable();
    const appending = vi.spyOn(Journal.prototype, 'append');
    onTestFinished(() => appending.mockRestore());
    appender.append(Buffer.from('bytes'));
    await waitFor(() => owner.safePosition === 5, 'the word that they are safe');
    await appender.end('finished');
    const next = await core.open('a', owner);
    next.append(Buffer.from('more'));
    await next.end('finished');
    await core.core.close();
    const written = appending.mock.calls.map(([header]) => header as FileEntry);
    // The next session has a higher number: what makes the first one moot may come after its bytes.
    expect(written.flatMap(({ run }) => run ?? [])).toEqual([1, 2]);
    expect(written.flatMap(({ moot }) => moot ?? [])).toEqual([1, 2]);
  });

  test('a session goes on only after what an earlier process wrote is synced', async () => {
    const first = await startCore({ durability: 'disk' });
    const appender = await first.open('a');
    appender.append(Buffer.from('earlier'));
    await appender.end('finished');
    await first.core.close();
    const { sync } = AppendFile.prototype;
    let syncs = 0;
    AppendFile.prototype.sync = function counted() {
      syncs++;
      return sync.call(this);
    };
    try {
      const second = await startCore({ durability: 'disk', directory: first.directory });
      const next = await second.open('a');
      expect([syncs, next.safePosition]).toEqual([1, 7]);
      await next.end('finished');
    } finally {
      AppendFile.prototype.sync = sync;
    }
  });
});
