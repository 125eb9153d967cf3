import { describe, expect, test } from 'vitest';
import { anywhere } from '../../../src/core/readers/cutting.ts';
import { CollectingSink, join, startCore } from '../../support/core/harness.ts';
import { waitFor } from '../../support/wait-for.ts';

const text = (length: number, letter = 'a') => Buffer.alloc(length, letter);

describe('a feed', () => {
  test('sends only what is in the file', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const sink = join(appender);
    appender.append(text(10));
    expect(sink.bytes).toHaveLength(0);
    await waitFor(() => sink.bytes.length === 10, 'the bytes');
    expect(await core.contents('a')).toEqual(text(10));
    await appender.end('finished');
  });

  test('gives a late follower the history from the file, then what comes', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    appender.append(text(300_000, 'x'));
    await waitFor(() => appender.feed.committed === 300_000, 'the history');
    const sink = join(appender, 100);
    appender.append(text(5, 'y'));
    await appender.end('finished');
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect(sink.bytes.equals(Buffer.concat([text(299_900, 'x'), text(5, 'y')]))).toBe(true);
  });

  test('lets all followers of one encoder share the encoded bytes', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const written: Buffer[] = [];
    const sinks = Array.from({ length: 5 }, () => {
      const sink = new CollectingSink();
      sink.write = (encoded) => {
        written.push(...encoded);
        return true;
      };
      sink.follower = appender.feed.join(0, sink, 'session');
      sink.drain();
      return sink;
    });
    appender.append(text(1000));
    await waitFor(() => written.length === sinks.length, 'all writes');
    expect(new Set(written.map(({ buffer }) => buffer)).size).toBe(1);
    await appender.end('finished');
  });

  test('keeps no bytes in memory once everybody has them', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const [keen, slow] = [join(appender), join(appender, 0, 1)];
    appender.append(text(1000));
    await waitFor(() => slow.bytes.length === 1000, 'the first bytes');
    appender.append(text(1000));
    await waitFor(() => keen.bytes.length === 2000, 'the second bytes');
    expect(appender.feed.window(anywhere).at(1500)).toBeDefined();
    slow.drain();
    expect(slow.bytes).toHaveLength(2000);
    expect(appender.feed.window(anywhere).at(1500)).toBeUndefined();
    await appender.end('finished');
  });

  test('keeps few chunks in memory however small they are, and loses none of their bytes', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const stalled = join(appender, 0, 0);
    for (let i = 0; i < 1000; i++) {
      appender.append(text(1, String.fromCharCode(97 + (i % 26))));
      await waitFor(() => appender.feed.committed === i + 1, 'the byte');
    }
    expect(appender.feed.window(anywhere).at(0)).toBeUndefined();
    expect(appender.feed.window(anywhere).at(999)).toBeDefined();
    stalled.drain();
    await appender.end('finished');
    await waitFor(() => stalled.endReason !== undefined, 'the end');
    expect(stalled.bytes.equals(await core.contents('a'))).toBe(true);
  });

  test('lets its window go when the last one that is behind leaves', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const stalled = join(appender, 0, 0);
    appender.append(text(1000));
    await waitFor(() => appender.feed.committed === 1000, 'the bytes');
    stalled.follower?.leave();
    expect(appender.feed.window(anywhere).at(500)).toBeUndefined();
    await appender.end('finished');
  });

  test('a follower that takes nothing holds nobody back, and gets its whole tail after the end', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const [stalled, keen] = [join(appender, 0, 1), join(appender)];
    const parts = Array.from({ length: 80 }, (_, i) => text(64 * 1024, String.fromCharCode(65 + (i % 26))));
    for (const part of parts) appender.append(Buffer.from(part));
    await appender.end('finished');
    expect(keen.endReason).toBe('finished');
    expect(stalled.endReason).toBeUndefined();
    stalled.drain();
    await waitFor(() => stalled.endReason !== undefined, 'the end');
    expect(stalled.bytes.equals(Buffer.concat(parts))).toBe(true);
    expect(keen.bytes.equals(stalled.bytes)).toBe(true);
  });

  test('tells only those who still wait whether the appender is there', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const [ended, staying] = [join(appender, 0, 1), new CollectingSink()];
    appender.feed.join(0, staying, 'stream').drained();
    appender.append(text(10));
    await waitFor(() => ended.bytes.length === 10, 'the bytes');
    appender.feed.setWaiting(true);
    appender.feed.end({ reason: 'interrupted' }, 'session');
    expect(staying.waits).toEqual([true, false]);
    expect(ended.waits).toEqual([true]);
    ended.drain();
    expect(ended.endReason).toBe('interrupted');
    await appender.end('finished');
  });

  test('counts bytes that it knows already once only', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    appender.append(text(10));
    await waitFor(() => appender.feed.committed === 10, 'the bytes');
    const sink = join(appender);
    await waitFor(() => sink.bytes.length === 10, 'the history');
    appender.feed.commit(0, [text(10)]);
    expect(appender.feed.committed).toBe(10);
    expect(sink.bytes).toHaveLength(10);
    await appender.end('finished');
  });

  test('tells a follower whose file cannot be read, and only that one', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    appender.append(text(10));
    await waitFor(() => appender.feed.committed === 10, 'the bytes');
    const { file } = appender.feed;
    file.read = async () => {
      throw new Error('EIO');
    };
    const unlucky = join(appender);
    const caughtUp = join(appender, 10);
    await waitFor(() => unlucky.failure !== undefined, 'the failure');
    appender.append(text(5));
    await appender.end('finished');
    expect(caughtUp.bytes).toHaveLength(5);
    expect(caughtUp.endReason).toBe('finished');
  });

  test('takes no follower any more once nobody has it', async () => {
    const core = await startCore();
    const appender = await core.open('a');
    const { feed } = appender;
    feed.retain();
    await appender.end('finished');
    feed.join(0, new CollectingSink(), 'session').leave();
    feed.release();
    await core.core.close();
    expect(() => feed.join(0, new CollectingSink(), 'session')).toThrow('nobody has the feed');
  });
});
