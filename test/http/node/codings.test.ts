import type { Socket } from 'node:net';
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytes, client, nodeFetch, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { serve } from '../../support/http/servers.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';

const PLAIN = 'what is sent '.repeat(10_000);

const CODINGS = [
  ['gzip', gzipSync(PLAIN)],
  ['x-gzip', gzipSync(PLAIN)],
  ['deflate', deflateSync(PLAIN)],
  ['deflate', deflateRawSync(PLAIN)],
  ['br', brotliCompressSync(PLAIN)],
  ['GZIP, br', brotliCompressSync(gzipSync(PLAIN))],
] as const;

function serveCoded(coding: string, body: Uint8Array): Promise<string> {
  return serve((_request, response) => {
    response.writeHead(200, { 'content-encoding': coding });
    // Byte by byte at first: nothing is known of where it is cut.
    for (const byte of body.subarray(0, 20)) response.write(Uint8Array.of(byte));
    response.end(body.subarray(20));
  });
}

describe.each(CODINGS)('an answer in %s', (coding, coded) => {
  test('is decoded', async () => {
    const response = await client(await serveCoded(coding, coded))
      .get('/')
      .send();
    expect(await text(response)).toBe(PLAIN);
    expect(response.headers.get('content-encoding')).toBe(coding);
  });

  test('that is cut is an error, wherever that is', async () => {
    for (const length of [1, 15, coded.length - 1]) {
      const response = await client(await serveCoded(coding, coded.subarray(0, length)))
        .get('/')
        .send();
      expect(await rejection(text(response))).toMatchObject({ code: 'HFS_CONNECTION' });
    }
  });

  test('ends where the body ends, and not before: what follows the code is left out', async () => {
    const sockets = new Set<Socket>();
    const url = await serve((request, response) => {
      sockets.add(request.socket);
      response.writeHead(200, { 'content-encoding': coding }).write(coded);
      // Zeros are what fills blocks of tapes, and what gzip leaves out.
      setTimeout(() => response.end(Buffer.alloc(100_000)), 20);
    });
    const fetch = nodeFetch();
    onTestFinished(() => fetch.close());
    for (let i = 0; i < 2; i++) expect(await text(await client(url, { fetch }).get('/').send())).toBe(PLAIN);
    expect(sockets.size).toBe(1);
  });

  test('of no bytes is empty', async () => {
    const response = await client(await serveCoded(coding, new Uint8Array()))
      .get('/')
      .send();
    expect(await text(response)).toBe('');
  });

  test('that is damaged is an error', async () => {
    const damaged = Uint8Array.from(coded, (byte, i) => (i > 12 ? byte ^ 0x55 : byte));
    const response = await client(await serveCoded(coding, damaged))
      .get('/')
      .send();
    expect(await rejection(text(response))).toMatchObject({ code: 'HFS_CONNECTION' });
  });
});

test.each([
  ['HEAD', 200],
  ['GET', 304],
  ['GET', 204],
])('an answer to %s with the status %d has nothing to decode', async (method, status) => {
  const url = await serve((_request, response) => {
    response.writeHead(status, { 'content-encoding': 'gzip', 'content-length': 100 }).end();
  });
  const response = await client(url).request(method, '/').send();
  expect([response.status, await text(response)]).toEqual([status, '']);
});

test.each(['gzip, secret', 'constructor', '__proto__'])(
  'a coding that nobody knows is left to the reader: %s',
  async (coding) => {
    const response = await client(await serveCoded(coding, gzipSync(PLAIN)))
      .get('/')
      .send();
    expect(await bytes(response)).toEqual(new Uint8Array(gzipSync(PLAIN)));
  },
);

test('more codings than anybody has use for are refused', async () => {
  const url = await serveCoded('gzip, gzip, gzip, gzip', gzipSync(PLAIN));
  expect(await rejection(client(url).get('/').send())).toMatchObject({
    code: 'HFS_CONNECTION',
    cause: { message: 'the body has 4 codings' },
  });
});

test('a body that goes on when its code has ended is given up after the idle limit', async () => {
  let isClosed = false;
  const url = await serve((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'deflate' }).write(deflateSync(PLAIN));
    const timer = setInterval(() => response.write('more'), 5);
    response.once('close', () => {
      clearInterval(timer);
      isClosed = true;
    });
  });
  const reading = client(url).get('/').idleTimeout(100).send().then(text);
  expect(await rejection(reading)).toMatchObject({ code: 'HFS_TIMEOUT' });
  await waitFor(() => isClosed, 'the connection to be closed');
});

test('what is coded although nothing coded was asked for is left as it is', async () => {
  const coded = gzipSync(PLAIN);
  const url = await serveCoded('gzip', coded);
  for (const [name, value] of [
    ['accept-encoding', 'identity'],
    ['range', 'bytes=0-'],
  ] as const) {
    const response = await client(url).get('/').header(name, value).send();
    expect(await bytes(response)).toEqual(new Uint8Array(coded));
  }
});

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateRawSync],
  [
    'br',
    (bytes: Uint8Array) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  ],
])('a bomb in %s is read no further than its reader wants', async (coding, compress) => {
  const bomb = compress(new Uint8Array(64 * 1024 * 1024));
  const response = await client(await serveCoded(coding, bomb))
    .get('/')
    .send();
  expect(await rejection(bytes(response, { maxBytes: 1_000_000 }))).toMatchObject({ code: 'HFS_TOO_LARGE' });
  const other = await client(await serveCoded(coding, bomb))
    .get('/')
    .send();
  const before = process.memoryUsage().arrayBuffers;
  await (other.body as ReadableStream).getReader().read();
  await waitForStandstill(() => process.memoryUsage().arrayBuffers, 'memory to stay');
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
});

test('what is asked for is what can be decoded, and nothing coded for a range', async () => {
  const url = await serve((request, response) => void response.end(request.headers['accept-encoding']));
  const asked = async (...headers: [string, string][]) => {
    const request = client(url).get('/');
    for (const [name, value] of headers) request.header(name, value);
    return text(await request.send());
  };
  expect(await asked()).toBe('gzip, deflate, br');
  expect(await asked(['range', 'bytes=1-'])).toBe('identity');
  expect(await asked(['accept-encoding', 'br'])).toBe('br');
});
