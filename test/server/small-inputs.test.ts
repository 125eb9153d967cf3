import { statSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import zlib from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Upload } from '../support/http/bodies.ts';
import { openSocket, rawGet, rawHandshake, writeHead } from '../support/http/raw.ts';
import { jsonOf, send, upload } from '../support/http/request.ts';
import { startProgram } from '../support/programs/program.ts';
import { startServer, type TestServer } from '../support/server/server.ts';
import { StreamPeer } from '../support/streams/stream-peer.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;

/** A body of one value after the other, compressed to next to nothing. */
const ZEROS = zlib.gzipSync(`[${'0,'.repeat(1_000_000)}0]`, { level: 9 });

/** Almost 16 MiB, in a few hundred bytes. */
const FEW = zlib.brotliCompressSync(Buffer.alloc(16 * MIB - 1), {
  params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 },
});

/** Counts how many requests of somebody else are answered until `done`. */
async function answeredUntil(server: TestServer, done: Promise<unknown>): Promise<number> {
  let isDone = false;
  let count = 0;
  const finish = () => {
    isDone = true;
  };
  done.then(finish, finish);
  while (!isDone) {
    expect((await send('OPTIONS', server.url('/'))).status).toBe(204);
    count++;
  }
  return count;
}

describe('small inputs', () => {
  test('a document of a million values in 2 KB holds nobody up, and takes little memory', async () => {
    const server = await startServer();
    const stream = new StreamPeer(server, '/j', 'application/json');
    await stream.create();
    const before = process.memoryUsage();
    let peakBytes = 0;
    const sampling = setInterval(() => {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      peakBytes = Math.max(peakBytes, heapUsed + arrayBuffers);
    }, 1);
    onTestFinished(() => clearInterval(sampling));
    const appended = stream.append(ZEROS, { 'content-encoding': 'gzip' });
    // As many as it has bits, or more: each is a turn of the event loop at least.
    expect(await answeredUntil(server, appended)).toBeGreaterThan(3);
    expect((await appended).status).toBe(204);
    // Its two megabytes a few times, where objects would be hundreds.
    expect(peakBytes - before.heapUsed - before.arrayBuffers).toBeLessThan(60 * MIB);
    expect(statSync(path.join(server.root, 'j')).size).toBe(2_000_002);
  });

  test.each([
    ['appended', 'PUT', '?verb=APPEND'],
    ['stored', 'PUT', ''],
    ['posted', 'POST', ''],
  ])('what brotli makes of a few hundred bytes is 413 when it is %s', async (_, method, query) => {
    const server = await startServer();
    if (method === 'POST') await new StreamPeer(server, '/b').create();
    expect(FEW.length).toBeLessThan(2000);
    const headers = {
      'content-encoding': 'br',
      ...(method === 'POST' && { 'content-type': 'text/plain' }),
    };
    const answer = await upload(server.url(`/b${query}`), FEW, { method, headers });
    expect(answer.status).toBe(413);
    expect(jsonOf(answer)).toMatchObject({ code: 'HFS_PAYLOAD_TOO_LARGE' });
    expect(jsonOf(answer).detail).toContain('1032 times');
  });

  test('what gzip makes of the most repetitive log is taken', async () => {
    const server = await startServer();
    const log = Buffer.alloc(12 * MIB, 'y\n');
    const body = zlib.gzipSync(log, { level: 9 });
    expect(log.length / body.length).toBeGreaterThan(900);
    const answer = await upload(server.url('/log?verb=APPEND'), body, {
      headers: { 'content-encoding': 'gzip' },
    });
    expect(answer.status).toBe(201);
    expect(statSync(path.join(server.root, 'log')).size).toBe(log.length);
  });

  test('an Accept of thousands of types is as good as none', async () => {
    const server = await startServer();
    const answer = await rawGet(server.port, '/missing', [`Accept: text/plain,${'a/b,'.repeat(3000)}c/d`]);
    expect(answer).toMatchObject({ status: 404 });
    expect(answer.headers['content-type']).toBe('application/problem+json');
  });

  test('a stream is forked from a fork, and so on, a hundred times and no more', async () => {
    const server = await startServer();
    let source = new StreamPeer(server, '/0');
    await source.create({}, 'x');
    const statuses: number[] = [];
    for (let i = 1; i <= 102; i++) {
      const fork = new StreamPeer(server, `/${i}`);
      statuses.push((await fork.create({ 'stream-forked-from': source.path })).status);
      await fork.append('x');
      source = fork;
    }
    expect(statuses.slice(0, 100)).toEqual(Array(100).fill(201));
    expect(statuses[100]).toBe(409);
  });
});

/** Sends a body of `count` chunks of one byte each, and resolves with the status of the answer. */
async function sendTinyChunks(server: TestServer, head: string, headers: string[], count: number) {
  const socket = await openSocket(server.port);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  writeHead(socket, head, ['Transfer-Encoding: chunked', ...headers]);
  socket.write(`${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`);
  await waitFor(() => chunks.length > 0, 'an answer');
  return Number(Buffer.concat(chunks).toString('latin1', 9, 12));
}

/** Watches how much is read at most from the next connection in one turn of the event loop. */
function watchReads(server: TestServer): { maxBytes: number } {
  const reads = { maxBytes: 0 };
  server.app.server.once('connection', (socket: Socket) => {
    let bytesRead = 0;
    const look = () => {
      reads.maxBytes = Math.max(reads.maxBytes, socket.bytesRead - bytesRead);
      ({ bytesRead } = socket);
      if (!socket.destroyed) setImmediate(look);
    };
    look();
  });
  return reads;
}

/** Posts 50,000 chunks of one byte, and says the status of the answer. */
const SENDER = `
  const socket = require('net').connect(process.argv[1], '127.0.0.1');
  socket.write('POST ' + process.argv[2] + ' HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: text/plain\\r\\n');
  socket.write('Transfer-Encoding: chunked\\r\\n\\r\\n' + '1\\r\\nx\\r\\n'.repeat(50000) + '0\\r\\n\\r\\n');
  socket.on('error', () => {}).once('data', (answer) => {
    process.stdout.write(answer.toString('latin1', 9, 12));
    socket.destroy();
  });
`;

describe('a body in chunks of one byte', () => {
  test.each([
    ['appended', 'PUT /t?verb=APPEND HTTP/1.1', []],
    ['stored', 'PUT /t HTTP/1.1', []],
    ['posted', 'POST /t HTTP/1.1', ['Content-Type: text/plain']],
  ])('is %s, whole', async (name, head, headers) => {
    const server = await startServer();
    if (name === 'posted') await new StreamPeer(server, '/t').create();
    expect(await sendTinyChunks(server, head, headers, 20_000)).toBeLessThan(205);
    expect(statSync(path.join(server.root, 't')).size).toBe(20_000);
  });

  test.each([
    ['is appended', '/t?verb=APPEND', '201'],
    ['is refused', '/nobody.log', '404'],
  ])('that %s is read a little at a time, so that others have their turn', async (_, target, status) => {
    const server = await startServer();
    const reads = watchReads(server);
    // From a process of its own, which sends on while the server is busy.
    const sender = startProgram(process.execPath, ['-e', SENDER, String(server.port), target]);
    expect(String((await sender.ended).stdout)).toBe(status);
    // Node reads 64 KiB at a time, and up to 32 times in a row: one read, after one of a few chunks at most.
    expect(reads.maxBytes).toBeLessThan(100 * 1024);
  });

  test('is whole when it is a part of a form, and when it is compressed', async () => {
    const server = await startServer();
    const bytes = Buffer.alloc(6000, 'tiny ');
    const form = `--B\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n${bytes}\r\n--B--\r\n`;
    const bodies: [string, string | Buffer, Record<string, string>][] = [
      ['/d/?verb=APPEND', form, { 'content-type': 'multipart/form-data; boundary=B' }],
      ['/g?verb=APPEND', zlib.gzipSync(bytes, { level: 0 }), { 'content-encoding': 'gzip' }],
    ];
    for (const [target, body, headers] of bodies) {
      const sending = new Upload(server.url(target), { headers });
      sending.request.cork();
      for (const byte of Buffer.from(body as string)) sending.request.write(Buffer.of(byte));
      sending.request.uncork();
      expect((await sending.end()).status).toBe(201);
    }
    expect(statSync(path.join(server.root, 'd/f')).size).toBe(bytes.length);
    expect(statSync(path.join(server.root, 'g')).size).toBe(bytes.length);
  });
});

test('seventeen idle bodies of almost 16 MiB keep nobody else out', async () => {
  const server = await startServer();
  const stream = new StreamPeer(server, '/s');
  await stream.create();
  const idle = Array.from({ length: 17 }, () => {
    const headers = { 'content-type': 'text/plain', 'content-length': 16 * MIB };
    return new Upload(stream.url, { method: 'POST', headers });
  });
  const most = Buffer.alloc(16 * MIB - 100_000);
  await Promise.all(idle.map((body) => body.write(most).catch(() => undefined)));
  // At once what is small; what is larger as soon as those are seen to be slow.
  expect((await stream.append('small')).status).toBe(204);
  await waitFor(async () => {
    const { status, headers } = await stream.append(Buffer.alloc(8 * MIB));
    if (status === 204) return true;
    expect({ status, headers }).toMatchObject({
      status: 503,
      headers: { 'retry-after': expect.any(String) },
    });
    // To ask more often than one is told to is 8 MiB each time.
    await delay(Number(headers['retry-after']) * 1000);
    return false;
  }, 'room for a body of 8 MiB');
});

/** A masked frame with a mask of zeros. */
function frame(opcode: number, payload = ''): Buffer {
  return Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0), Buffer.from(payload)]);
}

describe('a client that floods', () => {
  test.each(['APPEND', 'FOLLOW'])(
    'with pings (%s) is answered once for all that come together',
    async (verb) => {
      const server = await startServer();
      const appender = await rawHandshake(server.port, '/p', [
        'X-Verb: APPEND',
        'Sec-WebSocket-Protocol: httpfstream.v2',
      ]);
      const { socket } =
        verb === 'APPEND'
          ? appender
          : await rawHandshake(server.port, '/p', [
              'X-Verb: FOLLOW',
              'Sec-WebSocket-Protocol: httpfstream.v2',
            ]);
      let received = Buffer.alloc(0);
      socket.on('data', (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
      });
      const pings = Array.from({ length: 20_000 }, () => frame(9));
      socket.write(Buffer.concat([...pings, frame(9, 'last')]));
      await waitFor(() => received.includes(Buffer.from('\x8a\x04last', 'latin1')), 'the last pong');
      expect(received.length).toBeLessThan(5000);
    },
  );
});
