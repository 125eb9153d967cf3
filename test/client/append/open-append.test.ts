import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import {
  AppendConflictError,
  ConnectionError,
  ForbiddenPathError,
  InvalidUrlError,
  openAppend,
  StreamClosedError,
  StreamInterruptedError,
  UnexpectedStatusError,
} from '../../../src/client/index.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original/clients.ts';
import { closePayload, frame, Op } from '../../support/original/frames.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { accept, rejection, startRawServer, watchedSignal, watchSockets } from '../client-server.ts';

const common = serverForAll();

const MIB = 1024 * 1024;

function onDisk(server: TestServer): Promise<Buffer> {
  return readFile(path.join(server.root, 'a'));
}

function failureOf(writable: Writable): Promise<unknown> {
  return rejection(finished(writable));
}

describe('openAppend', () => {
  test('throws at once for what is no URL', () => {
    expect(() => openAppend('nonsense')).toThrow(InvalidUrlError);
  });

  test('emits open, and finish only when the bytes are in the file', async () => {
    const server = await common.guest();
    const bytes = randomBytes(20 * MIB);
    const writable = openAppend(server.url('/a'));
    await once(writable, 'open');
    writable.end(bytes);
    await once(writable, 'finish');
    expect((await onDisk(server)).equals(bytes)).toBe(true);
  });

  test('takes what is written before the server has answered', async () => {
    const server = await common.guest();
    const writable = openAppend(server.url('/a'));
    writable.write('early ');
    writable.write('bird', 'utf8');
    writable.end('\n');
    await finished(writable);
    expect(String(await onDisk(server))).toBe('early bird\n');
  });

  test('what is written reaches followers at once, not at the end', async () => {
    const server = await common.guest();
    const writable = openAppend(server.url('/a'));
    await once(writable, 'open');
    const follower = await OriginalFollower.connect(server.url('/a'));
    for (let i = 1; i <= 10; i++) {
      writable.write('x');
      await waitFor(() => follower.byteCount === i, `byte ${i}`);
    }
    writable.end();
    await finished(writable);
    expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
  });

  test('a single write longer than any message may be arrives whole', async () => {
    const server = await common.guest();
    const bytes = Buffer.alloc(110 * MIB, randomBytes(1_000_003));
    const writable = openAppend(server.url('/a'));
    writable.end(bytes);
    await finished(writable);
    expect((await onDisk(server)).equals(bytes)).toBe(true);
  });

  test('asks to wait while a legacy server takes nothing, and buffers little', async () => {
    let peer: Socket | undefined;
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      peer = socket;
      socket.pause();
    });
    const writable = openAppend(server.url);
    await once(writable, 'open');
    let taken = 0;
    const block = Buffer.alloc(64 * 1024);
    // Until it says to wait and does not go on: the buffers of the system come first.
    const isDrained = () =>
      Promise.race([
        once(writable, 'drain').then(() => true),
        once(AbortSignal.timeout(300), 'abort').then(() => false),
      ]);
    do {
      while (writable.write(block)) taken += block.length;
    } while (await isDrained());
    expect(writable.writableLength).toBeLessThanOrEqual(2 * MIB + block.length);
    expect(taken).toBeLessThan(32 * MIB);
    peer?.resume();
    await once(writable, 'drain');
    writable.destroy();
  });

  test('a second appender gets an AppendConflictError', async () => {
    const server = await common.guest();
    await OriginalAppender.connect(server.url('/a'));
    const error = await failureOf(openAppend(server.url('/a')));
    expect(error).toBeInstanceOf(AppendConflictError);
    expect(error).toMatchObject({ code: 'HFS_APPEND_CONFLICT' });
  });

  test('a reserved path is a ForbiddenPathError', async () => {
    const server = await startServer();
    expect(await failureOf(openAppend(server.url('/.httpfstream/a')))).toBeInstanceOf(ForbiddenPathError);
  });

  test('a closed stream is a StreamClosedError', async () => {
    const server = await common.guest();
    const headers = { 'content-type': 'text/plain', 'stream-closed': 'true' };
    await fetch(server.url('/a'), { method: 'PUT', headers, body: 'all of it' });
    const error = await failureOf(openAppend(server.url('/a')));
    expect(error).toBeInstanceOf(StreamClosedError);
    expect(error).toMatchObject({
      code: 'HFS_STREAM_CLOSED',
      message: 'HTTP status 409: the stream is closed',
    });
  });

  test('close tells where the append ends, and in which file', async () => {
    const server = await common.guest();
    const { generation } = await openAppend(server.url('/a')).end('before, ').close();
    expect(await openAppend(server.url('/a')).end('after').close()).toEqual({
      position: 13,
      bytes: 5,
      generation,
    });
    const answer = await fetch(server.url('/a?verb=APPEND'), { method: 'PUT', body: 'x' });
    expect(await answer.json()).toMatchObject({ position: 14, bytes: 1, generation });
  });

  test('a directory is an UnexpectedStatusError with its status and the reason of the server', async () => {
    const server = await common.guest();
    const first = openAppend(server.url('/dir/a'));
    first.end();
    await finished(first);
    const error = await failureOf(openAppend(server.url('/dir')));
    expect(error).toBeInstanceOf(UnexpectedStatusError);
    expect(error).toMatchObject({ status: 409 });
    expect((error as Error).message).toMatch(/^HTTP status 409: \w/);
  });

  test('an answer that is no handshake is an UnexpectedStatusError', async () => {
    const server = await startRawServer((socket) => {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    });
    expect(await failureOf(openAppend(server.url))).toMatchObject({ status: 200 });
  });

  test('a refused connection is a ConnectionError that names the reason and keeps the cause', async () => {
    const error = await failureOf(openAppend('http://127.0.0.1:1/a'));
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as Error).message).toContain('ECONNREFUSED');
    expect((error as Error).cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a server that hangs up during the handshake is a ConnectionError', async () => {
    const server = await startRawServer((socket) => socket.destroy());
    expect(await failureOf(openAppend(server.url))).toBeInstanceOf(ConnectionError);
  });

  test.each([
    ['by a reset', (socket: Socket) => socket.resetAndDestroy()],
    ['by a bare close', (socket: Socket) => socket.end()],
  ])('a legacy server that dies mid-way %s is a StreamInterruptedError 1006', async (_, die) => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.once('data', () => die(socket));
    });
    const writable = openAppend(server.url);
    writable.write('x');
    const error = await failureOf(writable);
    expect(error).toBeInstanceOf(StreamInterruptedError);
    expect(error).toMatchObject({ closeCode: 1006 });
  });

  test('a legacy server that dies before it confirms the end is a StreamInterruptedError, not a finish', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.on('data', (bytes) => {
        if (bytes.includes(0x88)) socket.destroy();
      });
    });
    const writable = openAppend(server.url);
    writable.end('x');
    expect(await failureOf(writable)).toBeInstanceOf(StreamInterruptedError);
  });

  test.each([1001, 1009, 1011])(
    'a legacy server that ends the append with %d before its end is an error with that code',
    async (code) => {
      const server = await startRawServer((socket, request) => {
        accept(socket, request);
        socket.end(frame(Op.close, closePayload(code, 'so it is')));
      });
      const error = await failureOf(openAppend(server.url));
      expect(error).toBeInstanceOf(StreamInterruptedError);
      expect(error).toMatchObject({ closeCode: code });
      expect((error as Error).message).toContain('so it is');
    },
  );

  test('a legacy server that closes with 1000 before the end is an error too', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.end(frame(Op.close, closePayload(1000)));
    });
    expect(await failureOf(openAppend(server.url))).toBeInstanceOf(StreamInterruptedError);
  });

  test('a server that shuts down is an error with retry: false', async () => {
    const server = await startServer();
    const writable = openAppend(server.url('/a'), { retry: false });
    await once(writable, 'open');
    const failed = failureOf(writable);
    await server.app.close();
    expect(await failed).toMatchObject({ code: 'HFS_CONNECTION_LOST' });
    expect(((await failed) as Error).message).toContain('1012');
  });

  test('to destroy it is an interrupted end: followers see 1011', async () => {
    const server = await common.guest();
    const writable = openAppend(server.url('/a'));
    await once(writable, 'open');
    writable.write('hello');
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.byteCount === 5, 'the bytes');
    writable.destroy();
    expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
  });

  test('to destroy it while it connects leaves nothing', async () => {
    const socketsClosed = watchSockets();
    const server = await common.guest();
    const writable = openAppend(server.url('/a'));
    writable.destroy();
    await once(writable, 'close');
    await socketsClosed();
  });

  test('an abort destroys it with the reason, and lets go of the signal', async () => {
    const server = await common.guest();
    const { controller, listeners } = watchedSignal();
    const writable = openAppend(server.url('/a'), { signal: controller.signal });
    await once(writable, 'open');
    expect(listeners()).toBe(1);
    const failed = failureOf(writable);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failed).toBe(reason);
    expect(listeners()).toBe(0);
  });

  test('an abort while it connects destroys it with the reason', async () => {
    const server = await startRawServer((socket) => void socket.resume().on('end', () => socket.end()));
    const controller = new AbortController();
    const writable = openAppend(server.url, { signal: controller.signal });
    const failed = failureOf(writable);
    await waitFor(() => server.sockets.size === 1, 'the connection');
    controller.abort();
    expect(await failed).toBe(controller.signal.reason);
    await waitFor(() => server.sockets.size === 0, 'the connection to be gone');
  });

  test('after its end the signal has no listener and no timer runs', async () => {
    const socketsClosed = watchSockets();
    const server = await common.guest();
    const { controller, listeners } = watchedSignal();
    const writable = openAppend(server.url('/a'), { signal: controller.signal });
    writable.end('x');
    await finished(writable);
    expect(listeners()).toBe(0);
    await socketsClosed();
  });

  test('a legacy server that ends with 1000 before it has everything has interrupted it', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.once('data', () => socket.write(Buffer.of(0x88, 2, 0x03, 0xe8)));
      socket.resume();
    });
    const writable = openAppend(server.url);
    const failed = failureOf(writable);
    writable.end(Buffer.alloc(20 * 1024 * 1024));
    expect(await failed).toBeInstanceOf(StreamInterruptedError);
  });
});
