import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { describe, expect, test } from 'vitest';
import { type AppendSource, append, InvalidSourceError } from '../../../src/client/index.ts';
import { FakeServer } from '../../support/client-fake-server.ts';
import { startServer, type TestServer } from '../../support/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { rejection, startRawServer } from '../client-server.ts';

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));

function contentOf(server: TestServer): Promise<Buffer> {
  return readFile(path.join(server.root, 'a'));
}

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
    const server = await startServer();
    expect(await append(server.url('/a'), source())).toEqual({
      position: expected.length,
      bytes: expected.length,
      generation: expect.any(Number),
    });
    expect((await contentOf(server)).equals(expected)).toBe(true);
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
    ['a function', () => ['x'], 'function'],
    ['an object', { a: 1 }, '[object Object]'],
    ['a promise of a source', Promise.resolve(['x']), '[object Promise]'],
    ['a buffer of bytes', new ArrayBuffer(3), '[object ArrayBuffer]'],
    ['larger numbers than bytes', new Uint16Array(3), '[object Uint16Array]'],
    ['none of them', new Uint16Array(0), '[object Uint16Array]'],
    ['a view', new DataView(new ArrayBuffer(3)), '[object DataView]'],
    ['a stream that cannot be read', new Writable(), '[object Object]'],
    ['an answer', new Response('x'), '[object Response]'],
  ])('%s, and makes nothing', async (_, source, name) => {
    const server = await startServer();
    const error = await appendAny(server.url('/a'), source);
    expect(error).toBeInstanceOf(InvalidSourceError);
    expect(error).toMatchObject({ code: 'HFS_INVALID_SOURCE', message: `${name} cannot be appended` });
    expect(await rejection(contentOf(server))).toMatchObject({ code: 'ENOENT' });
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
    const server = await startServer();
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
      const server = await startServer();
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
    const server = await startServer();
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
