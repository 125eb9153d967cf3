import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  ConnectionError,
  ConnectionLostError,
  type FollowOptions,
  type FollowStream,
  follow,
  ProtocolError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
  UnexpectedStatusError,
  UnsupportedError,
} from '../../../src/client/index.ts';
import { isKeptAlive, showsKeepAlive } from '../../support/http/keep-alive.ts';
import { closePayload, frame, Op } from '../../support/original/frames.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';
import { type FakeConnection, FakeServer } from '../../support/websocket/fake-server.ts';
import { accept, readingError, startRawServer } from '../client-server.ts';

const MIB = 1024 * 1024;

const QUICK = { minDelayMs: 1, maxDelayMs: 5 };

function open(connection: FakeConnection, position = 0, generation = 1): void {
  connection.tell({ type: 'open', generation, position, live: true });
}

function finish(connection: FakeConnection, position: number): void {
  connection.tell({ type: 'end', position, reason: 'finished' });
  connection.websocket.close(1000);
}

function startFollow(url: string, options: FollowOptions = {}): FollowStream {
  const readable = follow(url, { retry: QUICK, ...options });
  readable.on('error', () => undefined);
  onTestFinished(() => {
    readable.destroy();
  });
  return readable;
}

/** Reads to the end, piece by piece and slowly: a turn of the event loop between two. */
async function readSlowly(readable: FollowStream): Promise<{ bytes: Buffer; error: unknown }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of readable) {
      chunks.push(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { bytes: Buffer.concat(chunks), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
}

describe('a follower asks', () => {
  test.each([
    [{}, {}, 0],
    [{ from: 12 }, { from: '12' }, 12],
    [{ from: -5 }, { from: '-5' }, 40],
    [{ lines: 3 }, { lines: '3' }, 40],
    [{ from: 0, generation: 9 }, { from: '0', generation: '9' }, 0],
    [{ wait: 7 }, { wait: '7' }, 0],
  ])('for %j in its query, and keeps what else the URL has', async (options, expected, position) => {
    const server = await FakeServer.start((connection) => {
      open(connection, position);
      finish(connection, position);
    });
    expect(await buffer(startFollow(`${server.url}?token=t#part`, options))).toHaveLength(0);
    expect(Object.fromEntries(server.queries[0] ?? [])).toEqual({ token: 't', ...expected });
  });

  test('to go on at its position in the same file, whatever it asked for first', async () => {
    for (const options of [{ lines: 3 }, { from: -5, wait: 60 }]) {
      const server = await FakeServer.start((connection, number) => {
        open(connection, 100 + number * 5, 8);
        connection.send('12345');
        if (number === 0) connection.socket.end();
        else finish(connection, 110);
      });
      const readable = startFollow(server.url, options);
      expect(String(await buffer(readable))).toBe('1234512345');
      expect(Object.fromEntries(server.queries[1] ?? [])).toEqual({ from: '105', generation: '8' });
      expect([readable.position, readable.generation]).toEqual([110, 8]);
    }
  });

  test('nothing when its options exclude each other', () => {
    expect(() => follow('http://127.0.0.1:1/a', { from: 0, lines: 1 })).toThrow(TypeError);
  });
});

describe('a follower whose connection broke', () => {
  test.each(['400', '404', '408', '429', '500', '502', '503', '504', '522'])(
    'asks again after a %s',
    async (status) => {
      const server = await FakeServer.start(
        (connection, number) => {
          open(connection);
          if (number === 0) connection.cut();
          else finish(connection, 0);
        },
        (number) => (number === 1 || number === 2 ? status : undefined),
      );
      const attempts: number[] = [];
      await buffer(startFollow(server.url, { onReconnect: ({ attempt }) => attempts.push(attempt) }));
      expect(attempts).toEqual([1, 2, 3]);
    },
  );

  test.each([
    ['410', ResourceGoneError, 'deleted'],
    ['416', StreamTruncatedError, 'truncated'],
    ['401', UnauthorizedError, undefined],
    ['507', UnexpectedStatusError, undefined],
  ])('gives up after a %s, when what came before is read', async (status, type, reason) => {
    const bytes = randomBytes(500_000);
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.send(bytes);
        connection.socket.end();
      },
      (number) => (number > 0 ? status : undefined),
    );
    const readable = startFollow(server.url);
    await waitFor(() => server.queries.length === 2 && server.sockets.size === 0, 'the refusal');
    expect(readable.destroyed).toBe(false);
    const { bytes: read, error } = await readSlowly(readable);
    expect(read.equals(bytes)).toBe(true);
    expect(error).toBeInstanceOf(type);
    expect(readable.reason).toBe(reason);
    expect(server.queries).toHaveLength(2);
  });

  test('gives up after so many attempts in a row, with what was wrong last as the cause', async () => {
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.send('hello');
        connection.socket.end();
      },
      (number) => (number > 0 ? '503' : undefined),
    );
    const events: unknown[] = [];
    const readable = startFollow(server.url, {
      retry: { ...QUICK, times: 3 },
      onReconnect: (event) => events.push(event),
    });
    await waitFor(() => server.queries.length === 4 && server.sockets.size === 0, 'the attempts');
    const { bytes, error } = await readSlowly(readable);
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).cause).toMatchObject({ status: 503 });
    expect(readable.reason).toBeUndefined();
    expect(events).toMatchObject([
      { attempt: 1, delayMs: expect.any(Number), error: { code: 'HFS_CONNECTION' } },
      { attempt: 2, error: { status: 503 } },
      { attempt: 3, error: { status: 503 } },
    ]);
  });

  test('gives up in the same way when the connection before that lasted long', async () => {
    const server = await FakeServer.start(
      (connection) => open(connection),
      (number) => (number > 0 ? '503' : undefined),
    );
    const readable = startFollow(server.url, { retry: { ...QUICK, times: 3 } });
    await once(readable, 'open');
    const failed = readingError(readable);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    server.connection(0).cut();
    expect(await failed).toBeInstanceOf(ConnectionLostError);
    expect(server.queries).toHaveLength(4);
  });

  test('counts attempts that bring nothing, even when the server accepts each time', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.socket.end();
    });
    expect(await readingError(startFollow(server.url, { retry: { ...QUICK, times: 5 } }))).toBeInstanceOf(
      ConnectionLostError,
    );
    expect(server.queries).toHaveLength(6);
  });

  test('has as many attempts as before when one has brought something', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number);
      connection.send('x');
      if (number < 30) connection.socket.end();
      else finish(connection, 31);
    });
    const readable = startFollow(server.url, { retry: { minDelayMs: 0, maxDelayMs: 0, times: 1 } });
    expect(String(await buffer(readable))).toBe('x'.repeat(31));
  });

  test('is over at once with retry: false, after what came before', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      connection.socket.end();
    });
    const { bytes, error } = await readSlowly(startFollow(server.url, { retry: false }));
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect(error).toMatchObject({ cause: { code: 'HFS_CONNECTION' } });
    expect(server.queries).toHaveLength(1);
  });

  test.each([
    ['in onReconnect', true],
    ['while it waits', false],
  ])('may be given up %s: nothing connects any more', async (_, isAtOnce) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.cut();
    });
    const controller = new AbortController();
    const reason = new Error('enough');
    const abort = () => controller.abort(reason);
    const readable = startFollow(server.url, {
      signal: controller.signal,
      retry: { minDelayMs: 50, maxDelayMs: 50 },
      onReconnect: () => (isAtOnce ? abort() : setImmediate(abort)),
    });
    expect(await readingError(readable)).toBe(reason);
    await waitWhile(() => server.queries.length === 1, 'one connection');
  });

  test('is not tried again when it was the first', async () => {
    const server = await FakeServer.start((connection) => connection.cut());
    expect(await readingError(startFollow(server.url))).toBeInstanceOf(ConnectionError);
    expect(server.queries).toHaveLength(1);
  });

  test('does not mistake the 200 of something else for the rest of the stream', async () => {
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.send('hello');
        connection.socket.end();
      },
      (number) => (number > 0 ? '200' : undefined),
    );
    const { bytes, error } = await readSlowly(startFollow(server.url));
    expect(String(bytes)).toBe('hello');
    expect(error).toMatchObject({ status: 200 });
  });

  test('waits for a resource that it waited for, no longer than it was told to', async () => {
    const server = await FakeServer.start((connection, number) => {
      connection.tell({ type: 'waiting' });
      if (number === 0) connection.socket.end();
      else {
        open(connection);
        connection.send('x');
        finish(connection, 1);
      }
    });
    const readable = startFollow(server.url, { wait: 30, from: -4 });
    expect(String(await buffer(readable))).toBe('x');
    expect(Object.fromEntries(server.queries[1] ?? [])).toEqual({ from: '-4', wait: '30' });
  });

  test('is told that a resource that it waited for did not come', async () => {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'waiting' });
      connection.tell({ type: 'end', position: 0, reason: 'missing' });
      connection.websocket.close(1011);
    });
    expect(await readingError(startFollow(server.url, { wait: 1 }))).toBeInstanceOf(ResourceNotFoundError);
  });
});

describe('the end of what is followed', () => {
  test.each([
    ['interrupted', StreamInterruptedError],
    ['deleted', ResourceGoneError],
    ['truncated', StreamTruncatedError],
  ] as const)(
    'as %s is an error that comes after the bytes, however slow the reader is',
    async (reason, type) => {
      const bytes = randomBytes(3 * MIB);
      const server = await FakeServer.start((connection) => {
        open(connection);
        for (let at = 0; at < bytes.length; at += 100_000) connection.send(bytes.subarray(at, at + 100_000));
        connection.tell({ type: 'end', position: bytes.length, reason, detail: 'so it is' });
        connection.websocket.close(1011);
      });
      const readable = startFollow(server.url);
      await once(readable, 'open');
      const { bytes: read, error } = await readSlowly(readable);
      expect(read.equals(bytes)).toBe(true);
      expect(error).toBeInstanceOf(type);
      expect((error as Error).message).toContain('so it is');
      expect(readable.reason).toBe(reason);
      expect(server.queries).toHaveLength(1);
    },
  );

  test('that is an error comes after the bytes of a paused reader, too', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('0123456789');
      connection.tell({ type: 'end', position: 10, reason: 'interrupted' });
      connection.websocket.close(1011);
    });
    const readable = startFollow(server.url);
    const chunks: Buffer[] = [];
    let error: unknown;
    readable.on('error', (reason) => {
      error = reason;
    });
    readable.on('data', (chunk) => chunks.push(chunk));
    readable.pause();
    await waitFor(() => server.sockets.size === 0, 'the end');
    await waitFor(() => readable.readableLength === 10, 'the bytes');
    expect(error).toBeUndefined();
    const closed = new Promise((resolve) => readable.once('close', resolve));
    readable.resume();
    await closed;
    expect(String(Buffer.concat(chunks))).toBe('0123456789');
    expect(error).toBeInstanceOf(StreamInterruptedError);
  });

  test('comes after what is read in parts, with read(size)', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('0123456789');
      connection.tell({ type: 'end', position: 10, reason: 'deleted' });
      connection.websocket.close(1011);
    });
    const readable = startFollow(server.url);
    await waitFor(() => {
      readable.read(0);
      return readable.readableLength === 10 && server.sockets.size === 0;
    }, 'the bytes and the end');
    expect(String(readable.read(4))).toBe('0123');
    expect(readable.destroyed).toBe(false);
    expect(String(readable.read(4))).toBe('4567');
    const failed = once(readable, 'end').catch((error) => error);
    expect(String(readable.read(2))).toBe('89');
    expect(await failed).toBeInstanceOf(ResourceGoneError);
  });

  test('is no clean one when bytes are missing', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      finish(connection, 7);
    });
    const { bytes, error } = await readSlowly(startFollow(server.url));
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(ProtocolError);
  });

  test.each([1011, 1002, 1008, 4000])(
    'is no clean one when the close that comes next is %i',
    async (code) => {
      const server = await FakeServer.start((connection) => {
        open(connection);
        connection.send('hello');
        connection.tell({ type: 'end', position: 5, reason: 'finished', status: 0 });
        connection.websocket.close(code, 'lost');
      });
      const readable = startFollow(server.url);
      const { bytes, error } = await readSlowly(readable);
      expect(String(bytes)).toBe('hello');
      expect(error).toBeInstanceOf(ProtocolError);
      expect((error as Error).message).toContain(`close code ${code}: lost`);
      expect([readable.reason, readable.status, server.queries.length]).toEqual([undefined, undefined, 1]);
    },
  );

  test.each([
    ['bytes', (connection: FakeConnection) => connection.send('more')],
    [
      'another end',
      (connection: FakeConnection) => connection.say('{"type":"end","position":5,"reason":"interrupted"}'),
    ],
    [
      'the same end',
      (connection: FakeConnection) => connection.say('{"type":"end","position":5,"reason":"finished"}'),
    ],
    ['an opening', (connection: FakeConnection) => open(connection)],
    ['nonsense', (connection: FakeConnection) => connection.say('garbage{')],
  ])('is no clean one when %s comes after it', async (_, more) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      connection.tell({ type: 'end', position: 5, reason: 'finished' });
      more(connection);
      connection.websocket.close(1000);
    });
    const { bytes, error } = await readSlowly(startFollow(server.url));
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(ProtocolError);
    expect(server.queries).toHaveLength(1);
  });

  test.each<[string, (connection: FakeConnection) => void]>([
    ['a close without a code', ({ websocket }) => websocket.close()],
    ['the close of a server that goes away', ({ websocket }) => websocket.close(1012)],
    ['the close of a proxy that goes away', ({ websocket }) => websocket.close(1001)],
    ['the end of the connection', ({ socket }) => socket.end()],
    ['a reset', ({ socket }) => socket.resetAndDestroy()],
    [
      'what later versions may say',
      (connection) => {
        connection.say('{"type":"farewell"}');
        connection.websocket.close(1000);
      },
    ],
  ])('is a clean one although %s comes after it', async (_, close) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      connection.websocket.send(
        JSON.stringify({ type: 'end', position: 5, reason: 'finished', status: 3 }),
        () => setImmediate(() => close(connection)),
      );
    });
    const readable = startFollow(server.url);
    expect(String(await buffer(readable))).toBe('hello');
    expect([readable.reason, readable.status, server.queries.length]).toEqual(['finished', 3, 1]);
  });

  test('is seen by a reader that stands still, with the close after it', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send(Buffer.alloc(3 * MIB));
      connection.tell({ type: 'end', position: 3 * MIB, reason: 'finished' });
      connection.websocket.close(1011);
    });
    const { bytes, error } = await readSlowly(startFollow(server.url));
    expect(bytes).toHaveLength(3 * MIB);
    expect(error).toBeInstanceOf(ProtocolError);
  });

  test('is no end when the server closes with 1000 and did not say so', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number === 0 ? 0 : 5);
      if (number === 0) {
        connection.send('hello');
        connection.websocket.close(1000);
      } else finish(connection, 5);
    });
    expect(String(await buffer(startFollow(server.url)))).toBe('hello');
    expect(server.queries).toHaveLength(2);
  });

  test('as shutdown is none: it goes on where it was', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number * 3);
      connection.send('abc');
      if (number > 0) finish(connection, 6);
      else {
        connection.tell({ type: 'end', position: 3, reason: 'shutdown' });
        connection.websocket.close(1012);
      }
    });
    const readable = startFollow(server.url);
    expect(String(await buffer(readable))).toBe('abcabc');
    expect(readable.reason).toBe('finished');
  });

  test('is the end although the server keeps its connection', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.tell({ type: 'end', position: 0, reason: 'finished' });
    });
    await buffer(startFollow(server.url));
    await waitFor(() => server.sockets.size === 0, 'the connection to be gone');
  });
});

test('a follower passes over messages of types that it does not know', async () => {
  const server = await FakeServer.start((connection) => {
    for (const type of ['first', 'open', 'then']) {
      if (type === 'open') open(connection);
      else connection.say(JSON.stringify({ type }));
    }
    finish(connection, 0);
  });
  const readable = startFollow(server.url);
  const events: string[] = [];
  for (const name of ['waiting', 'live']) readable.on(name, () => events.push(name));
  await buffer(readable);
  expect(events).toEqual([]);
});

test('a follower tells when it is open, once, when it waits and when it is live again', async () => {
  const server = await FakeServer.start((connection, number) => {
    open(connection, 0, 5);
    if (number === 0) {
      for (const type of ['waiting', 'live'] as const) connection.tell({ type });
      connection.socket.end();
    } else finish(connection, 0);
  });
  const readable = startFollow(server.url);
  const events: unknown[] = [];
  for (const name of ['open', 'waiting', 'live'])
    readable.on(name, (...args) => events.push([name, ...args]));
  await buffer(readable);
  expect(events).toEqual([['open', { generation: 5, position: 0, live: true }], ['waiting'], ['live']]);
});

test('a follower whose appender came back while it was away itself tells that it is live', async () => {
  const server = await FakeServer.start((connection, number) => {
    open(connection);
    if (number > 0) return;
    connection.tell({ type: 'waiting' });
    connection.socket.end();
  });
  const readable = startFollow(server.url);
  const events: string[] = [];
  for (const name of ['waiting', 'live']) readable.on(name, () => events.push(name));
  await waitFor(() => server.connections.length === 2, 'the second connection');
  server.connection(1).send('x');
  await once(readable, 'data');
  expect(events).toEqual(['waiting', 'live']);
});

test('a follower knows the position of the next byte that is read, whatever has arrived', async () => {
  const server = await FakeServer.start((connection) => {
    open(connection, 1000);
    for (let i = 0; i < 50; i++) connection.send(randomBytes(10_000));
    finish(connection, 501_000);
  });
  const readable = startFollow(server.url, { from: 1000 });
  await once(readable, 'open');
  expect(readable.position).toBe(1000);
  let position = 1000;
  await waitFor(() => {
    readable.read(0);
    return readable.readableLength === 500_000;
  }, 'all of it');
  expect(readable.position).toBe(1000);
  position += (readable.read(7) as Buffer).length;
  expect(readable.position).toBe(position);
  for await (const chunk of readable) {
    position += chunk.length;
    expect(readable.position).toBe(position);
  }
  expect(readable.position).toBe(501_000);
});

test('its position is that of the next byte when it is read as text, too', async () => {
  const text = 'äöü'.repeat(100);
  const server = await FakeServer.start((connection) => {
    open(connection, 50);
    // One character is in two pieces.
    connection.send(Buffer.from(text).subarray(0, 299));
    connection.send(Buffer.from(text).subarray(299));
    finish(connection, 50 + 600);
  });
  const readable = startFollow(server.url, { from: 50 }).setEncoding('utf8');
  await waitFor(() => {
    readable.read(0);
    return readable.readableLength === text.length;
  }, 'all of it');
  expect(readable.position).toBe(50);
  expect(readable.read(10)).toBe(text.slice(0, 10));
  expect(readable.position).toBe(70);
  readable.unshift('ü');
  expect(readable.position).toBe(68);
  for await (const chunk of readable) expect(chunk).toBe(`ü${text.slice(10)}`);
  expect(readable.position).toBe(650);
});

describe('a follower of a server that talks nonsense', () => {
  test.each([
    [{}, 100],
    [{ from: 3 }, 0],
    [{ from: 3 }, 4],
    [{ from: 0, generation: 1 }, 1],
  ])('fails at a first opening at another place than %j asks for: %i', async (options, position) => {
    const server = await FakeServer.start((connection) => {
      open(connection, position);
      connection.send('hello');
      finish(connection, position + 5);
    });
    const { bytes, error } = await readSlowly(startFollow(server.url, options));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(bytes).toHaveLength(0);
  });

  test('takes what a URL asks for by itself where the server opens it', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection, 7);
      finish(connection, 7);
    });
    for (const query of ['?from=7', '?lines=1']) {
      expect(await buffer(startFollow(`${server.url}${query}`, {}))).toHaveLength(0);
    }
  });

  test('fails at an opening at another place, after what came before', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      connection.tell({ type: 'open', generation: 1, position: 77, live: true });
    });
    const { bytes, error } = await readSlowly(startFollow(server.url, { retry: QUICK }));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(String(bytes)).toBe('hello');
    expect(server.queries).toHaveLength(1);
  });

  test('fails when it is opened twice at the same place', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      open(connection);
    });
    const readable = startFollow(server.url);
    expect(await readingError(readable)).toBeInstanceOf(ProtocolError);
    expect([readable.reason, server.queries.length]).toEqual([undefined, 1]);
  });

  test('fails when bytes come before the opening', async () => {
    const server = await FakeServer.start((connection) => connection.send('too early'));
    expect(await readingError(startFollow(server.url))).toBeInstanceOf(ProtocolError);
    expect(server.queries).toHaveLength(1);
  });

  test('goes on as long as each connection brings something', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number);
      connection.send('x');
      if (number < 9) connection.say('garbage{');
      else finish(connection, 10);
    });
    expect(String(await buffer(startFollow(server.url)))).toBe('x'.repeat(10));
  });

  test.each([
    ['no JSON', ['garbage{']],
    ['null', ['null']],
    ['a text longer than any message', [JSON.stringify({ type: 'x', text: 'x'.repeat(100_000) })]],
    ['an end without a position', ['{"type":"end","reason":"finished"}']],
    ['an opening without a position', ['{"type":"open","generation":1}']],
  ])(
    '(%s) gives up after the third time in a row that brings nothing, with what came before',
    async (_, texts) => {
      const server = await FakeServer.start((connection, number) => {
        open(connection, number === 0 ? 0 : 5);
        if (number === 0) connection.send('hello');
        for (const text of texts) connection.say(text);
      });
      const { bytes, error } = await readSlowly(startFollow(server.url));
      expect(error).toBeInstanceOf(ProtocolError);
      expect((error as Error).cause).toMatchObject({ code: 'HFS_FRAMING_ERROR' });
      expect(String(bytes)).toBe('hello');
      expect(server.queries).toHaveLength(3);
      await waitFor(() => server.sockets.size === 0, 'the connections to be gone');
    },
  );

  test.each([
    ['fewer', 4],
    ['more', 6],
  ])('fails when the server goes on at %s bytes than it has', async (_, position) => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number === 0 ? 0 : position);
      connection.send('hello');
      if (number === 0) connection.socket.end();
    });
    const { bytes, error } = await readSlowly(startFollow(server.url));
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(ProtocolError);
  });

  test('ignores what it does not know', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      for (const text of ['{"type":"weather"}', '{"type":"error"}', '{"type":"close"}', '{}'])
        connection.say(text);
      connection.send('x');
      connection.say('{"type":"ack","position":0}');
      finish(connection, 1);
    });
    expect(String(await buffer(startFollow(server.url)))).toBe('x');
    expect(server.queries).toHaveLength(1);
  });

  test('counts no byte that came before it was open', async () => {
    const server = await FakeServer.start((connection) => {
      connection.send('early');
      open(connection, 100);
      connection.send('x');
      finish(connection, 101);
    });
    const { bytes } = await readSlowly(startFollow(server.url, { from: 100, retry: { ...QUICK, times: 1 } }));
    expect(['', 'x']).toContain(String(bytes));
  });
});

describe('a paused follower', () => {
  test('holds its server, holds little itself, and gets everything when it goes on', async () => {
    const bytes = randomBytes(MIB);
    let sent = 0;
    const total = 64;
    const server = await FakeServer.start((connection) => {
      open(connection);
      const send = () => {
        if (sent === total) finish(connection, total * MIB);
        else {
          connection.websocket.send(bytes, { binary: true }, (error) => {
            if (error) return;
            sent++;
            send();
          });
        }
      };
      send();
    });
    const readable = startFollow(server.url);
    readable.read(0);
    let before = -1;
    await waitFor(() => {
      const isStill = sent > 0 && sent === before && readable.readableLength >= MIB;
      before = sent;
      return isStill;
    }, 'the server to be held');
    expect(sent).toBeLessThan(total / 2);
    expect(readable.readableLength).toBeLessThan(3 * MIB);
    let read = 0;
    for await (const chunk of readable) {
      const at = read % MIB;
      const head = bytes.subarray(at, at + chunk.length);
      expect(head.equals(chunk.subarray(0, head.length))).toBe(true);
      read += chunk.length;
    }
    expect(read).toBe(total * MIB);
  });

  test('is not taken for one whose server has fallen silent', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const server = await FakeServer.start((connection) => {
      open(connection);
      for (let i = 0; i < 40; i++) connection.send(Buffer.alloc(MIB));
      finish(connection, 40 * MIB);
    });
    const readable = startFollow(server.url);
    readable.read(0);
    await waitFor(() => readable.readableLength >= MIB, 'the buffer to fill');
    vi.advanceTimersByTime(300_000);
    let count = 0;
    for await (const chunk of readable) count += chunk.length;
    expect(count).toBe(40 * MIB);
    expect(server.queries).toHaveLength(1);
  });
});

test('a follower notices that its server has fallen silent, and goes on through a new connection', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const server = await FakeServer.start(
    (connection, number) => {
      open(connection);
      if (number === 1) finish(connection, 0);
    },
    () => undefined,
    { autoPong: false },
  );
  const errors: string[] = [];
  const readable = startFollow(server.url, { onReconnect: ({ error }) => errors.push(error.message) });
  const read = buffer(readable);
  await once(readable, 'open');
  vi.advanceTimersByTime(35_000);
  await read;
  expect(errors).toEqual(['the server has fallen silent']);
});

describe('a follower of a legacy server', () => {
  test.each([
    ['what is live', true],
    ['an idle file', false],
  ])('skips to the position that it wants in %s', async (_, isLive) => {
    const bytes = randomBytes(300_000);
    const server = await startRawServer((socket, request) => {
      if (!isLive) {
        socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n'), bytes]));
        return;
      }
      accept(socket, request);
      for (let at = 0; at < bytes.length; at += 30_000)
        socket.write(frame(Op.text, bytes.subarray(at, at + 30_000)));
      socket.end(frame(Op.close, closePayload(1000)));
    });
    for (const from of [0, 1, 29_999, 30_000, 100_001, 299_999, 300_000]) {
      const readable = follow(server.url, { from });
      const [opening] = await once(readable, 'open');
      expect(opening).toEqual({ generation: undefined, position: from, live: undefined });
      expect((await buffer(readable)).equals(bytes.subarray(from))).toBe(true);
      expect([readable.position, readable.generation, readable.reason]).toEqual([
        bytes.length,
        undefined,
        'finished',
      ]);
    }
  });

  test.skipIf(!showsKeepAlive)('notices when the machine of one that sends nothing is gone', async () => {
    const server = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.');
    });
    await once(startFollow(server.url).resume(), 'data');
    await waitFor(() => isKeptAlive(server.url), 'probes');
  });

  test.each([{ lines: 3 }, { from: -3 }, { generation: 4 }])(
    'cannot have %j, and is told so, of a live and of an idle resource',
    async (options) => {
      for (const isLive of [false, true]) {
        const server = await startRawServer((socket, request) => {
          if (isLive) accept(socket, request);
          else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nsome of it');
          socket.resume().on('end', () => socket.end());
        });
        expect(await readingError(follow(server.url, options))).toBeInstanceOf(UnsupportedError);
        await waitFor(() => server.sockets.size === 0, 'the connection to go');
      }
    },
  );

  test('is not connected again', async () => {
    let handshakes = 0;
    const server = await startRawServer((socket, request) => {
      handshakes++;
      accept(socket, request);
      socket.end(frame(Op.text, 'hello'));
    });
    let reconnects = 0;
    const readable = follow(server.url, { retry: QUICK, onReconnect: () => reconnects++ });
    const { bytes, error } = await readSlowly(readable);
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(StreamInterruptedError);
    expect([handshakes, reconnects]).toEqual([1, 0]);
  });

  test('that took the place of another cannot go on', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
    });
    const readable = startFollow(server.url);
    await waitFor(() => server.connections.length === 1, 'the connection');
    const read = readSlowly(readable);
    await waitFor(() => readable.position === 5, 'the bytes');
    server.isLegacy = true;
    server.connection(0).cut();
    const { bytes, error } = await read;
    expect(String(bytes)).toBe('hello');
    expect(error).toBeInstanceOf(StreamInterruptedError);
  });
});

test('what the URL itself asks for is asked for once: a follower that goes on does so at its position', async () => {
  const server = await FakeServer.start((connection, number) => {
    open(connection);
    if (number === 0) connection.cut();
    else finish(connection, 0);
  });
  await buffer(startFollow(`${server.url}?lines=3&wait=5&color=red`));
  expect(Object.fromEntries(server.queries[0] ?? [])).toEqual({ lines: '3', wait: '5', color: 'red' });
  expect(Object.fromEntries(server.queries[1] ?? [])).toEqual({
    from: '0',
    generation: expect.any(String),
    color: 'red',
  });
});

test('a stream that is called finished before it began breaks the protocol', async () => {
  const server = await FakeServer.start((connection) => {
    connection.tell({ type: 'waiting' });
    connection.tell({ type: 'end', position: 0, reason: 'finished' });
  });
  const readable = startFollow(server.url);
  await expect(buffer(readable)).rejects.toBeInstanceOf(ProtocolError);
  expect(readable.reason).toBeUndefined();
});
