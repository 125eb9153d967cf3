import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  AppendConflictError,
  ServerClosingError,
  StorageError,
  StorageFullError,
} from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import {
  fileOf,
  join,
  RecordingOwner,
  startCore,
  writeByThreads,
  writeInLine,
} from '../../support/core/harness.ts';
import { waitFor } from '../../support/wait-for.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe('an appender', () => {
  test('is the only one of its file, whatever name it uses', async () => {
    const core = await startCore();
    const appender = await core.open('a/b');
    await expect(core.open('a/b')).rejects.toThrow(AppendConflictError);
    await expect(core.open('/a/./b/')).rejects.toThrow(AppendConflictError);
    await appender.end('finished');
    const next = await core.open('a/b');
    await next.end('finished');
  });

  test('wins alone when many come at once', async () => {
    const core = await startCore();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => core.open('a')));
    const winners = results.filter(({ status }) => status === 'fulfilled');
    expect(winners).toHaveLength(1);
  });

  test('goes on at the end of what is there', async () => {
    const core = await startCore();
    for (const word of ['one ', 'two ', 'three']) {
      const appender = await core.open('a');
      appender.append(Buffer.from(word));
      await appender.end('finished');
    }
    expect((await core.contents('a')).toString()).toBe('one two three');
  });

  test('writes together what comes in one turn of the event loop', async () => {
    writeInLine();
    const core = await startCore();
    const appender = await core.open('a');
    const file = fileOf(appender);
    const append = file.writeInLine.bind(file);
    const batches: number[] = [];
    file.writeInLine = (buffers) => {
      batches.push(Buffer.concat(buffers).length);
      return append(buffers);
    };
    for (let i = 0; i < 100; i++) appender.append(Buffer.from('x'));
    await nextTurn();
    appender.append(Buffer.from('y'));
    await appender.end('finished');
    expect(batches).toEqual([100, 1]);
  });

  test('writes together what comes while a thread writes', async () => {
    writeByThreads();
    const core = await startCore();
    const appender = await core.open('a');
    const file = fileOf(appender);
    const write = file.write.bind(file);
    const batches: number[] = [];
    file.write = (buffers) => {
      batches.push(Buffer.concat(buffers).length);
      return write(buffers);
    };
    appender.append(Buffer.from('x'));
    await waitFor(() => batches.length === 1, 'the first write');
    for (let i = 0; i < 99; i++) appender.append(Buffer.from('x'));
    await appender.end('finished');
    expect(batches).toEqual([1, 99]);
  });

  test('is asked to pause while the disk is slow, and told when to go on', async () => {
    const core = await startCore();
    const owner = new RecordingOwner();
    const appender = await core.open('a', owner);
    const file = fileOf(appender);
    const write = file.write.bind(file);
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    file.write = async (buffers) => {
      await gate;
      await write(buffers);
    };
    let appended = 0;
    while (appender.append(Buffer.alloc(65_536))) appended += 65_536;
    expect(appended).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(owner.drains).toBe(0);
    release();
    await waitFor(() => owner.drains === 1, 'the word to go on');
    expect(appender.append(Buffer.from('x'))).toBe(true);
    await appender.end('finished');
  });

  test.each([
    ['ENOSPC', StorageFullError, 'in line'],
    ['EIO', StorageError, 'in line'],
    ['ENOSPC', StorageFullError, 'by a thread'],
    ['EIO', StorageError, 'by a thread'],
  ])(
    'whose bytes the disk refuses with %s ends interrupted, and a torn tail is cut (written %3$s)',
    async (code, errorClass, way) => {
      if (way === 'by a thread') writeByThreads();
      const core = await startCore();
      const owner = new RecordingOwner();
      const appender = await core.open('a', owner);
      const sink = join(appender);
      appender.append(Buffer.from('good'));
      await waitFor(() => sink.bytes.length === 4, 'the good bytes');
      const file = fileOf(appender);
      const write = file.write.bind(file);
      const append = file.writeInLine.bind(file);
      file.write = async (_buffers) => {
        await write([Buffer.from('to')]);
        throw systemError(code);
      };
      file.writeInLine = () => {
        append([Buffer.from('to')]);
        throw systemError(code);
      };
      appender.append(Buffer.from('torn'));
      await waitFor(() => owner.failures.length === 1, 'the failure');
      expect(owner.failures[0]).toBeInstanceOf(errorClass);
      await waitFor(() => sink.endReason !== undefined, 'the end');
      expect(sink.endReason).toBe('interrupted');
      expect(sink.bytes.toString()).toBe('good');
      expect((await core.contents('a')).toString()).toBe('good');
      expect(appender.append(Buffer.from('late'))).toBe(true);
      await appender.end('finished');
      expect(appender.endReason).toBe('interrupted');
      const next = await core.open('a');
      expect(next.startPosition).toBe(4);
      await next.end('finished');
    },
  );

  test('ends interrupted when its bytes cannot be made durable', async () => {
    const core = await startCore();
    const owner = new RecordingOwner();
    const appender = await core.open('a', owner);
    fileOf(appender).sync = async () => {
      throw systemError('EIO');
    };
    appender.append(Buffer.from('x'));
    await waitFor(() => owner.failures.length === 1, 'the failure');
    await appender.end('finished');
    expect(appender.endReason).toBe('interrupted');
  });

  test('whose bytes cannot be made durable lets a write that is under way come to its end before its file is closed', async () => {
    writeByThreads();
    const core = await startCore();
    const owner = new RecordingOwner();
    const appender = await core.open('a', owner);
    const file = fileOf(appender);
    const calls: string[] = [];
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const write = file.write.bind(file);
    const close = file.close.bind(file);
    file.close = () => {
      calls.push('closed');
      return close();
    };
    file.sync = async () => {
      throw systemError('EIO');
    };
    appender.append(Buffer.from('x'));
    await waitFor(() => appender.feed.committed === 1, 'the first write');
    file.write = async (buffers) => {
      await gate;
      await write(buffers);
      calls.push('written');
    };
    appender.append(Buffer.from('y'));
    await waitFor(() => owner.failures.length === 1, 'the failure');
    expect(calls).toEqual([]);
    release();
    await core.core.close();
    expect(calls).toEqual(['written', 'closed']);
  });

  test('makes its bytes durable while it goes on, and at its end', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const file = fileOf(appender);
    let syncs = 0;
    const sync = file.sync.bind(file);
    file.sync = () => {
      syncs++;
      return sync();
    };
    appender.append(Buffer.from('x'));
    await waitFor(() => syncs === 1, 'the sync while it goes on');
    appender.append(Buffer.from('y'));
    await appender.end('finished');
    await core.core.close();
    expect(syncs).toBe(2);
  });

  test('is refused once the core closes, which waits for those that are open', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    let isClosed = false;
    const closed = core.core.close().then(() => {
      isClosed = true;
    });
    await expect(core.open('b')).rejects.toThrow(ServerClosingError);
    expect(isClosed).toBe(false);
    appender.append(Buffer.from('last words'));
    await appender.end('shutdown');
    await closed;
    expect((await core.contents('a')).toString()).toBe('last words');
  });

  test('keeps its file open until the last follower has everything', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const stalled = join(appender, 0, 0);
    appender.append(Buffer.alloc(100_000, 'x'));
    await appender.end('finished');
    const closed = core.core.close();
    stalled.drain();
    await closed;
    expect(stalled.bytes).toHaveLength(100_000);
    expect(stalled.endReason).toBe('finished');
  });

  test('a follower learns that the file was cut under it', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    appender.append(Buffer.alloc(1000, 'x'));
    await waitFor(() => appender.feed.committed === 1000, 'the bytes');
    await truncate(path.join(core.directory, 'a'), 10);
    const sink = join(appender);
    await waitFor(() => sink.endReason === 'truncated', 'the end');
    expect(sink.bytes).toHaveLength(10);
    await appender.end('finished');
  });

  test('is found by the fingerprint of its file while it is live', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const { fingerprint } = await core.root.stat(ResourcePath.parse('a'));
    expect(core.core.followers.live(fingerprint)).toBe(appender.feed);
    await appender.end('finished');
    expect(core.core.followers.live(fingerprint)).toBeUndefined();
  });
});
