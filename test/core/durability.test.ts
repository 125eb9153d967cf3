import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Appender } from '../../src/core/sessions/appender.ts';
import { AppendFile } from '../../src/storage/append-file.ts';
import { StorageError } from '../../src/wire/errors.ts';
import { fileOf, join, RecordingOwner, startCore } from '../support/core-harness.ts';
import { waitFor } from '../support/wait-for.ts';

/** Holds back each sync of the appender's file until it is let go, or made to fail. */
class HeldSyncs {
  count = 0;
  /** Size of what was committed when each sync began. */
  readonly sizes: number[] = [];
  #settle: (() => Promise<void>)[] = [];

  constructor(appender: Appender) {
    const file: AppendFile = fileOf(appender);
    const sync = file.sync.bind(file);
    file.sync = () => {
      this.count++;
      this.sizes.push(appender.feed.committed);
      return new Promise((resolve, reject) => {
        this.#settle.push(() => sync().then(resolve, reject));
        this.#fail = (error) => reject(error);
      });
    };
  }

  #fail: (error: Error) => void = () => undefined;

  async release(): Promise<void> {
    const settle = this.#settle;
    this.#settle = [];
    await Promise.all(settle.map((go) => go()));
  }

  fail(code: string): void {
    this.#settle = [];
    this.#fail(Object.assign(new Error(code), { code }));
  }
}

async function startDurable() {
  const core = await startCore({ durability: 'disk' });
  const owner = new RecordingOwner();
  const appender = await core.open('a', owner, { session: 'x'.repeat(32) });
  return { core, owner, appender, syncs: new HeldSyncs(appender) };
}

describe('with the durability of the disk', () => {
  test('bytes are safe once they are synced, and not before', async () => {
    const { owner, appender, syncs } = await startDurable();
    const follower = join(appender);
    appender.append(Buffer.from('bytes'));
    await waitFor(() => syncs.count === 1, 'the sync');
    for (let i = 0; i < 5; i++) await nextTurn();
    expect([appender.feed.committed, appender.safePosition, owner.safePosition]).toEqual([5, 0, 0]);
    // Followers need not wait for the disk.
    expect(follower.bytes.toString()).toBe('bytes');
    await syncs.release();
    await waitFor(() => owner.safePosition === 5, 'the word that they are safe');
    expect(appender.safePosition).toBe(5);
    const ended = appender.end('finished');
    await ended;
    expect(syncs.count).toBe(1);
  });

  test('all appends that wait share one sync', async () => {
    const { owner, appender, syncs } = await startDurable();
    appender.append(Buffer.from('x'));
    await waitFor(() => syncs.count === 1, 'the first sync');
    for (let i = 1; i <= 50; i++) {
      appender.append(Buffer.from('x'));
      await waitFor(() => appender.feed.committed === 1 + i, 'the byte');
    }
    expect([syncs.count, owner.safePosition]).toEqual([1, 0]);
    await syncs.release();
    await waitFor(() => syncs.count === 2, 'the second sync');
    // The first one says nothing of what was written while it was under way.
    expect(owner.safePosition).toBe(1);
    await syncs.release();
    await waitFor(() => owner.safePosition === 51, 'the word that all are safe');
    await appender.end('finished');
    expect(syncs.sizes).toEqual([1, 51]);
  });

  test('an append has not finished before its last bytes are synced', async () => {
    const { owner, appender, syncs } = await startDurable();
    const follower = join(appender);
    appender.append(Buffer.from('last'));
    let isOver = false;
    const ended = appender.end('finished').then(() => {
      isOver = true;
    });
    await waitFor(() => syncs.count === 1, 'the sync');
    for (let i = 0; i < 5; i++) await nextTurn();
    expect([isOver, follower.endReason]).toEqual([false, undefined]);
    await syncs.release();
    await ended;
    expect([owner.safePosition, follower.endReason]).toEqual([4, 'finished']);
  });

  test('an append whose sync fails is interrupted, and what was not synced is not called safe', async () => {
    const { core, owner, appender, syncs } = await startDurable();
    const follower = join(appender);
    appender.append(Buffer.from('good'));
    await waitFor(() => syncs.count === 1, 'the first sync');
    await syncs.release();
    await waitFor(() => owner.safePosition === 4, 'the first bytes to be safe');
    appender.append(Buffer.from(' lost'));
    await waitFor(() => syncs.count === 2, 'the second sync');
    const ended = appender.end('finished');
    syncs.fail('EIO');
    await ended;
    expect(owner.failures).toHaveLength(1);
    expect(owner.failures[0]).toBeInstanceOf(StorageError);
    expect([owner.safePosition, appender.safePosition]).toEqual([4, 4]);
    expect(follower.endReason).toBe('interrupted');
    await core.registry.close();
  });

  test('a session goes on only after what an earlier process wrote is synced', async () => {
    const first = await startCore({ durability: 'disk' });
    const appender = await first.open('a');
    appender.append(Buffer.from('earlier'));
    await appender.end('finished');
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
