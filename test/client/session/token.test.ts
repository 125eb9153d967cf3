import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type FollowOptions,
  ForbiddenRightError,
  follow,
  openAppend,
  UnauthorizedError,
} from '../../../src/client/index.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type FakeConnection, FakeServer } from '../../support/websocket/fake-server.ts';
import { rejection } from '../client-server.ts';

const EXPIRED = 3000;
const TAKEN_AWAY = 3003;

/** Opens a connection as the server does that has `position` bytes. */
function open(connection: FakeConnection, position = 0): void {
  connection.tell({ type: 'open', generation: 1, position, live: true });
  connection.tell({ type: 'ack', position });
}

function finish(connection: FakeConnection, position: number): void {
  connection.tell({ type: 'end', reason: 'finished', position });
  connection.websocket.close(1000);
}

/** Gives another token each time: `t1`, `t2` … */
function tokens() {
  let count = 0;
  return vi.fn(async () => `t${++count}`);
}

/** What the connections that were accepted have brought. */
const brought = (server: FakeServer) => server.connections.map(({ headers }) => headers.authorization);

const startFollow = (server: FakeServer, options: FollowOptions) => {
  const readable = follow(server.url, { retry: false, ...options });
  onTestFinished(() => void readable.destroy());
  return readable;
};

const startAppend = (server: FakeServer, options: FollowOptions) => {
  const writable = openAppend(server.url, { retry: false, ...options });
  writable.on('error', () => undefined);
  onTestFinished(() => void writable.destroy());
  return writable;
};

describe('a token', () => {
  test.each([
    ['as it is', 't', 'Bearer t'],
    ['by a function', () => 't', 'Bearer t'],
    ['by a function that takes its time', async () => 't', 'Bearer t'],
    ['by a function that has none', () => undefined, 'Basic x'],
  ])('is sent, given %s', async (_, token, expected) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      finish(connection, 0);
    });
    await buffer(startFollow(server, { token, headers: { Authorization: 'Basic x', 'x-own': '1' } }));
    expect(brought(server)).toEqual([expected]);
    expect(server.connection(0).headers['x-own']).toBe('1');
  });

  test.each(['', 'a b', 'a\n', 'ä'])('that cannot be sent (%j) is refused, and not shown', async (token) => {
    const mistake = new TypeError('the token must be visible ASCII characters, without spaces');
    expect(() => follow('http://127.0.0.1:1/', { token })).toThrow(mistake);
    expect(() => openAppend('http://127.0.0.1:1/', { token })).toThrow(mistake);
    const readable = follow('http://127.0.0.1:1/', { token: () => token });
    expect(await rejection(finished(readable))).toEqual(mistake);
  });

  test('that a function cannot give is the error of the stream', async () => {
    const failure = new Error('no token');
    const token = () => Promise.reject(failure);
    expect(await rejection(finished(follow('http://127.0.0.1:1/', { token })))).toBe(failure);
    expect(await rejection(finished(openAppend('http://127.0.0.1:1/', { token })))).toBe(failure);
  });
});

describe.each([
  ['a follower', startFollow],
  ['an append', startAppend],
])('the first connection of %s', (_, start) => {
  const refusing = (...refusals: (string | undefined)[]) =>
    FakeServer.start(
      (connection) => open(connection),
      (number) => refusals[number],
    );

  test('is refused for good without a function', async () => {
    const server = await refusing('401');
    expect(await rejection(finished(start(server, { token: 't' })))).toBeInstanceOf(UnauthorizedError);
    expect(server.queries).toHaveLength(1);
  });

  test('is tried once more with what the function gives then', async () => {
    const server = await refusing('401', undefined);
    const token = tokens();
    await once(start(server, { token }), 'open');
    expect(brought(server)).toEqual(['Bearer t2']);
    expect(token).toHaveBeenCalledTimes(2);
  });

  test('is refused for good the second time', async () => {
    const server = await refusing('401', '401', undefined);
    const token = tokens();
    expect(await rejection(finished(start(server, { token })))).toBeInstanceOf(UnauthorizedError);
    expect(token).toHaveBeenCalledTimes(2);
  });
});

describe('a stream whose token expires', () => {
  test('goes on with another one: a follower, without a byte twice', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number * 5);
      connection.send('hello');
      if (number < 3) connection.websocket.close(EXPIRED);
      else finish(connection, 20);
    });
    const reconnects = vi.fn();
    const readable = startFollow(server, { token: tokens(), onReconnect: reconnects });
    expect((await buffer(readable)).toString()).toBe('hello'.repeat(4));
    expect(brought(server)).toEqual(['Bearer t1', 'Bearer t2', 'Bearer t3', 'Bearer t4']);
    expect(server.queries.map((query) => query.get('from'))).toEqual([null, '5', '10', '15']);
    // The connection was not lost.
    expect(reconnects).not.toHaveBeenCalled();
  });

  test('goes on with another one: an append, with what had not arrived', async () => {
    const server = await FakeServer.start((connection, number) => {
      open(connection, number === 0 ? 0 : 2);
      if (number === 0) connection.websocket.once('message', () => connection.websocket.close(EXPIRED));
      else
        connection.websocket.on('message', () =>
          connection.tell({ type: 'ack', position: 2 + connection.byteCount }),
        );
    });
    const writable = startAppend(server, { token: tokens() });
    writable.write('hello');
    expect(await writable.close()).toMatchObject({ bytes: 5, position: 5 });
    expect(server.connection(1).bytes.toString()).toBe('llo');
    expect(brought(server)).toEqual(['Bearer t1', 'Bearer t2']);
    expect(server.queries[0]?.get('session')).toBe(server.queries[1]?.get('session'));
  });

  test.each([
    ['without a function', () => 't', 1],
    ['when the next one has expired, too', tokens, 2],
  ])('fails %s', async (_, make, count) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.close(EXPIRED, 'it is over');
    });
    const token = make();
    for (const start of [startFollow, startAppend]) {
      server.connections.length = 0;
      const error = await rejection(finished(start(server, { token })));
      expect(error).toEqual(new UnauthorizedError('it is over'));
      expect(server.connections).toHaveLength(count);
    }
  });

  test('is not an end: a follower with bytes that are not read yet gives them first', async () => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.send('hello');
      connection.websocket.close(EXPIRED);
    });
    const readable = startFollow(server, { token: 't' });
    await waitFor(() => server.sockets.size === 0, 'the close');
    expect(readable.destroyed).toBe(false);
    const chunks: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of readable) chunks.push(chunk);
    })();
    expect(await rejection(reading)).toEqual(new UnauthorizedError('the token has expired'));
    expect(Buffer.concat(chunks).toString()).toBe('hello');
    expect(readable.reason).toBeUndefined();
  });
});

describe('a stream whose right is taken away', () => {
  test.each([
    ['a follower', startFollow],
    ['an append', startAppend],
  ])('fails: %s, whatever gives tokens', async (_, start) => {
    const server = await FakeServer.start((connection) => {
      open(connection);
      connection.websocket.close(TAKEN_AWAY);
    });
    const token = tokens();
    const error = await rejection(finished(start(server, { token, retry: { minDelayMs: 1 } })));
    expect(error).toEqual(new ForbiddenRightError('the right was taken away'));
    expect(token).toHaveBeenCalledTimes(1);
  });
});
