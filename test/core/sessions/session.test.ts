import { rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import {
  AppendConflictError,
  PositionMismatchError,
  ServerClosingError,
  StorageError,
} from '../../../src/wire/errors.ts';
import { fileOf, join, RecordingOwner, startCore, writeByThreads } from '../../support/core/harness.ts';
import { rememberedIn } from '../../support/core/stored-records.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { waitFor } from '../../support/wait-for.ts';

const session = 'x'.repeat(32);
const stranger = 'y'.repeat(32);

/** Holds the next write of the appender's file back until `release`. */
function holdWrite(appender: Lease): { isHeld: () => boolean; release: (error?: Error) => void } {
  writeByThreads();
  const file = fileOf(appender);
  const write = file.write.bind(file);
  let isHeld = false;
  let release: (error?: Error) => void = () => undefined;
  const gate = new Promise<Error | undefined>((resolve) => {
    release = resolve;
  });
  file.write = async (buffers) => {
    isHeld = true;
    const error = await gate;
    if (error !== undefined) throw error;
    await write(buffers);
  };
  return { isHeld: () => isHeld, release };
}

/** What may happen to a file of 100,000 bytes, and the reason that it is. */
const CHANGES: [(file: string) => Promise<unknown>, string][] = [
  [(file) => rm(file), 'deleted'],
  [(file) => rename(file, `${file}-old`), 'deleted'],
  [
    async (file) => {
      await writeFile(`${file}-new`, 'another file');
      await rename(`${file}-new`, file);
    },
    'deleted',
  ],
  [(file) => truncate(file, 0), 'truncated'],
  [(file) => truncate(file, 99_999), 'truncated'],
];

describe('a session', () => {
  test('is taken over by its client, and what the deposed connection still does has no effect', async () => {
    const core = await startCore();
    const [oldOwner, newOwner] = [new RecordingOwner(), new RecordingOwner()];
    const old = await core.open('a', oldOwner, { session });
    old.append(Buffer.from('one '));
    const next = await core.open('a', newOwner, { session, expect: 0 });
    expect(oldOwner.isDeposed).toBe(true);
    await next.ready();
    expect(next.received).toBe(4);
    expect(old.append(Buffer.from('late'))).toBe(true);
    old.release();
    await old.end('finished');
    expect(next.feed.isWaiting).toBe(false);
    next.append(Buffer.from('two'));
    await next.end('finished');
    expect((await core.contents('a')).toString()).toBe('one two');
    expect(newOwner.safePosition).toBe(7);
    expect(oldOwner.safePosition).toBeLessThanOrEqual(4);
  });

  test('tells the new connection where to go on only when the bytes of the old one are written', async () => {
    const core = await startCore();
    const old = await core.open('a', undefined, { session });
    const write = holdWrite(old);
    old.append(Buffer.from('one '));
    await waitFor(write.isHeld, 'the write');
    const next = await core.open('a', undefined, { session });
    let isReady = false;
    const ready = next.ready().then(() => {
      isReady = true;
    });
    await core.open('b');
    expect(isReady).toBe(false);
    write.release();
    await ready;
    expect([next.received, next.safePosition]).toEqual([4, 4]);
    await next.end('finished');
  });

  test('must begin where the client expects it', async () => {
    const core = await startCore();
    const appender = await core.open('a', undefined, { session, expect: 0 });
    appender.append(Buffer.from('four'));
    await expect(core.open('a', undefined, { session, expect: 4 })).rejects.toThrow(PositionMismatchError);
    expect(appender.append(Buffer.from('!'))).toBe(true);
    const next = await core.open('a', undefined, { session, expect: 0 });
    await next.end('finished');
    expect((await core.contents('a')).toString()).toBe('four!');
    await expect(core.open('a', undefined, { session: stranger, expect: 0 })).rejects.toThrow(
      PositionMismatchError,
    );
  });

  test('of whoever comes first wins when many strangers come at once', async () => {
    const core = await startCore();
    const comers = Array.from({ length: 20 }, (_, i) =>
      core.open('a', undefined, { session: String(i).padStart(20, 'x') }),
    );
    const results = await Promise.allSettled(comers);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(AppendConflictError);
    }
  });

  test('that waits for its client is over when the core closes, and goes on in the next one', async () => {
    const core = await startCore({ graceMs: NEVER_MS });
    const appender = await core.open('a', undefined, { session });
    const sink = join(appender);
    appender.append(Buffer.from('one '));
    await appender.ready();
    appender.release();
    expect(sink.waits).toEqual([true]);
    await core.core.close();
    expect(sink.endReason).toBe('shutdown');
    expect((await rememberedIn(core.directory)).a).toEqual({ session, start: 0, state: 'open' });
    const next = await startCore({ directory: core.directory, graceMs: NEVER_MS });
    await expect(next.open('a', undefined, { session: stranger })).rejects.toThrow(AppendConflictError);
    const back = await next.open('a', undefined, { session, expect: 0 });
    expect(back.received).toBe(4);
    await back.end('finished');
    await next.core.close();
  });

  test('cannot be taken over any more once the core closes', async () => {
    const core = await startCore({ graceMs: NEVER_MS });
    const appender = await core.open('a', undefined, { session });
    const owner = new RecordingOwner();
    const taking = core.open('a', owner, { session });
    const closed = core.core.close();
    await expect(taking).rejects.toThrow(ServerClosingError);
    await appender.end('shutdown');
    await closed;
  });

  test('ends by what happens to its file also when its holder cannot be told', async () => {
    const core = await startCore();
    const owner = new RecordingOwner();
    owner.lost = () => {
      throw new Error('a fault of the holder');
    };
    const appender = await core.open('a', owner, { session });
    const sink = join(appender);
    appender.append(Buffer.from('bytes'));
    await appender.ready();
    expect(() => core.core.sessions.loseAll(new StorageError('the disk is gone'))).toThrow('the holder');
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect([sink.bytes.toString(), sink.endReason]).toEqual(['bytes', 'interrupted']);
    const next = await core.open('a', undefined, { session: stranger });
    await next.end('finished');
  });

  test('that is lost during its grace by what happens to its file ends at once', async () => {
    const core = await startCore({ graceMs: NEVER_MS });
    const appender = await core.open('a', undefined, { session });
    const sink = join(appender);
    appender.append(Buffer.from('bytes'));
    await appender.ready();
    appender.release();
    await rm(path.join(core.directory, 'a'));
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect([sink.bytes.toString(), sink.endReason]).toEqual(['bytes', 'deleted']);
    const next = await core.open('a', undefined, { session: stranger });
    expect(next.startPosition).toBe(0);
    await next.end('finished');
  });

  test('whose file is deleted, renamed, replaced or cut while it is quiet ends, and who is behind gets what is left', async () => {
    const core = await startCore({ graceMs: NEVER_MS });
    // All at once, because the look at quiet files comes once a second.
    const endings = CHANGES.map(async ([change, reason], i) => {
      const owner = new RecordingOwner();
      const appender = await core.open(`f${i}`, owner, { session });
      const [keen, stalled] = [join(appender), join(appender, 0, 0)];
      appender.append(Buffer.alloc(100_000, 'x'));
      await waitFor(() => keen.bytes.length === 100_000, 'the bytes');
      await change(path.join(core.directory, `f${i}`));
      await waitFor(() => keen.endReason !== undefined, 'the end');
      expect([i, keen.endReason, owner.failures.length, appender.safePosition]).toEqual([
        i,
        reason,
        1,
        100_000,
      ]);
      expect(appender.append(Buffer.from('late'))).toBe(true);
      stalled.drain();
      await waitFor(() => stalled.endReason !== undefined, 'the end of who was behind');
      expect(stalled.endReason).toBe(reason);
      if (reason === 'deleted') expect(stalled.bytes).toHaveLength(100_000);
      await appender.end('finished');
      expect(appender.endReason).toBe(reason);
    });
    await Promise.all(endings);
    await core.core.close();
  });
});
