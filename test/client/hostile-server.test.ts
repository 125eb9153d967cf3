import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { append, follow, openAppend } from '../../src/client/index.ts';
import { waitFor } from '../support/wait-for.ts';
import { FakeServer } from '../support/websocket/fake-server.ts';
import { readingError, rejection, startRawServer } from './client-server.ts';

describe('what a server says', () => {
  test.each(['{"toString":0}', '0', 'null', '[]', '{"length":1e9}'])(
    'is an error of the stream whatever its details are: %s',
    async (detail) => {
      const body = `{"code":${detail},"detail":${detail}}`;
      for (const status of ['403 Forbidden', '410 Gone', '500 Oh']) {
        const server = await startRawServer((socket) =>
          socket.end(
            `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
          ),
        );
        expect(await readingError(follow(server.url))).toMatchObject({ message: expect.any(String) });
        expect(await rejection(append(server.url, ['x']))).toMatchObject({ message: expect.any(String) });
      }
      const server = await FakeServer.start((connection) => {
        connection.tell({ type: 'open', generation: 1, position: 0, live: true });
        connection.say(`{"type":"end","reason":"interrupted","position":0,"detail":${detail}}`);
      });
      expect(await readingError(follow(server.url))).toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
      expect(await rejection(append(server.url, ['x']))).toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
    },
  );

  test('is told as far as a person would read', async () => {
    const body = 'x'.repeat(8000);
    const server = await startRawServer((socket) => socket.end(`HTTP/1.1 403 No\r\n\r\n${body}`));
    const error = (await readingError(follow(server.url))) as Error;
    expect(error.message).toMatch(/^HTTP status 403: x{200}$/);
  });
});

describe('a server that takes nothing', () => {
  test('may find 200,000 small writes waiting: they arrive, in order', async () => {
    let isAwake = false;
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.on('message', () => {
        if (isAwake) connection.tell({ type: 'ack', position: connection.byteCount });
      });
    });
    const writable = openAppend(server.url, { bufferBytes: 1000 });
    const lines = Array.from({ length: 200_000 }, (_, i) => `${i}\n`);
    for (const line of lines) writable.write(line);
    await waitFor(() => server.connections.length === 1, 'the connection');
    const connection = server.connection(0);
    await waitFor(() => connection.byteCount === 1000, 'what the buffer holds');
    isAwake = true;
    connection.tell({ type: 'ack', position: 1000 });
    writable.end();
    await finished(writable);
    expect(connection.bytes.toString()).toBe(lines.join(''));
  });
});

describe('a server that sends single bytes', () => {
  test('to a reader that stands still takes little memory, and all of them arrive', async () => {
    const message = Buffer.of(0x82, 1, 0x78);
    const count = 200_000;
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.socket.write(Buffer.concat(Array.from({ length: count }, () => message)));
      connection.tell({ type: 'end', reason: 'finished', position: count });
    });
    const readable = follow(server.url);
    let pieces = 0;
    const push = readable.push.bind(readable);
    readable.push = (bytes) => {
      pieces++;
      return push(bytes);
    };
    await waitFor(() => readable.readableLength > 0, 'bytes');
    readable.resume();
    await finished(readable);
    expect(readable.position).toBe(count);
    expect(pieces).toBeLessThan(count / 100);
  });

  test('one by one, to a reader that stands still, are joined, and a reader that asks for more gets it', async () => {
    let sent = 0;
    let isOver = false;
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      const sendOne = () => {
        if (isOver) {
          connection.tell({ type: 'end', reason: 'finished', position: sent });
          return;
        }
        sent++;
        // Each in a packet of its own.
        connection.socket.write(Buffer.of(0x82, 1, 0x78), () => setImmediate(sendOne));
      };
      sendOne();
    });
    const readable = follow(server.url);
    let pieces = 0;
    const push = readable.push.bind(readable);
    readable.push = (bytes) => {
      pieces++;
      return push(bytes);
    };
    await waitFor(() => sent >= 10_000, 'bytes to be sent');
    expect(pieces).toBeLessThan(sent / 2);
    // More than there is, and never all of it.
    let bytes = 0;
    for (let blocks = 0; blocks < 10; ) {
      const block = readable.read(1001) as Buffer | null;
      if (block === null) await nextTurn();
      else {
        bytes += block.length;
        blocks++;
      }
    }
    expect(bytes).toBe(10_010);
    isOver = true;
    for await (const chunk of readable) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(sent);
  });
});

test('an append that was aborted does not resolve, whatever the reason', async () => {
  for (const reason of [null, '', 0, false, undefined]) {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.on('message', () => connection.tell({ type: 'ack', position: 1 }));
      // The close is not answered.
      connection.websocket.once('message', () => connection.websocket.pause());
    });
    const controller = new AbortController();
    let isAcknowledged = false;
    const appended = append(server.url, ['x'], {
      signal: controller.signal,
      onAck: () => {
        isAcknowledged = true;
      },
    });
    const outcome = appended.then(
      () => 'resolved',
      () => 'rejected',
    );
    await waitFor(() => isAcknowledged, 'the acknowledgement');
    controller.abort(reason);
    expect(await outcome).toBe('rejected');
  }
});

test.each(['404 Not Found', '503 Busy'])(
  'who waited for a resource in vain while the server was away is told that it is missing, be it by %s',
  async (answer) => {
    const server = await FakeServer.start(
      (connection) => {
        connection.tell({ type: 'waiting' });
        setImmediate(() => connection.cut());
      },
      (number) => (number === 0 ? undefined : answer),
    );
    const error = await readingError(follow(server.url, { wait: 0.1 }));
    expect(error).toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
  },
);

describe("a user's own function that throws", () => {
  const thrown = new Error('mine');
  const fail = () => {
    throw thrown;
  };

  test('at an acknowledgement is the error of the append', async () => {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      connection.websocket.on('message', () => connection.tell({ type: 'ack', position: 1 }));
    });
    expect(await rejection(append(server.url, ['x'], { onAck: fail }))).toBe(thrown);
  });

  test('before a new connection is the error of the stream', async () => {
    const server = await FakeServer.start((connection) => {
      connection.tell({ type: 'open', generation: 1, position: 0, live: true });
      setImmediate(() => connection.cut());
    });
    expect(await readingError(follow(server.url, { onReconnect: fail }))).toBe(thrown);
    expect(await rejection(append(server.url, ['x'], { onReconnect: fail }))).toBe(thrown);
  });
});
