import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { expect, onTestFinished, test } from 'vitest';
import { ServerSockets } from '../../../src/server/node/server-sockets.ts';
import { RequestBody } from '../../../src/server/request/request-body.ts';
import { openSocket, writeHead } from '../../support/http/raw.ts';

/** Resolves when nothing has been read from a connection for some turns of the event loop. */
async function whenQuiet(socket: Socket): Promise<void> {
  for (let turns = 0, bytesRead = -1; turns < 20; turns++) {
    if (socket.bytesRead !== bytesRead) turns = 0;
    ({ bytesRead } = socket);
    await nextTurn();
  }
}

test('a body that is held back is not gathered, only to come as tens of thousands of chunks at once', async () => {
  // As much as newer versions of Node gather by themselves.
  const server = http.createServer({ highWaterMark: 64 * 1024 });
  ServerSockets.of(server).allowHalfOpen(() => true);
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const done = new Promise<{ bytes: number; maxChunks: number }>((resolve, reject) => {
    server.once('request', (raw: http.IncomingMessage) => {
      const body = new RequestBody({ raw, server: { server } } as unknown as FastifyRequest);
      let bytes = 0;
      let chunks = 0;
      let maxChunks = 0;
      body.read({
        take: (taken) => {
          bytes += taken.length;
          body.pause();
          void whenQuiet(raw.socket).then(() => body.resume());
        },
        ended: () => resolve({ bytes, maxChunks }),
        failed: reject,
        cut: () => reject(new Error('the connection was cut')),
      });
      raw.on('data', () => {
        if (chunks++ === 0) {
          setImmediate(() => {
            maxChunks = Math.max(maxChunks, chunks);
            chunks = 0;
          });
        }
      });
    });
  });
  const socket = await openSocket((server.address() as AddressInfo).port);
  writeHead(socket, 'PUT /f HTTP/1.1', ['Transfer-Encoding: chunked']);
  socket.write(`${'1\r\nx\r\n'.repeat(100_000)}0\r\n\r\n`);
  const { bytes, maxChunks } = await done;
  expect(bytes).toBe(100_000);
  // One read of 64 KiB holds 11,000 of them.
  expect(maxChunks).toBeLessThan(25_000);
});
