import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AppendOptions,
  type AppendStream,
  append,
  follow,
  openAppend,
  ResourceGoneError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { Random } from '../../support/random.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { QUICK, rejection, startNetwork } from '../client-server.ts';

const MIB = 1024 * 1024;

/** What is appended between two cuts of the network. */
const BLOCK_BYTES = 200_000;

function startAppend(url: string, options: AppendOptions = {}): AppendStream {
  const writable = openAppend(url, { retry: QUICK, ...options });
  writable.on('error', () => undefined);
  onTestFinished(() => {
    writable.destroy();
  });
  return writable;
}

/** Writes as fast as it is taken. */
async function write(writable: AppendStream, bytes: Buffer, blockBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += blockBytes) {
    if (!writable.write(bytes.subarray(at, at + blockBytes))) await once(writable, 'drain');
  }
}

describe('an append whose network is cut', () => {
  test.each([
    ['by ends', (network: ChaosProxy) => network.cutAll()],
    ['by resets', (network: ChaosProxy) => network.resetAll()],
  ])('again and again %s arrives byte for byte, and its followers notice nothing', async (_, cut) => {
    const { server, network, onDisk, url } = await startNetwork();
    const bytes = randomBytes(12 * BLOCK_BYTES);
    let reconnects = 0;
    const acks: number[] = [];
    const writable = startAppend(url, {
      bufferBytes: BLOCK_BYTES,
      onReconnect: () => reconnects++,
      onAck: (acknowledged) => acks.push(acknowledged),
    });
    await once(writable, 'open');
    const read = buffer(follow(server.url('/a')));
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      await write(writable, bytes.subarray(at, at + BLOCK_BYTES), BLOCK_BYTES / 10);
      cut(network);
    }
    await writable.close();
    expect(reconnects).toBeGreaterThanOrEqual(6);
    expect((await onDisk()).equals(bytes)).toBe(true);
    expect((await read).equals(bytes)).toBe(true);
    expect(acks).toEqual(acks.toSorted((a, b) => a - b));
    expect(acks.at(-1)).toBe(bytes.length);
    expect(writable.acknowledgedBytes).toBe(bytes.length);
  });

  test('takes over from a connection of which the server does not know that it is dead', async () => {
    const { network, onDisk, url } = await startNetwork();
    const writable = startAppend(url);
    writable.write('before ');
    await waitFor(() => writable.acknowledgedBytes === 7, 'the acknowledgement');
    // Nothing comes through any more, not even that the client has gone.
    network.stallAll();
    writable.write('lost on the way ');
    const second = openAppend(url, { retry: false });
    expect(await rejection(finished(second))).toMatchObject({ code: 'HFS_APPEND_CONFLICT' });
    network.resetAll();
    await writable.close();
    expect(String(await onDisk())).toBe('before lost on the way ');
  });

  test('takes more than its buffer during an outage, when it is over', async () => {
    const { network, onDisk, url } = await startNetwork();
    const bytes = randomBytes(MIB);
    let attempts = 0;
    const writable = startAppend(url, { bufferBytes: 64 * 1024, onReconnect: () => attempts++ });
    await once(writable, 'open');
    network.refuse(true);
    network.resetAll();
    await waitFor(() => attempts > 2, 'some attempts');
    let isTaken = false;
    const written = write(writable, bytes, 10_000).then(() => {
      isTaken = true;
    });
    const attemptsBefore = attempts;
    await waitFor(() => attempts > attemptsBefore + 2, 'some more');
    expect(isTaken).toBe(false);
    network.refuse(false);
    await written;
    await writable.close();
    expect((await onDisk()).equals(bytes)).toBe(true);
  });

  test('while it ends is confirmed all the same', async () => {
    const { network, onDisk, url } = await startNetwork();
    for (let i = 0; i < 10; i++) {
      const writable = startAppend(url);
      await once(writable, 'open');
      writable.write(`${i};`);
      const closed = writable.close();
      if (i % 2 === 0) await waitFor(() => writable.acknowledgedBytes === 2, 'the acknowledgement');
      network.resetAll();
      await closed;
    }
    expect(String(await onDisk())).toBe('0;1;2;3;4;5;6;7;8;9;');
  });

  test('tells where it began, in a file that was there before', async () => {
    const { network, onDisk, url } = await startNetwork();
    await append(url, ['before ']);
    const writable = startAppend(url, { expect: 7 });
    expect(writable.startPosition).toBeUndefined();
    await once(writable, 'open');
    network.resetAll();
    writable.write('after');
    await writable.close();
    expect(writable.startPosition).toBe(7);
    expect(writable.acknowledgedBytes).toBe(5);
    expect(String(await onDisk())).toBe('before after');
  });

  test.each([
    ['at once while it is connected', false],
    ['when the grace is over while it is away', true],
  ])('ends as interrupted for its followers when it is aborted: %s', async (_, isAway) => {
    const { server, network, url } = await startNetwork({ graceMs: isAway ? 100 : 60_000 });
    const controller = new AbortController();
    const reason = new Error('enough');
    const writable = startAppend(url, { signal: controller.signal });
    writable.write('x');
    await waitFor(() => writable.acknowledgedBytes === 1, 'the byte');
    const readable = follow(server.url('/a'));
    const failed = rejection(buffer(readable));
    await once(readable, 'open');
    if (isAway) {
      network.refuse(true);
      network.resetAll();
      await once(readable, 'waiting');
    }
    const ended = rejection(finished(writable));
    controller.abort(reason);
    expect(await ended).toBe(reason);
    expect(await failed).toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
    expect(readable.reason).toBe('interrupted');
  });
});

describe('an append that comes back too late', () => {
  test('goes on when nobody else has appended', async () => {
    const { server, network, onDisk, url } = await startNetwork({ graceMs: 50 });
    const writable = startAppend(url);
    writable.write('one ');
    await waitFor(() => writable.acknowledgedBytes === 4, 'the acknowledgement');
    const readable = follow(server.url('/a'));
    const failed = rejection(buffer(readable));
    network.refuse(true);
    network.resetAll();
    expect(await failed).toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
    network.refuse(false);
    writable.write('two');
    await writable.close();
    expect(String(await onDisk())).toBe('one two');
  });

  test('is interrupted when somebody else has, and adds nothing to that', async () => {
    const { server, network, onDisk, url } = await startNetwork({ graceMs: 50 });
    const writable = startAppend(url);
    writable.write('mine ');
    await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
    network.refuse(true);
    network.resetAll();
    const failed = rejection(finished(writable));
    await waitFor(
      () =>
        append(server.url('/a'), ['theirs']).then(
          () => true,
          () => false,
        ),
      'the grace to be over',
    );
    writable.write('never');
    network.refuse(false);
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
    expect((await failed) as Error).toHaveProperty('cause.code', expect.stringMatching(/^HFS_/));
    expect(String(await onDisk())).toBe('mine theirs');
    expect(writable.acknowledgedBytes).toBe(5);
  });

  test('is interrupted while somebody else appends', async () => {
    const { server, network, onDisk, url } = await startNetwork({ graceMs: 50 });
    const writable = startAppend(url);
    writable.write('mine ');
    await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
    network.refuse(true);
    network.resetAll();
    const failed = rejection(finished(writable));
    let other: AppendStream | undefined;
    await waitFor(async () => {
      other = startAppend(server.url('/a'));
      return once(other, 'open').then(
        () => true,
        () => false,
      );
    }, 'the grace to be over');
    network.refuse(false);
    writable.write('never');
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
    other?.write('theirs');
    await other?.close();
    expect(String(await onDisk())).toBe('mine theirs');
  });
});

describe('an append whose file is', () => {
  test.each([
    ['deleted', (file: string) => rm(file), ResourceGoneError],
    ['cut', (file: string) => truncate(file, 3), StreamTruncatedError],
  ])('%s while it goes on is told so', async (_, change, type) => {
    const { server, url } = await startNetwork();
    const writable = startAppend(url);
    writable.write('hello');
    await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
    const failed = rejection(finished(writable));
    await change(path.join(server.root, 'a'));
    writable.write('more');
    expect(await failed).toBeInstanceOf(type);
    expect(writable.acknowledgedBytes).toBe(5);
  });

  test('deleted while it is away is told so, and no new one is made', async () => {
    const { server, network, onDisk, url } = await startNetwork();
    const writable = startAppend(url);
    writable.write('hello');
    await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
    const failed = rejection(finished(writable));
    network.refuse(true);
    network.resetAll();
    await rm(path.join(server.root, 'a'));
    writable.write('more');
    network.refuse(false);
    expect(await failed).toBeInstanceOf(ResourceGoneError);
    expect(await rejection(onDisk())).toMatchObject({ code: 'ENOENT' });
  });
});

describe('an append whose server', () => {
  test('is killed and started again goes on, and so do its followers', async () => {
    const root = await temporaryDirectory();
    const server = await ServerProcess.start(root);
    const url = server.url('/a');
    const bytes = randomBytes(6 * MIB);
    const writable = startAppend(url, { bufferBytes: MIB });
    await once(writable, 'open');
    const readable = follow(url, { retry: QUICK });
    const read = buffer(readable);
    await once(readable, 'open');
    const written = write(writable, bytes.subarray(0, bytes.length / 2), 50_000);
    await waitFor(() => writable.acknowledgedBytes > 0, 'some of it');
    await server.stop('SIGKILL');
    await ServerProcess.start(root, ['-http', `127.0.0.1:${server.port}`]);
    await written;
    await write(writable, bytes.subarray(bytes.length / 2), 50_000);
    await writable.close();
    expect((await readFile(path.join(root, 'a'))).equals(bytes)).toBe(true);
    expect((await read).equals(bytes)).toBe(true);
  });

  test('shuts down and is back goes on, and so do its followers', async () => {
    const root = await temporaryDirectory();
    const before = await startServer({ root });
    const network = await ChaosProxy.start(before.port, new Random(1), NO_CHAOS);
    const writable = startAppend(network.url('/a'));
    writable.write('before ');
    await waitFor(() => writable.acknowledgedBytes === 7, 'the acknowledgement');
    const readable = follow(network.url('/a'), { retry: QUICK });
    const read = buffer(readable);
    await once(readable, 'open');
    network.refuse(true);
    await before.app.close();
    network.targetPort = (await startServer({ root })).port;
    network.refuse(false);
    writable.write('after');
    await writable.close();
    expect(String(await readFile(path.join(root, 'a')))).toBe('before after');
    expect(String(await read)).toBe('before after');
  });
});
