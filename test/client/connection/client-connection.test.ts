import type { Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ConnectionError, follow } from '../../../src/client/index.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';
import { readingError, startRawServer } from '../client-server.ts';

describe('the time that a server has', () => {
  test('to answer a handshake ends after 30 s, also when there is a byte now and then', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let hear: (socket: Socket) => void = () => {};
    const heard = new Promise<Socket>((resolve) => {
      hear = resolve;
    });
    const { url } = await startRawServer((socket) => hear(socket));
    const failure = readingError(follow(url));
    const socket = await heard;
    expect(vi.getTimerCount()).toBe(1);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpg');
    vi.advanceTimersByTime(29_999);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    const error = await failure;
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ message: 'the server has not answered within 30 s' });
  });

  test('to begin ends after 30 s, though it answers pings', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    let pings = 0;
    let pongs = 0;
    const server = await FakeServer.start(({ websocket }) => {
      websocket.on('ping', () => pings++);
      websocket.on('pong', () => pongs++);
    });
    const failure = readingError(follow(server.url));
    await waitFor(() => server.connections.length === 1, 'the connection');
    for (let i = 1; i <= 6; i++) {
      // What the client was sent before has come when it answers.
      server.connection(0).websocket.ping();
      await waitFor(() => pongs === i, `pong ${i}`);
      vi.advanceTimersByTime(5000);
      if (i < 6) await waitFor(() => pings === i, `ping ${i}`);
    }
    const error = await failure;
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ message: 'the server does not begin' });
  });
});
