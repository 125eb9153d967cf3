import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { append, follow, openAppend } from '../../src/client/index.ts';
import { OriginalServer } from '../support/original/server.ts';
import { startServer } from '../support/server/server.ts';
import { waitWhile } from '../support/wait-for.ts';
import { rejection } from './client-server.ts';

/** Follows to the end. */
async function followed(url: string) {
  const readable = follow(url);
  return { text: await text(readable), status: readable.status, reason: readable.reason };
}

describe('the status of a command', () => {
  test('goes from append to follow', async () => {
    const server = await startServer();
    await append(server.url('/a'), ['built\n'], { status: () => 3 });
    expect(await followed(server.url('/a'))).toEqual({ text: 'built\n', status: 3, reason: 'finished' });
  });

  test.each([
    ['without one', {}],
    ['with an undefined one', { status: () => undefined }],
  ])('is undefined of an append %s', async (_, options) => {
    const server = await startServer();
    await append(server.url('/a'), ['x'], options);
    expect(await followed(server.url('/a'))).toEqual({ text: 'x', status: undefined, reason: 'finished' });
  });

  test('is asked for when all is written, and the append ends when it is known', async () => {
    const server = await startServer();
    const asked: string[] = [];
    let tell = (_status: number): void => undefined;
    const writable = openAppend(server.url('/a'), {
      status: () => {
        asked.push('status');
        return new Promise<number>((resolve) => {
          tell = resolve;
        });
      },
    });
    writable.write('x');
    await once(writable, 'open');
    expect(asked).toEqual([]);
    let isClosed = false;
    const closed = writable.close().then(() => {
      isClosed = true;
    });
    await waitWhile(() => !isClosed, 'the append waits');
    tell(0);
    await closed;
    expect(asked).toEqual(['status']);
    expect(await followed(server.url('/a'))).toEqual({ text: 'x', status: 0, reason: 'finished' });
  });

  test.each([
    ['throws', () => Promise.reject(new Error('who knows')), /who knows/],
    ['gives none', () => 256, /from 0 to 255/],
    ['gives a fraction', () => 0.5, /from 0 to 255/],
  ])('that %s is the error of the append, which is interrupted', async (_, status, message) => {
    const server = await startServer();
    const writable = openAppend(server.url('/a'), { status });
    await once(writable, 'open');
    expect(String(await rejection(writable.close()))).toMatch(message);
    const readable = follow(server.url('/a'));
    await rejection(text(readable));
    expect([readable.reason, readable.status]).toEqual(['interrupted', undefined]);
  });

  test('is asked for once, and told through a new connection when the first one breaks meanwhile', async () => {
    const server = await startServer();
    const sockets: Socket[] = [];
    server.app.server.on('connection', (socket) => sockets.push(socket));
    let count = 0;
    const writable = openAppend(server.url('/a'), {
      retry: { minDelayMs: 1 },
      status: () => {
        for (const socket of sockets) socket.destroy();
        count++;
        return 7;
      },
    });
    writable.write('x');
    await once(writable, 'open');
    await writable.close();
    expect([count, sockets.length]).toEqual([1, 2]);
    expect(await followed(server.url('/a'))).toEqual({ text: 'x', status: 7, reason: 'finished' });
  });

  test('is not told to a server of the original’s kind, where the append ends as ever', async () => {
    const server = await OriginalServer.start();
    await append(server.url('/a'), ['x'], { status: () => 3 });
    expect(await followed(server.url('/a'))).toEqual({ text: 'x', status: undefined, reason: 'finished' });
  });
});
