import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { describe, expect, test } from 'vitest';
import {
  AppendConflictError,
  type AppendSource,
  append,
  ConnectionError,
  InvalidSourceError,
  InvalidUrlError,
} from '../../../src/client/index.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original/clients.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';
import { activeResources, rejection, startRawServer, watchedSignal, watchSockets } from '../client-server.ts';

const common = serverForAll();

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
    const server = await common.guest();
    await append(server.url('/a'), source());
    expect((await onDisk(server)).equals(expected)).toBe(true);
  });

  test('appends web streams of bytes and of strings', async () => {
    const server = await common.guest();
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
    const server = await common.guest();
    for (let i = 0; i < 20; i++) {
      await append(server.url('/a'), [`${i};`]);
      expect(String(await onDisk(server))).toMatch(new RegExp(`${i};$`));
    }
  });

  test('ends its followers cleanly', async () => {
    const server = await common.guest();
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
    const server = await common.guest();
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
    const server = await common.guest();
    const failure = new Error('the source broke');
    // biome-ignore lint/correctness/useYield: it fails before it yields
    async function* source(): AsyncGenerator<string> {
      throw failure;
    }
    expect(await rejection(append(server.url('/a'), source()))).toBe(failure);
    await append(server.url('/b'), ['x']);
  });

  test('an abort releases the source, rejects with its reason, and followers see 1011', async () => {
    const server = await common.guest();
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
    const server = await common.guest();
    const { source, isStarted } = reluctant();
    const controller = new AbortController();
    const appended = rejection(append(server.url('/a'), source, { signal: controller.signal }));
    await waitFor(isStarted, 'the source to be read');
    controller.abort();
    expect(await appended).toBe(controller.signal.reason);
    expect(await appended).toMatchObject({ name: 'AbortError' });
  });

  test('a signal that is aborted already rejects with its reason, and nothing is made', async () => {
    const server = await common.guest();
    const reason = new Error('too late');
    expect(await rejection(append(server.url('/a'), ['x'], { signal: AbortSignal.abort(reason) }))).toBe(
      reason,
    );
    expect(await rejection(onDisk(server))).toMatchObject({ code: 'ENOENT' });
  });

  test('a timeout signal rejects with its TimeoutError', async () => {
    const server = await common.guest();
    const { source } = reluctant();
    const error = await rejection(append(server.url('/a'), source, { signal: AbortSignal.timeout(100) }));
    expect(error).toMatchObject({ name: 'TimeoutError' });
  });

  test('a conflict and a refused connection release the source', async () => {
    const server = await common.guest();
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

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));

/** Anything, in place of what the types allow. */
function appendAny(url: string, source: unknown): Promise<unknown> {
  return rejection(append(url, source as AppendSource));
}

/** A web stream that yields values, then waits for ever unless it is to end; tells when it is cancelled. */
function webStream(values: readonly unknown[], { isStuck = false } = {}) {
  const reasons: unknown[] = [];
  const stream = new ReadableStream({
    start(controller) {
      for (const value of values) controller.enqueue(value);
      if (!isStuck) controller.close();
    },
    cancel(reason) {
      reasons.push(reason);
    },
  });
  return { stream, reasons };
}

describe('append takes', () => {
  test.each<[string, () => AppendSource, Buffer]>([
    ['a string', () => 'grüße 👋', Buffer.from('grüße 👋')],
    ['an empty string', () => '', Buffer.alloc(0)],
    ['bytes', () => new Uint8Array(BYTES), BYTES],
    ['bytes in the middle of others', () => new Uint8Array(BYTES).subarray(7, 9), BYTES.subarray(7, 9)],
    ['a Buffer', () => BYTES, BYTES],
    ['a blob', () => new Blob(['ä', BYTES]), Buffer.concat([Buffer.from('ä'), BYTES])],
    ['an empty blob', () => new Blob([]), Buffer.alloc(0)],
    ['a file', () => new File([BYTES], 'name'), BYTES],
    ['an answer', () => new Response('answer'), Buffer.from('answer')],
    ['the body of an answer', () => new Response('answer').body as ReadableStream, Buffer.from('answer')],
    ['a web stream of nothing', () => webStream([]).stream, Buffer.alloc(0)],
    [
      'a web stream of both',
      () => webStream(['', 'ä', BYTES]).stream,
      Buffer.concat([Buffer.from('ä'), BYTES]),
    ],
    ['a stream of objects that are strings', () => Readable.from(['a', 'b']), Buffer.from('ab')],
    ['a set', () => new Set(['a', 'b']), Buffer.from('ab')],
  ])('%s', async (_, source, expected) => {
    const server = await common.guest();
    expect(await append(server.url('/a'), source())).toEqual({
      position: expected.length,
      bytes: expected.length,
      generation: expect.any(Number),
    });
    expect((await onDisk(server)).equals(expected)).toBe(true);
  });

  test.each([
    ['a string', 'a whole'],
    ['bytes', Buffer.from('a whole')],
  ])('%s as a whole, and not piece by piece', async (_, source) => {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.on('message', () =>
        connection.tell({ type: 'ack', position: connection.byteCount }),
      );
    });
    await append(server.url, source);
    expect(server.connection(0).received.map(String)).toEqual(['a whole']);
  });
});

describe('append refuses', () => {
  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a number', 7, 'number'],
    ['a truth value', true, 'boolean'],
    ['a symbol', Symbol('s'), 'symbol'],
    ['an object', { a: 1 }, '[object Object]'],
    ['a promise of a source', Promise.resolve(['x']), '[object Promise]'],
    ['a buffer of bytes', new ArrayBuffer(3), '[object ArrayBuffer]'],
    ['larger numbers than bytes', new Uint16Array(3), '[object Uint16Array]'],
    ['none of them', new Uint16Array(0), '[object Uint16Array]'],
    ['a view', new DataView(new ArrayBuffer(3)), '[object DataView]'],
    ['a stream that cannot be read', new Writable(), '[object Object]'],
  ])('%s, and makes nothing', async (_, source, name) => {
    const server = await common.guest();
    const error = await appendAny(server.url('/a'), source);
    expect(error).toBeInstanceOf(InvalidSourceError);
    expect(error).toMatchObject({ code: 'HFS_INVALID_SOURCE', message: `${name} cannot be appended` });
    expect(await rejection(onDisk(server))).toMatchObject({ code: 'ENOENT' });
  });

  test.each<[string, () => unknown]>([
    ['an array of numbers', () => [1, 2]],
    ['an array with a hole', () => new Array(1)],
    ['an async generator', () => Readable.from([{}])[Symbol.asyncIterator]()],
    ['a map', () => new Map([['a', 'b']])],
    ['a Node stream', () => Readable.from(['x', { a: 1 }])],
    ['a duplex', () => Duplex.from(['x', 7])],
    ['a web stream', () => webStream(['x', 7]).stream],
    ['a web stream of null, which is not its end', () => webStream(['x', null, 'y']).stream],
    ['a web stream of other views', () => webStream([new Uint16Array(2)]).stream],
  ])('a chunk of %s that is neither bytes nor text, and ends as interrupted', async (_, source) => {
    const closes: (number | undefined)[] = [];
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.once('close', (code) => closes.push(code));
    });
    const error = await appendAny(server.url, source());
    expect(error).toBeInstanceOf(InvalidSourceError);
    expect((error as Error).message).toMatch(/^a chunk of the source is /);
    await waitFor(() => server.sockets.size === 0, 'the connection to be closed');
    expect(closes.filter((code) => code === 1000)).toEqual([]);
  });

  test('a web stream that somebody else reads', async () => {
    const server = await common.guest();
    const { stream } = webStream(['x']);
    stream.getReader();
    expect(await appendAny(server.url('/a'), stream)).toBeInstanceOf(InvalidSourceError);
  });
});

describe('append lets go of', () => {
  const refusing = () =>
    startRawServer((socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));

  test('a web stream that is stuck, when it is refused', async () => {
    const { url } = await refusing();
    const { stream, reasons } = webStream([], { isStuck: true });
    const error = await rejection(append(url, stream));
    expect(error).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS' });
    await waitFor(() => reasons.length === 1, 'the stream to be cancelled');
    expect(reasons).toEqual([error]);
    expect(stream.locked).toBe(false);
  });

  test.each(['before', 'while'])(
    'a web stream that is stuck, when it is aborted %s it is read',
    async (when) => {
      const server = await common.guest();
      const { stream, reasons } = webStream(['x'], { isStuck: true });
      const controller = new AbortController();
      const reason = new Error('enough');
      if (when === 'before') controller.abort(reason);
      const appended = rejection(
        append(server.url('/a'), stream, {
          signal: controller.signal,
          onAck: () => controller.abort(reason),
        }),
      );
      expect(await appended).toBe(reason);
      await waitFor(() => reasons.length === 1, 'the stream to be cancelled');
      expect(reasons).toEqual([reason]);
    },
  );

  test('a Node stream that is stuck, when it is refused', async () => {
    const { url } = await refusing();
    const source = new PassThrough();
    expect(await rejection(append(url, source))).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS' });
    expect(source.destroyed).toBe(true);
  });

  test('the append, when the web stream breaks', async () => {
    const server = await common.guest();
    const failure = new Error('the source broke');
    const stream = new ReadableStream<string>({
      pull() {
        throw failure;
      },
    });
    expect(await rejection(append(server.url('/a'), stream))).toBe(failure);
    await append(server.url('/a'), 'free again');
  });
});
