import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { describe, expect, test } from 'vitest';
import { AppendConflictError, append, ConnectionError, InvalidUrlError } from '../../../src/client/index.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original-clients.ts';
import { startServer, type TestServer } from '../../support/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { activeResources, rejection, watchedSignal, watchSockets } from '../client-server.ts';

function onDisk(server: TestServer): Promise<Buffer> {
  return readFile(path.join(server.root, 'a'));
}

async function* yields<T>(...values: T[]): AsyncGenerator<T> {
  for (const value of values) {
    await Promise.resolve();
    yield value;
  }
}

/** A source that yields once, then only when it is told to. */
function reluctant() {
  let isReleased = false;
  let isStarted = false;
  let goOn: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  async function* generate() {
    try {
      yield 'first';
      isStarted = true;
      await told;
      while (true) yield 'more';
    } finally {
      isReleased = true;
    }
  }
  return { source: generate(), goOn, isReleased: () => isReleased, isStarted: () => isStarted };
}

/** A follower of something that somebody is about to append to. */
async function followerOf(url: string): Promise<OriginalFollower> {
  let follower: OriginalFollower | undefined;
  await waitFor(async () => {
    follower = await OriginalFollower.connect(url).catch(() => undefined);
    return follower?.head.status === 101;
  }, 'the append to begin');
  return follower as OriginalFollower;
}

describe('append', () => {
  const bytes = randomBytes(300_000);
  test.each([
    ['an array of strings, in UTF-8', () => ['grüße ', 'und ', '👋'], Buffer.from('grüße und 👋')],
    ['an array of bytes', () => [bytes.subarray(0, 5), bytes.subarray(5)], bytes],
    ['typed arrays that are no Buffers', () => [new Uint8Array(bytes)], bytes],
    ['an async generator of bytes', () => yields(bytes.subarray(0, 9), bytes.subarray(9)), bytes],
    ['an async generator of strings', () => yields('ä', 'b'), Buffer.from('äb')],
    ['a Node stream', () => Readable.from([bytes], { objectMode: false }), bytes],
    ['a Node stream of strings', () => Readable.from(['ä', 'b']), Buffer.from('äb')],
    ['nothing', () => [], Buffer.alloc(0)],
    ['empty chunks', () => ['', Buffer.alloc(0), 'x', ''], Buffer.from('x')],
  ])('appends %s', async (_, source, expected) => {
    const server = await startServer();
    await append(server.url('/a'), source());
    expect((await onDisk(server)).equals(expected)).toBe(true);
  });

  test('appends web streams of bytes and of strings', async () => {
    const server = await startServer();
    const stream = (...chunks: (string | Uint8Array)[]) =>
      new ReadableStream<string | Uint8Array>({
        start(controller) {
          for (const chunk of chunks) controller.enqueue(chunk);
          controller.close();
        },
      });
    await append(server.url('/a'), stream(bytes, bytes));
    await append(server.url('/a'), stream('ä', 'b'));
    expect((await onDisk(server)).equals(Buffer.concat([bytes, bytes, Buffer.from('äb')]))).toBe(true);
  });

  test('resolves when the bytes are in the file, and the path is free', async () => {
    const server = await startServer();
    for (let i = 0; i < 20; i++) {
      await append(server.url('/a'), [`${i};`]);
      expect(String(await onDisk(server))).toMatch(new RegExp(`${i};$`));
    }
  });

  test('ends its followers cleanly', async () => {
    const server = await startServer();
    let follower: OriginalFollower | undefined;
    async function* source() {
      yield 'hello';
      follower = await followerOf(server.url('/a'));
    }
    await append(server.url('/a'), source());
    expect(await follower?.outcome).toMatchObject({
      exitCode: 0,
      closeCode: 1000,
      bytes: Buffer.from('hello'),
    });
  });

  test('takes ws URLs and URL objects, and sends the headers that it is given', async () => {
    const server = await startServer();
    const seen: unknown[] = [];
    server.app.server.on('upgrade', (request) => seen.push(request.headers.authorization));
    await append(new URL(server.url('/a').replace('http', 'ws')), ['x'], {
      headers: { authorization: 'me' },
    });
    expect(String(await onDisk(server))).toBe('x');
    expect(seen).toEqual(['me']);
  });

  test.each(['', 'nonsense', 'ftp://host/a', '/a'])('rejects the URL "%s"', async (url) => {
    const error = await rejection(append(url, ['x']));
    expect(error).toBeInstanceOf(InvalidUrlError);
  });

  test('a source that fails ends the append as interrupted: followers see 1011', async () => {
    const server = await startServer();
    const failure = new Error('the source broke');
    let follower: OriginalFollower | undefined;
    async function* source() {
      yield 'hello';
      follower = await followerOf(server.url('/a'));
      await waitFor(() => follower?.byteCount === 5, 'the bytes');
      throw failure;
    }
    expect(await rejection(append(server.url('/a'), source()))).toBe(failure);
    expect(await follower?.outcome).toMatchObject({
      exitCode: 1,
      closeCode: 1011,
      bytes: Buffer.from('hello'),
    });
  });

  test('a source that fails before the server has answered is an interrupted append, or none', async () => {
    const server = await startServer();
    const failure = new Error('the source broke');
    // biome-ignore lint/correctness/useYield: it fails before it yields
    async function* source(): AsyncGenerator<string> {
      throw failure;
    }
    expect(await rejection(append(server.url('/a'), source()))).toBe(failure);
    await append(server.url('/b'), ['x']);
  });

  test('an abort releases the source, rejects with its reason, and followers see 1011', async () => {
    const server = await startServer();
    const { controller, listeners } = watchedSignal();
    const { source, goOn, isReleased, isStarted } = reluctant();
    const appended = rejection(append(server.url('/a'), source, { signal: controller.signal }));
    await waitFor(isStarted, 'the source to be read');
    const follower = await followerOf(server.url('/a'));
    await waitFor(() => follower.byteCount === 5, 'the bytes');
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await appended).toBe(reason);
    expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
    goOn();
    await waitFor(isReleased, 'the source to be released');
    expect(listeners()).toBe(0);
  });

  test('an abort while it connects rejects with the reason, an AbortError by default', async () => {
    const server = await startServer();
    const { source, isStarted } = reluctant();
    const controller = new AbortController();
    const appended = rejection(append(server.url('/a'), source, { signal: controller.signal }));
    await waitFor(isStarted, 'the source to be read');
    controller.abort();
    expect(await appended).toBe(controller.signal.reason);
    expect(await appended).toMatchObject({ name: 'AbortError' });
  });

  test('a signal that is aborted already rejects with its reason, and nothing is made', async () => {
    const server = await startServer();
    const reason = new Error('too late');
    expect(await rejection(append(server.url('/a'), ['x'], { signal: AbortSignal.abort(reason) }))).toBe(
      reason,
    );
    expect(await rejection(onDisk(server))).toMatchObject({ code: 'ENOENT' });
  });

  test('a timeout signal rejects with its TimeoutError', async () => {
    const server = await startServer();
    const { source } = reluctant();
    const error = await rejection(append(server.url('/a'), source, { signal: AbortSignal.timeout(100) }));
    expect(error).toMatchObject({ name: 'TimeoutError' });
  });

  test('a conflict and a refused connection release the source', async () => {
    const server = await startServer();
    await OriginalAppender.connect(server.url('/a'));
    for (const [url, type] of [
      [server.url('/a'), AppendConflictError],
      ['http://127.0.0.1:1/a', ConnectionError],
    ] as const) {
      const { source, goOn, isReleased } = reluctant();
      expect(await rejection(append(url, source))).toBeInstanceOf(type);
      goOn();
      await waitFor(isReleased, 'the source to be released');
    }
  });

  test('leaves no timer, no socket and no listener behind', async () => {
    const socketsClosed = watchSockets();
    const server = await startServer();
    await append(server.url('/a'), ['warm up']);
    const before = activeResources('Timeout');
    const { controller, listeners } = watchedSignal();
    for (let i = 0; i < 10; i++) await append(server.url('/a'), ['x'], { signal: controller.signal });
    expect(listeners()).toBe(0);
    await socketsClosed();
    expect(activeResources('Timeout')).toBeLessThanOrEqual(before + 1);
  });
});
