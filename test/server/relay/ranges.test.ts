import { stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { append } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { headOf, rangeStart, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const SIZE = 20 * 1024 * 1024;

const ETAG = { ETag: '"one"' };

/** A relay of a server that has sent so many bytes of a body, and waits. `goOn` sends the rest. */
async function startHalfway(sent: number) {
  let socket: Socket | undefined;
  const server = await ScriptedServer.start((request, connection) => {
    const start = rangeStart(request);
    if (request.headers.range !== undefined) {
      const range = `bytes ${start}-${start + 9}/${SIZE}`;
      say(connection, '206 Partial Content', { ...ETAG, 'Content-Range': range }, pattern(start, 10));
      return;
    }
    socket = connection;
    socket.write(headOf('200 OK', { 'Content-Length': SIZE, 'Content-Type': 'text/x-own', ...ETAG }));
    socket.write(pattern(0, sent));
  });
  const relay = await startRelay(server.url);
  const whole = fetch(relay.url('/f')).then((response) => response.arrayBuffer());
  // It breaks with the test.
  whole.catch(() => undefined);
  await waitForSize(path.join(relay.root, 'f'), sent);
  const part = async (start: number, headers: Record<string, string> = {}) => {
    const range = `bytes=${start}-${start + 9}`;
    const response = await fetch(relay.url('/f'), { headers: { range, ...headers } });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { response, isRight: bytes.equals(pattern(start, 10)) };
  };
  return { server, part, whole, goOn: () => socket?.write(pattern(sent, SIZE - sent)) };
}

describe('a part of what is still coming', () => {
  test('is read from here, when it is here', async () => {
    const { server, part } = await startHalfway(100_000);
    const { response, isRight } = await part(50_000, { 'if-range': '"one"' });
    expect([response.status, isRight]).toEqual([206, true]);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-range': `bytes 50000-50009/${SIZE}`,
      'content-length': '10',
      'content-type': 'text/x-own',
      etag: '"one"',
    });
    expect(server.requests).toHaveLength(1);
  });

  test('is waited for, when it comes soon', async () => {
    const { server, part, whole, goOn } = await startHalfway(100_000);
    const soon = part(7 * 1024 * 1024);
    const last = part(8 * 1024 * 1024 + 100_000);
    goOn();
    for (const { response, isRight } of await Promise.all([soon, last])) {
      expect([response.status, isRight]).toEqual([206, true]);
    }
    expect(Buffer.from(await whole).equals(pattern(0, SIZE))).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  test('is passed on, when it comes late, or is one of another body', async () => {
    const { server, part } = await startHalfway(100_000);
    for (const [start, headers] of [
      [9 * 1024 * 1024, {}],
      [5, { 'if-range': '"two"' }],
      [5, { 'if-range': 'Mon, 02 Nov 2026 10:00:00 GMT' }],
      [5, { 'if-match': '"one"' }],
    ] as const) {
      const { response, isRight } = await part(start, headers);
      expect([response.status, isRight]).toEqual([206, true]);
      expect(response.headers.get('cache-status')).toBe('httpfstream; fwd=bypass');
    }
    expect(server.requests).toHaveLength(5);
  });

  test('is read from here, too, when it comes from an httpfstream server', async () => {
    const origin = await startOrigin();
    const size = 60 * 1024 * 1024;
    await writeFile(path.join(origin.root, 'f'), pattern(0, size));
    const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
    const relay = await startRelay(network.url(''));
    const [response] = await new Promise<[http.IncomingMessage]>((resolve) => {
      http.get(relay.url('/f'), { agent: false }, (...answer) => resolve(answer));
    });
    let count = 0;
    response.once('data', () => network.stallAll());
    response.on('data', ({ length }: Buffer) => {
      count += length;
    });
    await waitFor(() => count > 0, 'the first bytes');
    const part = async (start: number) => {
      const headers = { range: `bytes=${start}-${start + 9}` };
      const answer = await fetch(relay.url('/f'), { headers });
      expect([answer.status, answer.headers.get('content-range')]).toEqual([
        206,
        `bytes ${start}-${start + 9}/${size}`,
      ]);
      expect(Buffer.from(await answer.arrayBuffer()).equals(pattern(start, 10))).toBe(true);
    };
    const passedOn = () => origin.requests.filter((request) => !request.includes('FOLLOW'));
    await part(3);
    expect(passedOn()).toEqual([]);
    await part(size - 10);
    expect(passedOn()).toEqual(['GET /f']);
    network.resumeAll();
    await waitFor(() => count === size, 'the rest');
  });
});

test('a stream of JSON that is still coming is an array, as at the origin', async () => {
  const origin = await startOrigin();
  const stalling = { ...NO_CHAOS, weights: { stall: 1 }, betweenFaults: [200_000, 200_000] as const };
  const network = await ChaosProxy.start(origin.port, new Random(1), stalling);
  const relay = await startRelay(network.url(''));
  const headers = { 'content-type': 'application/json' };
  const values = Array.from({ length: 20_000 }, (_, i) => ({ i, text: 'value' }));
  await fetch(origin.url('/s'), { method: 'PUT', headers, body: JSON.stringify(values) });
  for (const _time of [1, 2]) expect(await (await fetch(relay.url('/s'))).json()).toEqual(values);
});

describe('a head, a part, or a condition', () => {
  test('is for what is here if that still holds; nothing is fetched for it if something else is there', async () => {
    const cached = { 'Cache-Control': 'no-cache' };
    let body = Buffer.from('short');
    const server = await ScriptedServer.start(({ headers }, socket) => {
      const tag = `"${body.length}"`;
      if (headers['if-none-match'] === tag) socket.write(headOf('304 Not Modified', { ETag: tag }));
      else if (headers['x-verb'] !== 'FOLLOW') socket.write(headOf('204 No Content', { ETag: tag }));
      else say(socket, '200 OK', { ETag: tag, ...cached }, body);
    });
    const relay = await startRelay(server.url);
    const requests = [
      { method: 'HEAD' },
      { headers: { range: 'bytes=0-9' } },
      { headers: { 'if-none-match': '"other"' } },
    ];
    const tags = () =>
      Promise.all(
        requests.map(async (request) => {
          const response = await fetch(relay.url('/f'), request);
          await response.arrayBuffer();
          return [response.status, response.headers.get('etag')];
        }),
      );
    await (await fetch(relay.url('/f'))).text();
    expect(await tags()).toEqual([
      [200, '"5"'],
      [206, '"5"'],
      [200, '"5"'],
    ]);
    body = Buffer.alloc(SIZE);
    const there = [204, `"${SIZE}"`];
    expect(await tags()).toEqual([there, there, there]);
    expect((await stat(path.join(relay.root, 'f'))).size).toBe(5);
    expect((await (await fetch(relay.url('/f'))).arrayBuffer()).byteLength).toBe(SIZE);
  });

  test('of what goes on at an httpfstream server is answered there, too', async () => {
    const origin = await startOrigin();
    const relay = await startRelay(origin.url(''));
    await writeFile(path.join(origin.root, 'f'), 'content');
    await (await fetch(relay.url('/f'))).text();
    await append(relay.url('/f'), [', and more']);
    const { headers } = await fetch(relay.url('/f'), { method: 'HEAD' });
    expect(headers.get('content-length')).toBe('17');
    expect((await stat(path.join(relay.root, 'f'))).size).toBe(7);
    expect(await (await fetch(relay.url('/f'))).text()).toBe('content, and more');
  });
});
