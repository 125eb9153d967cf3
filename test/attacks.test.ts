import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HANDSHAKE, openSocket, rawRequest, readToEnd } from './support/http/raw.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';

/**
 * While an attack stands a healthy client is answered. `npm run soak` runs the long form, on an idle machine: there
 * it must be answered within 100 ms once the attack is over.
 */
const { connections, few, latencyMs, growthMiB } = process.env.HTTPFSTREAM_SOAK
  ? { connections: 2000, few: 10, latencyMs: 100, growthMiB: 100 }
  : { connections: 50, few: 4, latencyMs: Number.POSITIVE_INFINITY, growthMiB: 250 };

/** Something that must not be read, nor made, by anybody. */
const SECRET = 'nobody may read this';

const CRLF = '\r\n';

/** What is sent through each of the connections of an attack, which then stays as it is. */
const HELD: Record<string, string | Buffer> = {
  'half a request line': 'GET /heal',
  'half a head': `GET /healthy HTTP/1.1${CRLF}Host: localhost${CRLF}X-Slow: `,
  'half a handshake': ['GET /live HTTP/1.1', 'Host: localhost', ...HANDSHAKE.slice(0, 3), ''].join(CRLF),
  'a body that does not come': `${head('POST /new HTTP/1.1', 'Content-Length: 1000000')}x`,
  'half a chunk': `${head('POST /new HTTP/1.1', 'Transfer-Encoding: chunked')}fffff${CRLF}x`,
  'a form that does not come': head(
    'POST / HTTP/1.1',
    'Content-Type: multipart/form-data; boundary=b',
    'Content-Length: 1000000',
  ),
  'an answer that is not read': head('GET /large HTTP/1.1').repeat(20),
  'events that are not read': head('GET /live?live=sse HTTP/1.1', 'Accept: text/event-stream'),
};

/** What is sent behind a handshake as `verb`. */
const FRAMES: [name: string, verb: 'APPEND' | 'FOLLOW', bytes: () => Buffer][] = [
  ['half a frame', 'APPEND', () => Buffer.from([0x82])],
  ['a frame that claims to have 2^63 bytes', 'APPEND', () => frame(0x82, 0, { length: 2n ** 63n - 1n })],
  ['fragments without an end', 'APPEND', () => repeated(20_000, frame(0x02, 0), frame(0x00, 0))],
  ['reserved bits', 'APPEND', () => frame(0xf2, 4)],
  ['frames without a mask', 'APPEND', () => Buffer.from([0x82, 4, 1, 2, 3, 4])],
  ['a ping that is too long', 'FOLLOW', () => frame(0x89, 126)],
  ['a ping in fragments', 'FOLLOW', () => frame(0x09, 4)],
  ['pings without an end, and no pong read', 'FOLLOW', () => repeated(20_000, frame(0x89, 125))],
  ['text without an end to a follower', 'FOLLOW', () => repeated(20_000, frame(0x01, 100), frame(0x00, 100))],
];

/** Requests of which one program may see one and another two; the second would make `/smuggled`. */
const SMUGGLED: string[][][] = [
  [['Content-Length: 4', 'Transfer-Encoding: chunked']],
  [['Transfer-Encoding: chunked', 'Content-Length: 4']],
  [['Content-Length: 4', 'Content-Length: 0']],
  [['Content-Length: 4, 0']],
  [['Content-Length: +0']],
  [['Content-Length: 0x0']],
  [['Transfer-Encoding: chunked, identity']],
  [['Transfer-Encoding: xchunked']],
  [['Transfer-Encoding : chunked']],
  [['Transfer-Encoding:\x0bchunked']],
  [['X: y\nTransfer-Encoding: chunked']],
  [['X: y', ' Transfer-Encoding: chunked']],
];

/** Heads of which each would be kept in memory as far as it came. */
const HEADS: [name: string, bytes: string][] = [
  ['a path', `GET /${'a'.repeat(1_000_000)}`],
  ['a query', `GET /?${'a=b&'.repeat(250_000)}`],
  ['a header', `GET / HTTP/1.1${CRLF}X: ${'a'.repeat(1_000_000)}`],
  ['many headers', `GET / HTTP/1.1${CRLF}${`a: b${CRLF}`.repeat(150_000)}`],
  ['a chunk', `${head('POST /new HTTP/1.1', 'Transfer-Encoding: chunked')}1;${'x'.repeat(1_000_000)}`],
  [
    'trailers',
    `${head('POST /new HTTP/1.1', 'Transfer-Encoding: chunked')}0${CRLF}${`a: b${CRLF}`.repeat(150_000)}`,
  ],
];

/** Ways out of the root, in every encoding that somebody once has decoded. */
const ESCAPES = [
  '/../secret',
  '/..%2fsecret',
  '/%2e%2e/secret',
  '/%2e%2e%2fsecret',
  '/%252e%252e%252fsecret',
  '/..%5csecret',
  '/..\\secret',
  '/.%00./secret',
  '/%c0%ae%c0%ae/secret',
  '/%c0%ae%c0%ae%c0%afsecret',
  '/%e0%80%ae%e0%80%ae/secret',
  '/%uff0e%uff0e/secret',
  '/..;/secret',
  '/healthy/../../secret',
  '/healthy%2f..%2f..%2fsecret',
  '//../secret',
  'http://localhost/../secret',
  '/out/secret',
  '/.httpfstream/records/CURRENT',
  '/%2ehttpfstream/records/CURRENT',
  '/.HTTPFSTREAM/records/CURRENT',
  '/x/..%2f.httpfstream/records/CURRENT',
];

function head(requestLine: string, ...headers: string[]): string {
  return [requestLine, 'Host: localhost', ...headers, '', ''].join(CRLF);
}

/** A masked frame of zeros. */
function frame(first: number, bytes: number, { length = BigInt(bytes) } = {}): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  if (length < 126n) return Buffer.concat([Buffer.from([first, 0x80 | bytes]), mask, Buffer.alloc(bytes)]);
  const long = Buffer.alloc(8);
  long.writeBigUInt64BE(length);
  return Buffer.concat([Buffer.from([first, 0xff]), long, mask, Buffer.alloc(bytes)]);
}

function repeated(count: number, ...frames: Buffer[]): Buffer {
  const [first = Buffer.alloc(0), ...others] = frames;
  return Buffer.concat([first, ...new Array(count).fill(others[0] ?? first)]);
}

/** The server that is attacked, and somebody who uses it meanwhile. */
const outside = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-attacks-'));
const root = path.join(outside, 'root');
const server = new ServerProcess(root, [`-max-connections=${connections + 100}`], { descriptors: 8192 });
let appender: Peer;
let follower: Peer;
let sent = '';

beforeAll(async () => {
  await server.start();
  await writeFile(path.join(outside, 'secret'), SECRET);
  await writeFile(path.join(root, 'healthy'), 'well');
  await writeFile(path.join(root, 'large'), Buffer.alloc(4 * 1024 * 1024));
  appender = await Peer.open(server.url('/live'), 'APPEND');
  follower = await Peer.open(server.url('/live'), 'FOLLOW');
  await use();
});

afterAll(async () => {
  for (const { websocket } of [appender, follower]) websocket.terminate();
  await server.stop();
  await rm(outside, { recursive: true });
});

/** Appends and follows; resolves to the milliseconds that it took. */
async function appendAndFollow(): Promise<number> {
  const line = `${sent.length}\n`;
  sent += line;
  const begun = performance.now();
  await appender.send(line);
  await follower.until(() => follower.byteCount >= sent.length, 'the line');
  const took = performance.now() - begun;
  expect(follower.text).toBe(sent);
  return took;
}

/** Reads, appends and follows; resolves to the milliseconds that the slower of these took. */
async function use(): Promise<number> {
  return Math.max(await read(), await appendAndFollow());
}

/** Reads through a new connection; resolves to the milliseconds that it took. */
function read(): Promise<number> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    http
      .get(server.url('/healthy'), { agent: false }, (response) => {
        response.setEncoding('utf8');
        let text = '';
        response.on('data', (part: string) => (text += part));
        response.on('end', () => {
          if (text === 'well') resolve(performance.now() - begun);
          else reject(new Error(`${response.statusCode}: ${text}`));
        });
        response.on('error', reject);
      })
      .on('error', reject);
  });
}

/** Runs `attack`, which resolves while it stands: then, and when it is over, all must be well. */
async function withstand(attack: () => Promise<net.Socket[]>, meanwhile = use): Promise<void> {
  const descriptors = server.descriptorCount();
  const residentMiB = server.residentMiB();
  const sockets = await attack();
  for (let i = 0; i < 3; i++) await meanwhile();
  for (const socket of sockets) socket.destroy();
  await waitFor(() => server.descriptorCount() <= descriptors, 'the descriptors to be back');
  expect(await use()).toBeLessThan(latencyMs);
  await waitFor(() => server.residentMiB() < residentMiB + growthMiB, 'the memory to be back');
}

/** Opens connections, and sends the same through each, as far as it is taken. */
async function openAll(count: number, bytes: string | Buffer): Promise<net.Socket[]> {
  const sockets = await Promise.all(Array.from({ length: count }, () => openSocket(server.port)));
  for (const socket of sockets) socket.write(bytes);
  return sockets;
}

/** Sends `bytes` behind a handshake. */
async function openWebSocket(target: string, verb: string, bytes: Buffer): Promise<net.Socket> {
  const socket = await openSocket(server.port);
  socket.write(head(`GET ${target} HTTP/1.1`, ...HANDSHAKE, `X-Verb: ${verb}`));
  // The answer, and nothing after it.
  await once(socket, 'readable');
  socket.write(bytes);
  return socket;
}

describe('whoever uses the server is answered, and nothing is left, after', () => {
  it.each(Object.entries(HELD))(`${connections} connections with %s`, (_, bytes) =>
    withstand(() => openAll(connections, bytes)),
  );

  it.each(FRAMES)('%s', (name, verb, bytes) => {
    const open = (_: unknown, i: number) =>
      openWebSocket(verb === 'FOLLOW' ? '/live' : `/${encodeURIComponent(name)}-${i}`, verb, bytes());
    return withstand(() => Promise.all(Array.from({ length: few }, open)));
  });

  it('more connections than there may be', () =>
    withstand(() => openAll(connections + 150, ''), appendAndFollow));

  it.each(HEADS)('a head without an end: %s', (_, bytes) => withstand(() => openAll(few, bytes)));

  it.each([1, 2])('a body that is a thousand times larger when it is decoded, encoded %i times', (times) => {
    let body = Buffer.alloc(32 * 1024 * 1024);
    for (let i = 0; i < times; i++) body = gzipSync(body);
    const encodings = new Array(times).fill('gzip').join(', ');
    const headers = [`Content-Encoding: ${encodings}`, `Content-Length: ${body.length}`];
    const request = Buffer.concat([Buffer.from(head('POST /bomb HTTP/1.1', ...headers)), body]);
    return withstand(() => openAll(3, request));
  });
});

describe('nobody comes where he does not belong', () => {
  it.each(SMUGGLED)('by a request in the body of another: %j', async (headers) => {
    const socket = await openSocket(server.port);
    const inner = head('POST /smuggled HTTP/1.1', 'Content-Length: 1');
    socket.write(`${head('POST /outer HTTP/1.1', ...headers)}0${CRLF}${CRLF}${inner}x`);
    const answer = (await readToEnd(socket)).toString('latin1');
    expect(answer).toMatch(/^HTTP\/1.1 (400|501)/);
    expect(answer.match(/HTTP\/1.1 /g)).toHaveLength(1);
    expect(await readdir(root)).not.toContain('smuggled');
  });

  it.each(ESCAPES)('by a path that leads elsewhere: %s', async (target) => {
    for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
      const { body } = await rawRequest(server.port, `${method} ${target} HTTP/1.1`, ['Content-Length: 0']);
      expect(body).not.toContain(SECRET);
      expect(body).not.toContain('MANIFEST');
    }
    expect((await readdir(outside)).sort()).toEqual(['root', 'secret']);
    expect(await readFile(path.join(outside, 'secret'), 'utf8')).toBe(SECRET);
  });
});
