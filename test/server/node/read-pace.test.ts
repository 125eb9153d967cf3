import { describe, expect, test } from 'vitest';
import { openSocket } from '../../support/http-raw.ts';
import { startStandalone } from '../../support/http-standalone.ts';
import { send } from '../../support/streams-requests.ts';
import { waitFor } from '../../support/wait-for.ts';

const REQUESTS = 10_000;

describe('a connection on which very many requests come at once', () => {
  test.each([
    ['are answered at once', 'OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['are refused before anything is looked at', 'OPTIONS / HTTP/1.1\r\nHost: a.b\r\n\r\n'],
    ['have a method that means nothing', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a malformed path', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('that %s rests, so that others are served meanwhile', async (_, request) => {
    const server = await startStandalone();
    const socket = await openSocket(server.port);
    let isOver = false;
    socket.resume().once('close', () => {
      isOver = true;
    });
    socket.write(request.repeat(REQUESTS) + request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await waitFor(() => socket.bytesRead > 0, 'the first answer');
    let othersCount = 0;
    while (!isOver) {
      expect((await send('OPTIONS', server.url('/'))).status).toBe(204);
      othersCount++;
    }
    // One for each read of 64 KiB at least, where one of two megabytes was taken in a row.
    expect(othersCount).toBeGreaterThan((request.length * REQUESTS) / (256 * 1024));
  });
});
