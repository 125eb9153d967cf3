import { describe, expect, test } from 'vitest';
import { openSocket } from '../../support/http-raw.ts';
import { startStandalone } from '../../support/http-standalone.ts';
import { waitFor } from '../../support/wait-for.ts';

const REQUESTS = 6000;

/** What Node reads at a time. */
const READ_BYTES = 64 * 1024;

describe('a connection on which very many requests come at once', () => {
  test.each([
    ['are answered at once', 'OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['are refused before anything is looked at', 'OPTIONS / HTTP/1.1\r\nHost: a.b\r\n\r\n'],
    ['have a method that means nothing', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a malformed path', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('that %s rests after each read, so that others have their turn', async (_, request) => {
    const server = await startStandalone();
    let count = 0;
    let inThisTurn = 0;
    let mostInATurn = 0;
    server.app.server.on('request', () => {
      count++;
      if (inThisTurn === 0) {
        setImmediate(() => {
          mostInATurn = Math.max(mostInATurn, inThisTurn);
          inThisTurn = 0;
        });
      }
      inThisTurn++;
    });
    const socket = await openSocket(server.port);
    socket.resume().write(request.repeat(REQUESTS));
    await waitFor(() => count === REQUESTS && inThisTurn === 0, 'all requests');
    // Two reads may meet in a turn: one before the rest, one after the one before it.
    expect(mostInATurn).toBeLessThanOrEqual(2 * Math.ceil(READ_BYTES / request.length));
  });
});
