import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type AppendOptions,
  type AppendStream,
  ConnectionError,
  ConnectionLostError,
  openAppend,
  ProtocolError,
  ResourceGoneError,
  StreamInterruptedError,
  StreamTruncatedError,
} from '../../../src/client/index.ts';
import { type OpenMessage, SUBPROTOCOL } from '../../../src/wire/protocol.ts';
import { closePayload, frame, Op } from '../../support/original/frames.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';
import { type FakeConnection, FakeServer } from '../../support/websocket/fake-server.ts';
import { accept, rejection, startRawServer } from '../client-server.ts';

const MIB = 1024 * 1024;

/** So quick that a test does not notice. */
const QUICK = { minDelayMs: 1, maxDelayMs: 5 };

const OPEN = { type: 'open', generation: 1, position: 0, live: true } as const;

/** A close frame with nothing but a code begins so, from a client. */
const CLOSE_HEAD = Buffer.from([0x88, 0x82]);

/** Opens a connection as the server does that has `position` bytes. */
function open(connection: FakeConnection, position = 0): void {
  connection.tell({ ...OPEN, position });
  connection.tell({ type: 'ack', position });
}

function failureOf(writable: Writable): Promise<unknown> {
  return rejection(finished(writable));
}

/** An append that is let go of after the test. */
function startAppend(server: FakeServer, options: AppendOptions = {}): AppendStream {
  const writable = openAppend(server.url, { retry: QUICK, ...options });
  writable.on('error', () => undefined);
  onTestFinished(() => {
    writable.destroy();
  });
  return writable;
}

/** Acknowledges everything at once, and answers the end. */
function acknowledgeAll(connection: FakeConnection, start = 0): void {
  connection.websocket.on('message', () => {
    connection.tell({ type: 'ack', position: start + connection.byteCount });
  });
}

describe('an append tells the server of its content type', () => {
  const CSV = { type: 'type', contentType: 'text/csv' };

  /** Appends `a,b` of a type that is known before it connects or only then, and resolves with what was told. */
  async function tell(opened: Partial<OpenMessage>, isKnown: boolean, bytes = 'a,b') {
    const texts: string[] = [];
    const order: string[] = [];
    const server = await FakeServer.start((connection) => {
      connection.websocket.on('message', (message, isBinary) => {
        order.push(isBinary ? 'bytes' : 'text');
        if (!isBinary) texts.push(message.toString());
      });
      connection.tell({ type: 'open', generation: 7, position: 0, live: true, ...opened });
      acknowledgeAll(connection, opened.position);
    });
    let contentType = isKnown ? 'text/csv' : undefined;
    const writable = startAppend(server, { contentType: () => contentType });
    await once(writable, 'open');
    contentType = 'text/csv';
    writable.end(bytes);
    await finished(writable);
    return {
      query: server.queries[0]?.get('content-type'),
      texts: texts.map((text) => JSON.parse(text)),
      order,
    };
  }

  test('in the handshake, when it is known then', async () => {
    const { query, order } = await tell({ contentType: 'text/csv' }, true);
    expect([query, order]).toEqual(['text/csv', ['bytes']]);
  });

  test.each([
    ['before the first byte', 'a,b', ['text', 'bytes']],
    ['before the end, when there is none', '', ['text']],
  ])('in a message %s, when it is known later, and the server takes it', async (_when, bytes, order) => {
    const told = await tell({ contentType: null }, false, bytes);
    expect(told).toEqual({ query: null, texts: [CSV], order });
  });

  test.each<[string, Partial<OpenMessage>]>([
    ['of version 0.3, which refuses text', {}],
    ['that has another one', { contentType: 'text/html' }],
    ['whose file has begun', { contentType: null, position: 9 }],
  ])('in no message to a server %s', async (_what, opened) => {
    expect((await tell(opened, false)).order).toEqual(['bytes']);
  });

  test('once more when the connection was cut before the server had it', async () => {
    const server = await FakeServer.start((connection, number) => {
      if (number === 0) connection.websocket.on('message', () => connection.cut());
      else acknowledgeAll(connection);
      connection.tell({
        type: 'open',
        generation: 7,
        position: 0,
        live: true,
        contentType: number === 0 ? null : 'text/csv',
      });
    });
    let contentType: string | undefined;
    const writable = startAppend(server, { contentType: () => contentType });
    await once(writable, 'open');
    contentType = 'text/csv';
    writable.end('a,b');
    await finished(writable);
    expect(server.queries.map((query) => query.get('content-type'))).toEqual([null, 'text/csv']);
    expect(server.connection(1).textMessages).toBe(0);
  });

  test.each([['html'], [''], ['text/html\r\nx: y']])(
    'but not when it is %j, which is none',
    async (contentType) => {
      const server = await FakeServer.start((connection) => open(connection));
      expect(() => openAppend(server.url, { contentType })).toThrow(TypeError);
      const writable = startAppend(server, { contentType: () => contentType });
      expect(await failureOf(writable)).toBeInstanceOf(TypeError);
      expect(server.connections).toHaveLength(0);
    },
  );
});

describe('an append asks the server', () => {
  test('with one session token for all of its connections, long and random', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection);
      if (number < 3) connection.cut();
      else acknowledgeAll(connection);
    });
    const writable = startAppend(server);
    writable.end('x');
    await finished(writable);
    const tokens = server.queries.map((query) => query.get('session'));
    expect(tokens).toHaveLength(4);
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).toMatch(/^[\w-]{22,64}$/);
    const other = startAppend(server);
    await waitFor(() => server.queries.length === 5, 'another append');
    expect(server.queries[4]?.get('session')).not.toBe(tokens[0]);
    other.destroy();
  });

  test.each<AppendOptions>([{}, { expect: 100 }])(
    'to begin where it must (%j), then to go on where it began, in the same file',
    async (options) => {
      const server = await FakeServer.start((connection, number) => {
        connection.tell({ ...OPEN, generation: 7, position: 100 });
        if (number === 0) connection.cut();
      });
      const writable = startAppend(server, options);
      await waitFor(() => server.queries.length === 2, 'the second connection');
      expect(server.queries[0]?.get('expect') ?? undefined).toBe(options.expect?.toString());
      expect(server.queries[0]?.has('generation')).toBe(false);
      expect(Object.fromEntries(server.queries[1] ?? [])).toMatchObject({ expect: '100', generation: '7' });
      expect(writable.startPosition).toBe(100);
    },
  );
});

describe('an append sends', () => {
  test('binary messages only, and a close frame 1000 when all of it is acknowledged, not before', async () => {
    const server = await FakeServer.start((connection) => open(connection));
    const writable = startAppend(server);
    const bytes = randomBytes(3 * MIB);
    let isFinished = false;
    writable.on('finish', () => {
      isFinished = true;
    });
    writable.end(bytes);
    await waitFor(() => server.connections[0]?.byteCount === bytes.length, 'the bytes');
    const connection = server.connection(0);
    connection.tell({ type: 'ack', position: bytes.length - 1 });
    await waitFor(() => writable.acknowledgedBytes === bytes.length - 1, 'the acknowledgement');
    expect(connection.closeCode).toBeUndefined();
    expect(isFinished).toBe(false);
    connection.tell({ type: 'ack', position: bytes.length });
    await finished(writable);
    await waitFor(() => connection.closeCode !== undefined, 'the close');
    expect(connection.closeCode).toBe(1000);
    expect(connection.textMessages).toBe(0);
    expect(connection.bytes.equals(bytes)).toBe(true);
  });

  test.each([0, 1, 70_000, 99_999, 100_000])(
    'exactly the rest when %d of its bytes have arrived and only some of them were acknowledged',
    async (arrived) => {
      const bytes = randomBytes(100_000);
      const server = await FakeServer.start((connection, number) => {
        if (number === 0) open(connection, 50);
        else {
          connection.tell({ ...OPEN, position: 50 + arrived });
          acknowledgeAll(connection, 50 + arrived);
        }
      });
      const writable = startAppend(server);
      writable.write(bytes);
      await waitFor(() => server.connections[0]?.byteCount === bytes.length, 'the bytes');
      server.connection(0).tell({ type: 'ack', position: 50 + Math.floor(arrived / 2) });
      await waitFor(() => writable.acknowledgedBytes === Math.floor(arrived / 2), 'the acknowledgement');
      server.connection(0).cut();
      await waitFor(() => server.connections.length === 2, 'the second connection');
      await waitFor(() => server.connection(1).byteCount >= bytes.length - arrived, 'the rest');
      server.connection(1).tell({ type: 'ack', position: 50 + bytes.length });
      await writable.close();
      expect(server.connection(1).bytes.equals(bytes.subarray(arrived))).toBe(true);
    },
  );

  test('what it took, whatever the caller does to its buffer after the callback', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection);
      if (number === 1) acknowledgeAll(connection);
    });
    const writable = startAppend(server);
    await once(writable, 'open');
    const scratch = Buffer.alloc(10_000);
    const expected: Buffer[] = [];
    for (let i = 1; i <= 20; i++) {
      scratch.fill(i);
      expected.push(Buffer.from(scratch));
      await new Promise<void>((resolve, reject) => {
        writable.write(scratch, (error) => (error ? reject(error) : resolve()));
      });
      scratch.fill(0xee);
    }
    await waitFor(() => server.connection(0).byteCount === 200_000, 'the bytes');
    expect(server.connection(0).bytes.equals(Buffer.concat(expected))).toBe(true);
    server.connection(0).cut();
    await writable.close();
    expect(server.connection(1).bytes.equals(Buffer.concat(expected))).toBe(true);
  });
});

describe('an append to a server that does not acknowledge', () => {
  test('keeps bufferBytes, asks to wait beyond that, and goes on as they are acknowledged', async () => {
    const server = await FakeServer.start((connection) => open(connection));
    const bufferBytes = 100_000;
    const writable = startAppend(server, { bufferBytes });
    await once(writable, 'open');
    const bytes = randomBytes(1_000_000);
    const accepted: number[] = [];
    for (let at = 0; at < bytes.length; at += 50_000) {
      writable.write(bytes.subarray(at, at + 50_000), () => accepted.push(at));
    }
    const [connection] = server.connections as [FakeConnection];
    await waitFor(() => connection.byteCount === bufferBytes, 'as much as it keeps');
    expect(accepted).toEqual([0, 50_000]);
    expect(writable.writableNeedDrain).toBe(true);
    let drains = 0;
    writable.on('drain', () => drains++);
    connection.tell({ type: 'ack', position: 1 });
    await waitFor(() => connection.byteCount === bufferBytes + 1, 'one byte more');
    expect(accepted).toEqual([0, 50_000]);
    expect(drains).toBe(0);
    acknowledgeAll(connection);
    connection.tell({ type: 'ack', position: connection.byteCount });
    await writable.close();
    expect(accepted).toHaveLength(20);
    expect(connection.bytes.equals(bytes)).toBe(true);
  });

  test('takes one chunk longer than its buffer, during an outage, too', async () => {
    let isBack = false;
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        if (isBack) acknowledgeAll(connection);
      },
      (number) => (number === 0 || isBack ? undefined : '503'),
    );
    const writable = startAppend(server, { bufferBytes: 10_000 });
    await once(writable, 'open');
    server.connection(0).cut();
    const bytes = randomBytes(300_000);
    let isTaken = false;
    writable.write(bytes, () => {
      isTaken = true;
    });
    await waitFor(() => server.queries.length >= 4, 'some attempts');
    expect(isTaken).toBe(false);
    isBack = true;
    await writable.close();
    expect(isTaken).toBe(true);
    expect(server.connections.at(-1)?.bytes.equals(bytes)).toBe(true);
  });

  test('says what is safe, never less than before and all of it at the end', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number === 0 ? 0 : 60_000);
      if (number === 1) acknowledgeAll(connection, 60_000);
    });
    const acks: number[] = [];
    const writable = startAppend(server, { onAck: (bytes) => acks.push(bytes) });
    writable.write(randomBytes(100_000));
    await waitFor(() => server.connections[0]?.byteCount === 100_000, 'the bytes');
    for (const position of [10_000, 50_000, 20_000]) server.connection(0).tell({ type: 'ack', position });
    await waitFor(() => acks.at(-1) === 50_000, 'the acknowledgements');
    server.connection(0).cut();
    await writable.close();
    expect(acks).toEqual(acks.toSorted((a, b) => a - b));
    expect(acks.at(-1)).toBe(100_000);
    expect(writable.acknowledgedBytes).toBe(100_000);
  });
});

describe('an append whose connection broke', () => {
  test.each(['400', '404', '408', '425', '429', '500', '502', '503', '504', '522'])(
    'asks again after a %s',
    async (status) => {
      const server = await FakeServer.start(
        (connection) => {
          open(connection);
          acknowledgeAll(connection);
        },
        (number) => (number === 1 || number === 2 ? status : undefined),
      );
      const attempts: number[] = [];
      const writable = startAppend(server, { onReconnect: ({ attempt }) => attempts.push(attempt) });
      await once(writable, 'open');
      server.connection(0).cut();
      writable.write('x');
      await writable.close();
      expect(attempts).toEqual([1, 2, 3]);
      expect(server.queries).toHaveLength(4);
    },
  );

  test.each(['401', '403', '409', '507'])('gives up after a %s', async (status) => {
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.cut();
      },
      (number) => (number > 0 ? status : undefined),
    );
    const error = await failureOf(startAppend(server));
    expect(error).toBeInstanceOf(StreamInterruptedError);
    expect((error as Error).cause).toMatchObject({ code: expect.stringMatching(/^HFS_/) });
    expect(server.queries).toHaveLength(2);
  });

  test('is told when the file is gone', async () => {
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.cut();
      },
      (number) => (number > 0 ? '410' : undefined),
    );
    expect(await failureOf(startAppend(server))).toBeInstanceOf(ResourceGoneError);
  });

  test('gives up after so many attempts in a row, with what was wrong last as the cause', async () => {
    const server = await FakeServer.start(
      (connection) => {
        open(connection);
        connection.cut();
      },
      (number) => (number > 0 ? '503' : undefined),
    );
    const events: unknown[] = [];
    const writable = startAppend(server, {
      retry: { ...QUICK, times: 4 },
      onReconnect: (event) => events.push(event),
    });
    const error = await failureOf(writable);
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).cause).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS', status: 503 });
    expect(server.queries).toHaveLength(5);
    expect(events).toMatchObject([
      { attempt: 1, delayMs: expect.any(Number), error: { code: 'HFS_CONNECTION' } },
      { attempt: 2, error: { status: 503 } },
      { attempt: 3, error: { status: 503 } },
      { attempt: 4, error: { status: 503 } },
    ]);
  });

  test('gives up in the same way when the connection before that lasted long', async () => {
    const server = await FakeServer.start(
      (connection) => open(connection),
      (number) => (number > 0 ? '503' : undefined),
    );
    const writable = startAppend(server, { retry: { ...QUICK, times: 3 } });
    await once(writable, 'open');
    const failed = failureOf(writable);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    server.connection(0).cut();
    await rejection(
      Promise.race([failed, waitFor(() => server.queries.length > 30, 'more and more attempts')]),
    );
    expect(server.queries).toHaveLength(4);
    expect(await failed).toBeInstanceOf(ConnectionLostError);
  });

  test('counts attempts that bring nothing, even when the server accepts each time', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.once('message', () => connection.cut());
    });
    const writable = startAppend(server, { retry: { ...QUICK, times: 5 } });
    writable.write('x');
    const error = await rejection(
      Promise.race([finished(writable), waitFor(() => server.queries.length > 30, 'more and more attempts')]),
    );
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect(server.queries).toHaveLength(6);
  });

  test('has as many attempts as before when one has brought it on', async () => {
    const total = 40;
    const server = await FakeServer.start((connection, number) => {
      open(connection, number);
      connection.websocket.once('message', () => {
        connection.tell({ type: 'ack', position: number + 1 });
        if (number < total - 1) connection.socket.end();
      });
    });
    const writable = startAppend(server, { retry: { minDelayMs: 0, maxDelayMs: 0, times: 2 } });
    for (let i = 0; i < total; i++) {
      writable.write('x');
      await waitFor(() => writable.acknowledgedBytes === i + 1, `byte ${i}`);
    }
    await writable.close();
  });

  test('is over at once with retry: false', async () => {
    const server = await FakeServer.start((connection) => open(connection));
    const writable = startAppend(server, { retry: false });
    await once(writable, 'open');
    const failed = failureOf(writable);
    server.connection(0).cut();
    expect(await failed).toBeInstanceOf(ConnectionLostError);
    expect(await failed).toMatchObject({ cause: { code: 'HFS_CONNECTION' } });
    expect(server.queries).toHaveLength(1);
  });

  test('rejects its close, and fails the callbacks of what was not taken', async () => {
    const server = await FakeServer.start(
      (connection) => open(connection),
      (number) => (number > 0 ? '403' : undefined),
    );
    const writable = startAppend(server, { bufferBytes: 1000 });
    await once(writable, 'open');
    const outcomes: unknown[] = [];
    for (let i = 0; i < 3; i++) writable.write(Buffer.alloc(900), (error) => outcomes.push(error));
    const closed = rejection(writable.close());
    await waitFor(() => server.connection(0).byteCount === 1000, 'the bytes');
    server.connection(0).cut();
    const error = await closed;
    expect(error).toBeInstanceOf(StreamInterruptedError);
    await waitFor(() => outcomes.length === 3, 'the callbacks');
    expect(outcomes[0] ?? undefined).toBeUndefined();
    expect(outcomes.slice(1)).toEqual([error, error]);
    expect(await rejection(writable.close())).toBe(error);
  });

  test('may be given up in onReconnect: nothing connects any more', async () => {
    const server = await FakeServer.start((connection) => open(connection));
    const reason = new Error('enough');
    const writable = startAppend(server, {
      retry: { minDelayMs: 20, maxDelayMs: 20 },
      onReconnect: () => writable.destroy(reason),
    });
    await once(writable, 'open');
    const failed = failureOf(writable);
    server.connection(0).cut();
    expect(await failed).toBe(reason);
    await waitWhile(() => server.queries.length === 1, 'one connection');
  });

  test('may be given up while it waits for its next attempt', async () => {
    const server = await FakeServer.start((connection) => open(connection));
    const controller = new AbortController();
    const reason = new Error('enough');
    let isWaiting = false;
    const writable = startAppend(server, {
      signal: controller.signal,
      retry: { minDelayMs: 100, maxDelayMs: 100 },
      onReconnect: () => {
        isWaiting = true;
      },
    });
    await once(writable, 'open');
    const failed = failureOf(writable);
    server.connection(0).cut();
    await waitFor(() => isWaiting, 'the wait');
    controller.abort(reason);
    expect(await failed).toBe(reason);
    await waitWhile(() => server.queries.length === 1, 'one connection');
  });
});

describe('an append that is destroyed with bytes that were not sent yet', () => {
  test.each([
    ['in its open event', 'open'],
    ['after that', 'later'],
  ])('%s lets the process go on, and closes its connection with 1001', async (_, when) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.pause();
    });
    const writable = startAppend(server);
    writable.write(Buffer.alloc(8 * MIB));
    await once(writable, 'open');
    if (when === 'later') await waitFor(() => server.connections.length === 1, 'the connection');
    writable.destroy();
    await once(writable, 'close');
    server.connections[0]?.websocket.resume();
    await waitFor(() => server.sockets.size === 0, 'the connection to be gone');
    expect(server.connection(0).closeCode).toBe(1001);
  });
});

describe('an append is told by the server', () => {
  test.each([
    ['interrupted', StreamInterruptedError],
    ['deleted', ResourceGoneError],
    ['truncated', StreamTruncatedError],
  ] as const)('that it ended as %s, and does not go on', async (reason, type) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.tell({ type: 'end', position: 0, reason, detail: 'so it is' });
      connection.websocket.close(1011);
    });
    const error = await failureOf(startAppend(server));
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain('so it is');
    expect(server.queries).toHaveLength(1);
  });

  test('that it shuts down, and goes on when it is back', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection);
      if (number === 0) {
        connection.tell({ type: 'end', position: 0, reason: 'shutdown' });
        connection.websocket.close(1012);
      } else acknowledgeAll(connection);
    });
    const writable = startAppend(server);
    writable.write('x');
    await waitFor(() => server.connections.length === 2, 'the second connection');
    await writable.close();
    expect(String(server.connection(1).bytes)).toBe('x');
  });
});

describe('an append to a server that talks nonsense', () => {
  /** How an append of ten bytes ends when the server says `text` at once after the first of them came. */
  async function outcomeOf(texts: string[]) {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.once('message', () => {
        for (const text of texts) connection.say(text);
      });
    });
    const writable = startAppend(server);
    const failed = failureOf(writable);
    writable.write('0123456789');
    return { server, writable, failed };
  }

  test.each([
    ['no JSON', 'garbage{'],
    ['JSON that is no object', '17'],
    ['null', 'null'],
    ['a text longer than any message', JSON.stringify({ type: 'x', text: 'x'.repeat(100_000) })],
    ['an acknowledgement without a position', '{"type":"ack"}'],
    ['an acknowledgement of text', '{"type":"ack","position":"ten"}'],
    ['an acknowledgement of half a byte', '{"type":"ack","position":0.5}'],
    ['an acknowledgement of a negative position', '{"type":"ack","position":-5}'],
    ['an opening without a position', '{"type":"open","generation":1,"live":true}'],
  ])(
    '(%s) gives up after the third time in a row that brings nothing, and lets go of its connections',
    async (_, text) => {
      const { server, writable, failed } = await outcomeOf([text]);
      expect(await failed).toBeInstanceOf(ProtocolError);
      expect(server.queries).toHaveLength(3);
      expect(writable.acknowledgedBytes).toBe(0);
      await waitFor(() => server.sockets.size === 0, 'the connections to be gone');
    },
  );

  test('fails at an acknowledgement of more than was sent, and does not go on', async () => {
    const { server, writable, failed } = await outcomeOf(['{"type":"ack","position":11}']);
    expect(await failed).toBeInstanceOf(ProtocolError);
    expect(writable.acknowledgedBytes).toBe(0);
    expect(server.queries).toHaveLength(1);
    await waitFor(() => server.sockets.size === 0, 'the connection to be gone');
  });

  test('goes on as long as each connection brings an acknowledgement', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number);
      connection.websocket.once('message', () => {
        connection.tell({ type: 'ack', position: number + 1 });
        if (number < 9) connection.say('garbage{');
      });
    });
    const writable = startAppend(server);
    for (let bytes = 1; bytes <= 10; bytes++) {
      writable.write('x');
      await waitFor(() => writable.acknowledgedBytes === bytes, `byte ${bytes}`);
    }
    await writable.close();
    expect(server.queries).toHaveLength(10);
  });

  test('ignores what it does not know', async () => {
    const { server, writable } = await outcomeOf([
      '{"type":"weather","position":"sunny"}',
      '{"type":"ack","position":4,"more":[1,2]}',
      '{"type":"constructor"}',
      '{}',
      '{"type":"__proto__"}',
    ]);
    await waitFor(() => writable.acknowledgedBytes === 4, 'the acknowledgement');
    server.connection(0).send('a server sends no bytes to an appender');
    server.connection(0).tell({ type: 'ack', position: 10 });
    await writable.close();
    expect(server.queries).toHaveLength(1);
  });

  test.each([
    ['without a position', { type: 'open', generation: 1, live: true }],
    ['with a negative position', { ...OPEN, position: -1 }],
    ['with a position that is no number', { ...OPEN, position: 'x' }],
  ])('fails when it is opened %s', async (_, message) => {
    const server = await FakeServer.start((connection) => connection.say(JSON.stringify(message)));
    const writable = startAppend(server, { retry: { ...QUICK, times: 2 } });
    const failed = failureOf(writable);
    writable.write('x');
    expect(await failed).toBeInstanceOf(ProtocolError);
    expect(server.queries).toHaveLength(1);
  });

  test('fails at an acknowledgement before it is open, and sends nothing', async () => {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'ack', position: 3 });
      open(connection);
    });
    const writable = startAppend(server);
    const failed = failureOf(writable);
    writable.write('0123456789');
    expect(await failed).toBeInstanceOf(ProtocolError);
    expect(await failed).toMatchObject({ message: 'the server acknowledges bytes that were not sent' });
    expect(writable.acknowledgedBytes).toBe(0);
    await waitFor(() => server.connections[0]?.closeCode !== undefined, 'the close');
    expect(server.connection(0)).toMatchObject({ closeCode: 1001, byteCount: 0 });
    expect(server.queries).toHaveLength(1);
  });

  test.each([
    ['fewer bytes than it acknowledged', 4],
    ['more bytes than were sent', 11],
  ])('fails when the server that comes back has %s, and sends nothing', async (_, arrived) => {
    const server = await FakeServer.start((connection, number) =>
      open(connection, number === 0 ? 100 : 100 + arrived),
    );
    const writable = startAppend(server);
    const failed = failureOf(writable);
    writable.write('0123456789');
    await waitFor(() => server.connections[0]?.byteCount === 10, 'the bytes');
    server.connection(0).tell({ type: 'ack', position: 105 });
    await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
    server.connection(0).cut();
    expect(await failed).toBeInstanceOf(ProtocolError);
    expect(server.connection(1).byteCount).toBe(0);
  });

  test('fails when it is opened twice, and sends nothing twice', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.once('message', () => {
        connection.tell(OPEN);
        connection.tell({ type: 'ack', position: 10 });
      });
    });
    const writable = startAppend(server, { retry: { ...QUICK, times: 2 } });
    writable.write('0123456789');
    expect(await rejection(writable.close())).toBeInstanceOf(ProtocolError);
    expect(server.queries).toHaveLength(1);
    expect(server.connection(0).bytes.toString()).toBe('0123456789');
  });

  test('fails when its first connection breaks before it is open', async () => {
    const server = await FakeServer.start((connection) => connection.cut());
    expect(await failureOf(startAppend(server))).toBeInstanceOf(ConnectionError);
    expect(server.queries).toHaveLength(1);
  });

  test.each([
    ['was closed by a frame', frame(Op.close, closePayload(1012))],
    ['broke the rules', frame(Op.text, 'garbage')],
  ])('lets go of a connection that %s and that the server keeps open', async (_, last) => {
    let handshakes = 0;
    const server = await startRawServer((socket, request) => {
      accept(socket, request, SUBPROTOCOL);
      socket.write(frame(Op.text, JSON.stringify(OPEN)));
      if (++handshakes < 3) socket.write(last);
      // It never answers a close frame; only when the client has closed its side it closes the other.
      socket.resume().on('end', () => socket.end());
    });
    const writable = openAppend(server.url, { retry: QUICK });
    await waitFor(() => handshakes === 3, 'the connection that stays');
    await waitFor(() => server.sockets.size === 1, 'the others to be gone');
    writable.destroy();
    await waitFor(() => server.sockets.size === 0, 'all to be gone');
  });
});

test('an append notices that its server has fallen silent, and goes on through a new connection', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const server = await FakeServer.start(
    (connection) => {
      open(connection);
      if (server.connections.length === 2) acknowledgeAll(connection);
    },
    () => undefined,
    { autoPong: false },
  );
  const errors: unknown[] = [];
  const writable = startAppend(server, { onReconnect: ({ error }) => errors.push(error.message) });
  writable.write('x');
  await waitFor(() => server.connections[0]?.byteCount === 1, 'the byte');
  vi.advanceTimersByTime(35_000);
  await waitFor(() => server.connections.length === 2, 'the second connection');
  expect(errors).toEqual(['the server has fallen silent']);
  await writable.close();
  expect(String(server.connection(1).bytes)).toBe('x');
});

test('an append notices that its server has fallen silent instead of answering its close, and goes on', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const isClosed: boolean[] = [];
  const server = await startRawServer((socket, request) => {
    const number = isClosed.push(false) - 1;
    accept(socket, request, SUBPROTOCOL);
    socket.write(frame(Op.text, JSON.stringify({ ...OPEN, position: number })));
    socket.on('data', (bytes: Buffer) => {
      if (number === 0) socket.write(frame(Op.text, JSON.stringify({ type: 'ack', position: 1 })));
      if (!bytes.includes(CLOSE_HEAD)) return;
      isClosed[number] = true;
      if (number > 0) socket.end(frame(Op.close, closePayload(1000)));
    });
  });
  const errors: unknown[] = [];
  const writable = openAppend(server.url, {
    retry: QUICK,
    onReconnect: ({ error }) => errors.push(error.message),
  });
  writable.write('x');
  const closed = writable.close();
  await waitFor(() => isClosed[0] === true, 'the close');
  vi.advanceTimersByTime(35_000);
  await closed;
  expect(errors).toEqual(['the server has fallen silent']);
  expect(isClosed).toEqual([true, true]);
});

test('an append stays with a server that answers its pings and says nothing else', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  let pings = 0;
  const server = await FakeServer.start((connection) => {
    open(connection);
    connection.websocket.on('ping', () => pings++);
  });
  const writable = startAppend(server);
  await once(writable, 'open');
  let pongs = 0;
  server.connection(0).websocket.on('pong', () => pongs++);
  for (let i = 1; i <= 20; i++) {
    vi.advanceTimersByTime(5000);
    await waitFor(() => pings >= i, `ping ${i}`);
    // Its answer has come when the client has read what was sent after it.
    server.connection(0).websocket.ping();
    await waitFor(() => pongs >= i, `pong ${i}`);
  }
  expect(server.connections).toHaveLength(1);
  expect(writable.destroyed).toBe(false);
});

test('an append that is destroyed after its end was asked for is not closed', async () => {
  const server = await FakeServer.start(open);
  const writable = startAppend(server);
  await once(writable, 'open');
  writable.write('not acknowledged');
  const closed = writable.close();
  writable.destroy();
  await expect(closed).rejects.toThrow();
  await expect(writable.close()).rejects.toThrow();
});
