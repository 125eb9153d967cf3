import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { append, follow } from '../../src/client/index.ts';
import { CloseCode } from '../../src/wire/protocol.ts';
import { type FakeConnection, FakeServer } from '../support/websocket/fake-server.ts';
import { rejection } from './client-server.ts';

const RETRY = { minDelayMs: 1, maxDelayMs: 5 };

/** Cuts the second connection before it is accepted, and serves the first in part and the third to its end. */
const startServer = () =>
  FakeServer.start((connection, number) => {
    if (number !== 1)
      connection.tell({ type: 'open', generation: 1, position: number === 0 ? 0 : 3, live: true });
    if (number === 0) serveThenCut(connection);
    else if (number === 1) connection.cut();
    else {
      connection.tell({ type: 'ack', position: 3 });
      connection.tell({ type: 'end', position: 3, reason: 'finished' });
    }
  });

function serveThenCut(connection: FakeConnection): void {
  connection.send('one');
  // Its answer comes when what was sent before has arrived.
  connection.websocket.ping();
  connection.websocket.once('pong', () => connection.cut());
}

test('a follower tells that it goes on, once for each time that it was away', async () => {
  const server = await startServer();
  const news: string[] = [];
  const options = {
    retry: RETRY,
    onReconnect: () => void news.push('lost'),
    onReconnected: () => void news.push('again'),
  };
  expect(String(await buffer(follow(server.url, options)))).toBe('one');
  expect(news).toEqual(['lost', 'lost', 'again']);
});

test('what onReconnected throws is the error of the stream', async () => {
  const thrown = new Error('of the user');
  const fail = () => {
    throw thrown;
  };
  const followed = await startServer();
  expect(await rejection(buffer(follow(followed.url, { retry: RETRY, onReconnected: fail })))).toBe(thrown);
  const appended = await FakeServer.start((connection, number) => {
    connection.tell({ type: 'open', generation: 1, position: 0, live: true });
    if (number === 0) connection.websocket.once('message', () => connection.cut());
  });
  expect(await rejection(append(appended.url, ['one'], { retry: RETRY, onReconnected: fail }))).toBe(thrown);
});

test('an appender tells it, too', async () => {
  const news: string[] = [];
  const server = await FakeServer.start((connection, number) => {
    connection.tell({ type: 'open', generation: 1, position: 0, live: true });
    connection.websocket.once('message', () => {
      if (number === 0) connection.cut();
      else connection.tell({ type: 'ack', position: 3 });
    });
    connection.websocket.once('close', () => connection.websocket.close(CloseCode.finished));
  });
  await append(server.url, ['one'], { retry: RETRY, onReconnected: () => void news.push('again') });
  expect(news).toEqual(['again']);
});
