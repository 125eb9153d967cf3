import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  AppendConflictError,
  append,
  follow,
  openAppend,
  ResourceNotFoundError,
  StreamInterruptedError,
} from '../../src/client/index.ts';
import { OriginalAppender, OriginalFollower } from '../support/original/clients.ts';
import { OriginalServer } from '../support/original/server.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;

/** An append that is open, until the test is over. */
async function opened(url: string) {
  const writable = openAppend(url);
  onTestFinished(() => {
    writable.on('error', () => undefined).destroy();
  });
  await once(writable, 'open');
  return writable;
}

function errorOf(readable: Readable): Promise<unknown> {
  return buffer(readable).then(
    () => undefined,
    (error) => error,
  );
}

describe('the emulated server and clients', () => {
  test('understand each other', async () => {
    const server = await OriginalServer.start({ pingMs: 10 });
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('before');
    await waitFor(() => server.content('/a').length === 6, 'the history');
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.pings > 1 && server.followerPongs > 1, 'pings and pongs');
    await appender.write('after');
    await appender.close();
    const outcome = await follower.outcome;
    expect(outcome).toMatchObject({ exitCode: 0, closeCode: 1000, upgraded: true, lostBytes: 0 });
    expect(String(outcome.bytes)).toBe('beforeafter');
    const idle = await OriginalFollower.connect(server.url('/a'));
    expect(await idle.outcome).toMatchObject({
      exitCode: 0,
      upgraded: false,
      bytes: Buffer.from('beforeafter'),
    });
    await expect(OriginalFollower.connect(server.url('/none'))).rejects.toThrow('file does not exist');
  });

  test('show the fault of the original: the end of a long history is lost', async () => {
    const server = await OriginalServer.start();
    server.write('/a', randomBytes(50_000));
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.frames >= 6, 'the history');
    await appender.close();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, lostBytes: 50_000 - 10_240 });
  });
});

describe('our clients', () => {
  test('offer the subprotocol, take it that the original does not know it, and go on without', async () => {
    const server = await OriginalServer.start();
    const writable = await opened(server.url('/a'));
    const readable = follow(server.url('/a'));
    const [opening] = await once(readable, 'open');
    expect(opening).toEqual({ generation: undefined, position: 0, live: undefined });
    expect(writable.startPosition).toBeUndefined();
    for (const { headers } of server.requests) {
      expect(headers['sec-websocket-protocol']).toBe('httpfstream.v2');
      expect(headers['sec-websocket-extensions']).toBeUndefined();
    }
    writable.end('x');
    await finished(writable);
    expect(String(await buffer(readable))).toBe('x');
    expect(server.requests).toHaveLength(2);
  });

  test('do not connect again when the original crashes: it would append twice, or begin anew', async () => {
    const server = await OriginalServer.start();
    let reconnects = 0;
    const options = { retry: { minDelayMs: 1 }, onReconnect: () => reconnects++ };
    const writable = openAppend(server.url('/a'), options);
    const failed = finished(writable).catch((error) => error);
    await once(writable, 'open');
    const followed = errorOf(follow(server.url('/a'), options));
    await waitFor(() => server.followerCount('/a') === 1, 'the follower');
    server.crash();
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
    expect(await followed).toBeInstanceOf(StreamInterruptedError);
    expect(reconnects).toBe(0);
    expect(server.requests).toHaveLength(2);
  });
});

describe('our appender', () => {
  test('calls nothing safe that the original has not confirmed', async () => {
    const server = await OriginalServer.start();
    const acks: number[] = [];
    const writable = openAppend(server.url('/a'), { onAck: (bytes) => acks.push(bytes) });
    const failed = finished(writable).catch((error) => error);
    await once(writable, 'open');
    server.hang();
    await new Promise((resolve) => writable.write('into the void', resolve));
    // What the system has taken is not yet what the original has.
    await new Promise((resolve) => writable.write('!', resolve));
    server.crash();
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
    expect(String(server.content('/a'))).toBe('');
    expect(writable.acknowledgedBytes).toBe(0);
    expect(acks).toEqual([]);
  });

  test('sends text, which the original takes, whatever the bytes are', async () => {
    const server = await OriginalServer.start();
    const bytes = randomBytes(5 * MIB);
    expect(await append(server.url('/a'), [bytes])).toEqual({
      position: undefined,
      bytes: bytes.length,
      generation: undefined,
    });
    expect(server.content('/a').equals(bytes)).toBe(true);
    expect(server.received.binaryMessages).toBe(0);
  });

  test('names its verb in the header', async () => {
    const server = await OriginalServer.start();
    await append(server.url('/a?verb=FOLLOW'), ['x']);
    expect(server.requests[0]?.headers['x-verb']).toBe('APPEND');
    expect(String(server.content('/a'))).toBe('x');
  });

  test('ends with close 1000 and takes the empty close frame as the answer', async () => {
    const server = await OriginalServer.start();
    await append(server.url('/a'), ['x']);
    expect(server.received.closeCodes).toEqual([1000]);
  });

  test('is told of a conflict', async () => {
    const server = await OriginalServer.start();
    await opened(server.url('/a'));
    const error = await append(server.url('/a'), ['x']).catch((reason) => reason);
    expect(error).toBeInstanceOf(AppendConflictError);
    expect(error.message).toBe('HTTP status 403: addWriter: path already has an active writer');
  });

  test('sends pongs while it has nothing to append, more often than every 25 s, so that it is not cut', async () => {
    const server = await OriginalServer.start();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const writable = await opened(server.url('/a'));
    for (let i = 1; i <= 4; i++) {
      vi.advanceTimersByTime(20_000);
      await waitFor(() => server.received.pongs >= i, `pong ${i}`);
    }
    writable.end('x');
    await finished(writable);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('notices that it was cut for its silence', async () => {
    const server = await OriginalServer.start({ readWaitMs: 50 });
    const writable = await opened(server.url('/a'));
    await expect(finished(writable)).rejects.toBeInstanceOf(StreamInterruptedError);
  });

  test('fails when the server crashes before the end', async () => {
    const server = await OriginalServer.start();
    const writable = await opened(server.url('/a'));
    writable.write('x');
    await waitFor(() => server.content('/a').length === 1, 'the byte');
    server.crash();
    await expect(finished(writable)).rejects.toBeInstanceOf(StreamInterruptedError);
  });

  test('fails when the server takes nothing for too long', async () => {
    const server = await OriginalServer.start();
    const writable = openAppend(server.url('/a'), { stallTimeoutMs: 50 });
    await once(writable, 'open');
    server.hang();
    const failed = finished(writable).catch((error) => error);
    writable.write(randomBytes(16 * MIB));
    expect(await failed).toMatchObject({
      constructor: StreamInterruptedError,
      message: expect.stringContaining('the server has taken nothing for 0.05 s'),
    });
  });

  test('fails when the server does not answer its close for too long', async () => {
    const server = await OriginalServer.start();
    const writable = openAppend(server.url('/a'), { stallTimeoutMs: 50 });
    await once(writable, 'open');
    server.hang();
    writable.end('x');
    await expect(finished(writable)).rejects.toThrow('the server has taken nothing for 0.05 s');
  });

  test('does not mind how long it has nothing to send', async () => {
    const server = await OriginalServer.start();
    const writable = openAppend(server.url('/a'), { stallTimeoutMs: 500 });
    await once(writable, 'open');
    await new Promise((resolve) => writable.write('x', resolve));
    await waitFor(() => server.content('/a').length === 1, 'the byte');
    const past = performance.now() + 600;
    await waitFor(() => performance.now() > past, 'more than the time to pass');
    expect(writable.destroyed).toBe(false);
    writable.on('error', () => undefined).destroy();
  });

  test('sends what followers of the original read whole', async () => {
    const server = await OriginalServer.start();
    const writable = await opened(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    const bytes = randomBytes(2 * MIB);
    writable.end(bytes);
    await finished(writable);
    const outcome = await follower.outcome;
    expect(outcome).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(outcome.bytes.equals(bytes)).toBe(true);
  });

  test('waits while the server takes nothing, and goes on', async () => {
    const server = await OriginalServer.start();
    const writable = await opened(server.url('/a'));
    server.hang();
    let drains = 0;
    writable.on('drain', () => drains++);
    const block = randomBytes(MIB);
    let written = 0;
    for (; written < 32; written++) writable.write(block);
    expect(writable.writableNeedDrain).toBe(true);
    expect(drains).toBe(0);
    server.wake();
    writable.end();
    await finished(writable);
    expect(server.content('/a').length).toBe(written * MIB);
  });
});

describe('our follower', () => {
  test('reads a history that is one fragmented message, the empty message, and what comes live', async () => {
    const server = await OriginalServer.start();
    const bytes = randomBytes(3 * MIB);
    server.write('/a', bytes.subarray(0, 2 * MIB));
    const appender = await OriginalAppender.connect(server.url('/a'));
    const readable = follow(server.url('/a'));
    const read = buffer(readable);
    await waitFor(() => server.followerCount('/a') === 1, 'the follower');
    await appender.copy(bytes.subarray(2 * MIB));
    await appender.close();
    expect((await read).equals(bytes)).toBe(true);
  });

  test('leaves pings unanswered and stays: what it sends would lie unread, and turn its end into a reset', async () => {
    const server = await OriginalServer.start({ pingMs: 5 });
    const appender = await OriginalAppender.connect(server.url('/a'));
    const read = buffer(follow(server.url('/a')));
    await waitFor(() => server.pings >= 5, 'five pings');
    const bytes = randomBytes(3 * MIB);
    await appender.copy(bytes);
    await appender.close();
    expect((await read).equals(bytes)).toBe(true);
    expect(server.followerPongs).toBe(0);
  });

  test('reads an idle file from the 200 that answers its handshake', async () => {
    const server = await OriginalServer.start();
    const bytes = randomBytes(3 * MIB);
    server.write('/a', bytes);
    expect((await buffer(follow(server.url('/a')))).equals(bytes)).toBe(true);
    expect(server.requests[0]?.headers.upgrade).toBe('websocket');
  });

  test('reads an empty live file', async () => {
    const server = await OriginalServer.start();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const read = buffer(follow(server.url('/a')));
    await waitFor(() => server.followerCount('/a') === 1, 'the follower');
    await appender.close();
    expect(await read).toHaveLength(0);
  });

  test('is told of a missing file', async () => {
    const server = await OriginalServer.start();
    expect(await errorOf(follow(server.url('/none')))).toBeInstanceOf(ResourceNotFoundError);
  });

  test('fails when the server crashes', async () => {
    const server = await OriginalServer.start();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('x');
    const readable = follow(server.url('/a'));
    const failed = errorOf(readable);
    await once(readable, 'data');
    server.crash();
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
  });

  test('lets go of the connection when it is destroyed', async () => {
    const server = await OriginalServer.start();
    await OriginalAppender.connect(server.url('/a'));
    const readable = follow(server.url('/a'));
    await once(readable, 'open');
    expect(server.followerCount('/a')).toBe(1);
    readable.destroy();
    await waitFor(() => server.followerCount('/a') === 0, 'the follower to leave');
  });
});

test('our clients see through the original server what they sent', async () => {
  const server = await OriginalServer.start();
  const writable = await opened(server.url('/dir/a'));
  const read = buffer(follow(server.url('/dir/a')));
  await waitFor(() => server.followerCount('/dir/a') === 1, 'the follower');
  const bytes = randomBytes(2 * MIB);
  writable.end(bytes);
  await finished(writable);
  expect((await read).equals(bytes)).toBe(true);
});
