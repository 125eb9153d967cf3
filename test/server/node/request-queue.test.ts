import { describe, expect, test } from 'vitest';
import { openSocket } from '../../support/http-raw.ts';
import { startStandalone } from '../../support/http-standalone.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Less than what Node reads at a time. */
const PIPELINE_BYTES = 32 * 1024;

describe('a connection on which very many requests come at once', () => {
  test.each([
    ['are answered at once', 'OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['are refused before anything is looked at', 'OPTIONS / HTTP/1.1\r\nHost: a.b\r\n\r\n'],
    ['are refused in their turn', 'GET /?lines=1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a method that means nothing', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a method that Fastify does not know', 'PURGE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['have a malformed path', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['expect something', 'PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n'],
  ])('that %s has a few of them answered at a time, in order', async (_, request) => {
    const server = await startStandalone();
    const total = Math.ceil(PIPELINE_BYTES / request.length);
    const inTurns: number[] = [];
    let inThisTurn = 0;
    let count = 0;
    server.app.server.on('request', (_request, response) => {
      response.once('finish', () => {
        count++;
        inThisTurn++;
        if (inThisTurn > 1) return;
        setImmediate(() => {
          inTurns.push(inThisTurn);
          inThisTurn = 0;
        });
      });
    });
    const socket = await openSocket(server.port);
    socket.resume().write(request.repeat(total));
    await waitFor(() => count === total && inThisTurn === 0, 'all answers');
    expect(Math.max(...inTurns)).toBeLessThanOrEqual(32);
  });
});
