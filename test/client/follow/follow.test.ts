import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import {
  ConnectionError,
  follow,
  InvalidUrlError,
  openAppend,
  ProtocolError,
  ResourceNotFoundError,
  StreamInterruptedError,
  UnexpectedStatusError,
} from '../../../src/client/index.ts';
import { OriginalAppender } from '../../support/original/clients.ts';
import { closePayload, frame, Op } from '../../support/original/frames.ts';
import { startServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';
import {
  accept,
  activeResources,
  readingError,
  startRawServer,
  watchedSignal,
  watchSockets,
} from '../client-server.ts';

const common = serverForAll();

const MIB = 1024 * 1024;

function connections(server: Awaited<ReturnType<typeof startServer>>): Promise<number> {
  return new Promise((resolve, reject) => {
    server.app.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

describe('follow', () => {
  test('throws at once for what is no URL', () => {
    expect(() => follow('nonsense')).toThrow(InvalidUrlError);
    expect(() => follow('file:///etc/passwd')).toThrow(InvalidUrlError);
  });

  test('is an async iterable of Buffers: what was written, then what is written, until the end', async () => {
    const server = await common.guest();
    const writable = openAppend(server.url('/a'));
    writable.write('before ');
    await once(writable, 'open');
    const chunks: Buffer[] = [];
    const read = (async () => {
      for await (const chunk of follow(server.url('/a'))) {
        expect(Buffer.isBuffer(chunk)).toBe(true);
        chunks.push(chunk);
      }
    })();
    await waitFor(() => chunks.length > 0, 'the history');
    writable.end('after');
    await finished(writable);
    await read;
    expect(String(Buffer.concat(chunks))).toBe('before after');
  });

  test('emits open before the first byte, even when none comes', async () => {
    const server = await common.guest();
    await OriginalAppender.connect(server.url('/a'));
    const readable = follow(server.url('/a'));
    await once(readable, 'open');
    readable.destroy();
  });

  test('an idle file of 16 MiB is read whole', async () => {
    const server = await common.guest();
    const bytes = Buffer.alloc(16 * MIB, randomBytes(1_000_003));
    await writeFile(path.join(server.root, 'a'), bytes);
    expect((await buffer(follow(server.url('/a')))).equals(bytes)).toBe(true);
  });

  test('an idle file without bytes ends at once', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'a'), '');
    expect(await buffer(follow(server.url('/a')))).toHaveLength(0);
  });

  test('takes every form of a 200 that says where it ends, or cannot', async () => {
    for (const answer of [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
      'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello',
    ]) {
      const server = await startRawServer((socket) => socket.end(answer));
      expect(String(await buffer(follow(server.url)))).toBe('hello');
    }
  });

  test.each([
    ['with its length', 'Content-Length: 50\r\n\r\nhel'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n'],
    ['that could have said where it ends,', 'Connection: close\r\n\r\nhel'],
  ])('a 200 %s that is cut in the middle is an error, not the end', async (_, rest) => {
    const server = await startRawServer((socket) => socket.end(`HTTP/1.1 200 OK\r\n${rest}`));
    const error = await readingError(follow(server.url));
    expect(error).toBeInstanceOf(StreamInterruptedError);
  });

  test('a 200 that is cut while nobody reads is an error, too', async () => {
    const server = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n');
      socket.write(Buffer.alloc(100_000), () => socket.resetAndDestroy());
    });
    const readable = follow(server.url);
    await once(readable, 'open');
    expect(await readingError(readable)).toBeInstanceOf(StreamInterruptedError);
  });

  test('a missing file is a ResourceNotFoundError', async () => {
    const server = await common.guest();
    const error = await readingError(follow(server.url('/none')));
    expect(error).toBeInstanceOf(ResourceNotFoundError);
    expect((error as Error).message).toBe('file does not exist');
  });

  test('another status is an UnexpectedStatusError that keeps it', async () => {
    const server = await startRawServer((socket) => {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nso sorry');
    });
    const error = await readingError(follow(server.url));
    expect(error).toBeInstanceOf(UnexpectedStatusError);
    expect(error).toMatchObject({ status: 503, message: 'HTTP status 503: so sorry' });
  });

  test('a refusal whose body never ends is told in bounded time and memory', async () => {
    const server = await startRawServer((socket) => {
      socket.write('HTTP/1.1 500 Oops\r\n\r\n');
      const pour = () => {
        while (socket.writable && socket.write(Buffer.alloc(64 * 1024, 'x')));
      };
      socket.on('drain', pour);
      pour();
    });
    expect(await readingError(follow(server.url))).toMatchObject({ status: 500 });
    await waitFor(() => server.sockets.size === 0, 'the connection to be cut');
  });

  test('a refused connection is a ConnectionError', async () => {
    expect(await readingError(follow('http://127.0.0.1:1/a'))).toBeInstanceOf(ConnectionError);
  });

  test.each([1001, 1011, 1012, 4000])(
    'close %d of a legacy server is a StreamInterruptedError after what came before',
    async (code) => {
      const server = await startRawServer((socket, request) => {
        accept(socket, request);
        socket.write(frame(Op.text, 'hello'));
        socket.end(frame(Op.close, closePayload(code, 'because')));
      });
      const chunks: Buffer[] = [];
      const readable = follow(server.url).on('data', (chunk) => chunks.push(chunk));
      const error = await finished(readable).catch((reason) => reason);
      expect(error).toBeInstanceOf(StreamInterruptedError);
      expect(error).toMatchObject({ closeCode: code });
      expect(error.message).toContain('because');
      expect(String(Buffer.concat(chunks))).toBe('hello');
    },
  );

  test.each([
    ['1000', closePayload(1000)],
    ['no code', Buffer.alloc(0)],
  ])('close with %s of a legacy server is the end', async (_, payload) => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.end(Buffer.concat([frame(Op.text, 'hello'), frame(Op.close, payload)]));
    });
    expect(String(await buffer(follow(server.url)))).toBe('hello');
  });

  test('the close frame of a legacy server is the end, even when it then keeps the connection open', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.write(Buffer.concat([frame(Op.text, 'hello'), frame(Op.close, closePayload(1000))]));
      socket.resume();
    });
    const readable = follow(server.url);
    const read = buffer(readable);
    await waitFor(() => readable.readableEnded, 'the end');
    expect(String(await read)).toBe('hello');
  });

  test('the end of a legacy connection without a close frame is a StreamInterruptedError', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.end(frame(Op.text, 'hello'));
    });
    expect(await readingError(follow(server.url))).toMatchObject({
      code: 'HFS_STREAM_INTERRUPTED',
      closeCode: 1006,
    });
  });

  test('a legacy server that breaks the framing rules is an error', async () => {
    const server = await startRawServer((socket, request) => {
      accept(socket, request);
      socket.write(frame(Op.text, 'masked', { masked: true }));
    });
    expect(await readingError(follow(server.url))).toBeInstanceOf(ProtocolError);
  });

  test('bytes that come with the answer to the handshake are not lost', async () => {
    const server = await startRawServer((socket, request) => {
      socket.cork();
      accept(socket, request);
      socket.write(frame(Op.binary, 'first'));
      socket.write(frame(Op.close, closePayload(1000)));
      socket.uncork();
      socket.end();
    });
    expect(String(await buffer(follow(server.url)))).toBe('first');
  });

  test('a slow reader gets everything, and while it does not read, little is held', async () => {
    const server = await common.guest();
    const bytes = Buffer.alloc(24 * MIB, randomBytes(1_000_003));
    const writable = openAppend(server.url('/a'));
    await once(writable, 'open');
    const readable = follow(server.url('/a'));
    await once(readable, 'open');
    writable.end(bytes);
    await finished(writable);
    readable.read(0);
    await waitFor(() => readable.readableLength >= MIB, 'the buffer to fill');
    let before = -1;
    await waitFor(() => {
      const isStill = readable.readableLength === before;
      before = readable.readableLength;
      return isStill;
    }, 'it to stop');
    expect(readable.readableLength).toBeLessThan(3 * MIB);
    expect((await buffer(readable)).equals(bytes)).toBe(true);
  });

  test('the end is not told before a slow reader has everything', async () => {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const readable = follow(server.url('/a'));
    await once(readable, 'open');
    await appender.write('hello');
    await appender.close();
    await waitWhile(() => !readable.readableEnded, 'the end is held back');
    expect(String(await buffer(readable))).toBe('hello');
  });

  test('to break out of the loop closes the connection', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('hello');
    for await (const _ of follow(server.url('/a'))) break;
    await waitFor(async () => (await connections(server)) === 1, 'the follower to go');
  });

  test('to destroy it in the middle of a 200 closes the connection', async () => {
    const server = await startServer();
    await writeFile(path.join(server.root, 'a'), Buffer.alloc(64 * MIB));
    const readable = follow(server.url('/a'));
    await once(readable, 'data');
    readable.destroy();
    await waitFor(async () => (await connections(server)) === 0, 'the connection to go');
  });

  test('to destroy it while it connects closes the connection', async () => {
    const server = await startRawServer((socket) => void socket.resume().on('end', () => socket.end()));
    const readable = follow(server.url);
    await waitFor(() => server.sockets.size === 1, 'the connection');
    readable.destroy();
    await waitFor(() => server.sockets.size === 0, 'the connection to go');
  });

  test('to destroy it before it begins is no error', async () => {
    const server = await common.guest();
    const readable = follow(server.url('/a'));
    readable.destroy();
    await once(readable, 'close');
    expect(readable.errored).toBeNull();
  });

  test('an abort rejects with the reason and lets go of the signal', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('hello');
    const { controller, listeners } = watchedSignal();
    const readable = follow(server.url('/a'), { signal: controller.signal });
    const failed = readingError(readable);
    await once(readable, 'data');
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failed).toBe(reason);
    expect(listeners()).toBe(0);
    await waitFor(async () => (await connections(server)) === 1, 'the follower to go');
  });

  test('a signal that is aborted already rejects with its reason', async () => {
    const server = await common.guest();
    const reason = new Error('too late');
    expect(await readingError(follow(server.url('/a'), { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  test('after the end no listener, socket or timer is left', async () => {
    const socketsClosed = watchSockets();
    const server = await startServer();
    await writeFile(path.join(server.root, 'a'), 'idle');
    const before = activeResources('Timeout');
    const { controller, listeners } = watchedSignal();
    for (let i = 0; i < 10; i++) await buffer(follow(server.url('/a'), { signal: controller.signal }));
    expect(listeners()).toBe(0);
    await socketsClosed();
    expect(activeResources('Timeout')).toBeLessThanOrEqual(before + 1);
  });
});
