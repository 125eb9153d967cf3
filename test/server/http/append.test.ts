import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Lease } from '../../../src/core/sessions/lease.ts';
import { ClientSocket } from '../../../src/server/node/connections/client-socket.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { resourceNames } from '../../support/disk/root-files.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { Download, Upload } from '../../support/http/bodies.ts';
import {
  openSocket,
  parseAnswer,
  rawRequest,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { get, jsonOf, upload } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import {
  cutConnectionsAfterTest,
  listen,
  startServer,
  startStandalone,
  type TestServer,
  temporaryDirectory,
} from '../../support/server/server.ts';
import { guestFor, serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';
import { fileText, openAppender } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const common = serverForAll();

const MiB = 1024 * 1024;
const APPEND = '?verb=APPEND';
const SESSION = `&session=${sessionOf('a')}`;

/** Waits until the file has this content. */
async function untilFile(server: Pick<TestServer, 'root'>, urlPath: string, text: string): Promise<void> {
  await waitFor(async () => (await fileText(server, urlPath)) === text, `${text} in ${urlPath}`);
}

/** How a follower that comes now sees the end. */
async function endOf(server: Pick<TestServer, 'url'>, urlPath: string): Promise<'clean' | 'broken'> {
  const follower = await Download.open(server.url(`${urlPath}?verb=FOLLOW`));
  return follower.untilEnd();
}

describe('a body with verb APPEND', () => {
  it.each(['PUT', 'POST'])('is seen byte by byte while it comes, by %s', async (method) => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/d/f.log${APPEND}`), { method });
    await appender.write('a');
    await untilFile(server, '/d/f.log', 'a');
    const follower = await Download.open(server.url('/d/f.log?verb=FOLLOW'));
    const websocket = await V2Peer.follow(server.url('/d/f.log'));
    for (const text of ['ab', 'abc', 'abcd']) {
      await appender.write(text.slice(-1));
      await follower.untilText(text);
    }
    await waitFor(() => websocket.text === 'abcd', 'the WebSocket to have all');
    expect(follower.end).toBeUndefined();
    const answer = await appender.end();
    expect([await follower.untilEnd(), answer.status]).toEqual(['clean', 201]);
    await waitFor(() => websocket.closeCode === 1000, 'the close');
  });

  it('is answered with where it ended, 201 and the place when the file was made, else 200', async () => {
    const server = await common.guest();
    const first = await upload(server.url(`/d/%C3%A4%20b${APPEND}`), 'hello');
    const generation = expect.any(Number);
    expect([first.status, first.headers.location]).toEqual([201, server.url('/d/%C3%A4%20b')]);
    expect(first.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(jsonOf(first)).toEqual({ path: server.path('/d/ä b'), position: 5, bytes: 5, generation });
    const second = await upload(server.url(`/d/%C3%A4%20b${APPEND}`), ' world');
    expect([second.status, second.headers.location]).toEqual([200, undefined]);
    expect(jsonOf(second)).toEqual({ path: server.path('/d/ä b'), position: 11, bytes: 6, generation });
    expect(jsonOf(second).generation).toBe(jsonOf(first).generation);
    const { headers } = await Download.open(server.url('/d/%C3%A4%20b?verb=FOLLOW'));
    expect(Number(headers['stream-generation'])).toBe(jsonOf(first).generation);
  });

  it('is asked for by the header, too', async () => {
    const server = await common.guest();
    const answer = await upload(server.url('/f?verb=FOLLOW'), 'text', { headers: { 'x-verb': 'APPEND' } });
    expect(answer.status).toBe(201);
  });

  it('may be empty', async () => {
    const server = await common.guest();
    const answer = await upload(server.url(`/f${APPEND}`), '');
    expect([answer.status, jsonOf(answer).position, await resourceNames(server.root)]).toEqual([
      201,
      0,
      ['f'],
    ]);
    expect(await endOf(server, '/f')).toBe('clean');
  });

  it.each([
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
    'made/up; charset=x',
  ])('is taken as it is, whatever its type: %s', async (type) => {
    const server = await common.guest();
    const answer = await upload(server.url(`/f${APPEND}`), '{"a":', { headers: { 'content-type': type } });
    expect([answer.status, await fileText(server, '/f')]).toEqual([201, '{"a":']);
  });

  it('names the place below the prefix, and drops a trailing slash', async () => {
    const server = await startServer({ prefix: '/files' });
    const answer = await upload(server.url(`/files/d//f/${APPEND}`), 'x');
    expect([answer.headers.location, jsonOf(answer).path]).toEqual([server.url('/files/d/f'), '/d/f']);
  });

  it('gets an answer without a host when the client did not say one', async () => {
    const server = await common.guest();
    const socket = await openSocket(server.port);
    socket.write(`POST ${server.path('/f')}${APPEND} HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi`);
    const answer = parseAnswer(await readToEnd(socket));
    expect([answer.status, answer.headers.location]).toEqual([201, server.path('/f')]);
  });

  it.each([
    ['POST', `/f${APPEND}`],
    ['PUT', `/f${APPEND}`],
    ['PUT', '/f'],
    ['POST', '/f'],
  ])('of HTTP/1.0 needs its length, which Node takes for 0: 411 (%s %s)', async (method, target) => {
    const server = await common.guest();
    const socket = await openSocket(server.port);
    socket.write(`${method} ${server.path(target)} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
    const answer = parseAnswer(await readToEnd(socket));
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([411, 'HFS_LENGTH_REQUIRED']);
    expect(await resourceNames(server.root)).toEqual([]);
  });

  it('is byte for byte what arrives, at any size of pieces, through one connection after the other', async () => {
    const server = await common.guest();
    let position = 0;
    for (const bytes of [1, 65_536, 3 * MiB + 1, 0, 100]) {
      const answer = await upload(server.url(`/f${APPEND}`), pattern(position, bytes));
      position += bytes;
      expect(jsonOf(answer)).toMatchObject({ position, bytes });
    }
    const { body } = await get(server.url('/f'));
    expect(body.equals(pattern(0, position))).toBe(true);
  });

  it('with durability disk is answered when the disk has it', async () => {
    const server = await startServer({ durability: 'disk' });
    const answer = await upload(server.url(`/f${APPEND}`), 'safe');
    expect([answer.status, await fileText(server, '/f')]).toEqual([201, 'safe']);
  });

  it('keeps its connection for the next request', async () => {
    const { port, path: own } = await common.guest();
    const socket = await openSocket(port);
    for (const position of [3, 6, 9]) {
      socket.write(
        `PUT ${own('/f')}${APPEND} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      );
      const answer = parseAnswer(await readHead(socket));
      expect(JSON.parse(answer.body).position).toBe(position);
    }
  });
});

describe('an append is refused', () => {
  it.each([
    ['/%00', '', 400, 'HFS_INVALID_PATH'],
    ['/new', '&session=short', 400, 'HFS_INVALID_REQUEST'],
    ['/new', '&expect=-1', 400, 'HFS_INVALID_REQUEST'],
    ['/.httpfstream/x', '', 403, 'HFS_FORBIDDEN_PATH'],
    ['/out/x', '', 403, 'HFS_FORBIDDEN_PATH'],
    ['/live', '', 403, 'HFS_APPEND_CONFLICT'],
    ['/live', SESSION, 403, 'HFS_APPEND_CONFLICT'],
    ['/d', '', 409, 'HFS_PATH_CONFLICT'],
    ['/', '', 409, 'HFS_PATH_CONFLICT'],
    ['/f/below', '', 409, 'HFS_PATH_CONFLICT'],
    ['/f', '&expect=3', 409, 'HFS_POSITION_MISMATCH'],
    ['/new', '&expect=3', 409, 'HFS_POSITION_MISMATCH'],
    ['/f', '&generation=1', 410, 'HFS_RESOURCE_GONE'],
    ['/new', '&generation=1', 410, 'HFS_RESOURCE_GONE'],
  ])('%s%s: %i', async (urlPath, query, status, code) => {
    const server = await guestFor(common, urlPath);
    await writeFile(path.join(server.root, 'f'), 'content');
    await mkdir(path.join(server.root, 'd'));
    await symlink('/etc', path.join(server.root, 'out'));
    await openAppender(server, '/live', 'live');
    const answer = await upload(server.url(`${urlPath}${APPEND}${query}`), 'bytes');
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(jsonOf(answer)).toMatchObject({ status, code });
    expect(await resourceNames(server.root)).toEqual(['d', 'f', 'live', 'out']);
    expect([await fileText(server, '/f'), await fileText(server, '/live')]).toEqual(['content', 'live']);
  });

  it('while another one brings its body, and not after that', async () => {
    const server = await common.guest();
    const first = new Upload(server.url(`/f${APPEND}`));
    await first.write('one ');
    await untilFile(server, '/f', 'one ');
    expect((await upload(server.url(`/f${APPEND}`), 'two')).status).toBe(403);
    await expect(Peer.connect(server.url('/f'), 'APPEND')).rejects.toThrow('403');
    await first.end();
    expect((await upload(server.url(`/f${APPEND}`), 'two')).status).toBe(200);
    expect(await fileText(server, '/f')).toBe('one two');
  });

  it('and a short body that came with it does not spoil the connection', async () => {
    const { port, root, path: own } = await common.guest();
    await mkdir(path.join(root, 'd'));
    const socket = await openSocket(port);
    socket.write(`PUT ${own('/d')}${APPEND} HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello`);
    expect(parseAnswer(await readHead(socket)).status).toBe(409);
    writeHead(socket, 'GET /missing HTTP/1.1', ['Connection: close']);
    expect(parseAnswer(await readToEnd(socket)).status).toBe(404);
  });

  it.each([
    ['without a pause', true],
    ['and then nothing', false],
  ])('while it sends %s: it gets the answer, and its connection ends soon', async (_what, goesOn) => {
    const server = await common.guest();
    await mkdir(path.join(server.root, 'd'));
    const socket = await openSocket(server.port);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    writeHead(socket, `PUT ${server.path('/d')}${APPEND} HTTP/1.1`, ['Content-Length: 1000000000000']);
    const block = Buffer.alloc(65_536);
    const send = () => {
      while (goesOn && !socket.destroyed && socket.write(block));
    };
    socket.on('drain', send);
    send();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    await closed;
    const answer = parseAnswer(Buffer.concat(chunks));
    expect([answer.status, answer.headers.connection]).toEqual([409, 'close']);
    expect(JSON.parse(answer.body).code).toBe('HFS_PATH_CONFLICT');
  });
});

describe('a body that breaks off', () => {
  it('is an interrupted append', async () => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/f${APPEND}`));
    await appender.write('so far');
    await untilFile(server, '/f', 'so far');
    const follower = await Download.open(server.url('/f?verb=FOLLOW'));
    appender.cut();
    expect([await follower.untilEnd(), follower.text]).toEqual(['broken', 'so far']);
    expect(await endOf(server, '/f')).toBe('broken');
    expect((await upload(server.url(`/f${APPEND}`), '!')).status).toBe(200);
    expect(await endOf(server, '/f')).toBe('clean');
  });

  it.each([
    ['in the middle of its length', 'Content-Length: 100\r\n\r\nso far', ''],
    ['between two chunks', 'Transfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n', ''],
    ['within a chunk', 'Transfer-Encoding: chunked\r\n\r\nff\r\nso far', ''],
    ['with a chunk that is none', 'Transfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n', 'zz\r\n'],
    [
      'with a chunk that is longer than it says',
      'Transfer-Encoding: chunked\r\n\r\n6\r\nso far',
      '!!\r\n0\r\n\r\n',
    ],
  ])('%s is interrupted, whether the connection is ended or reset', async (_where, rest, more) => {
    const server = await common.guest();
    for (const name of ['ended', 'reset'] as const) {
      const socket = await openSocket(server.port);
      socket.write(`PUT ${server.path(`/${name}`)}${APPEND} HTTP/1.1\r\nHost: test\r\n${rest}`);
      await untilFile(server, `/${name}`, 'so far');
      const follower = await Download.open(server.url(`/${name}?verb=FOLLOW`));
      if (more !== '') socket.write(more);
      else if (name === 'ended') socket.end();
      else socket.resetAndDestroy();
      expect([await follower.untilEnd(), follower.text]).toEqual(['broken', 'so far']);
    }
  });

  it('waits for a session to come back, which goes on where it was', async () => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/f${APPEND}${SESSION}&attempt=1`));
    await appender.write('one ');
    await untilFile(server, '/f', 'one ');
    const websocket = await V2Peer.follow(server.url('/f'));
    const follower = await Download.open(server.url('/f?verb=FOLLOW'));
    appender.cut();
    await waitFor(() => websocket.story.includes('waiting'), 'the followers to be told');
    expect((await upload(server.url(`/f${APPEND}`), 'stranger')).status).toBe(403);
    const answer = await upload(server.url(`/f${APPEND}${SESSION}&attempt=2`), 'two');
    expect([answer.status, jsonOf(answer).position, jsonOf(answer).bytes]).toEqual([200, 7, 3]);
    expect([await follower.untilEnd(), follower.text]).toEqual(['clean', 'one two']);
    expect((await upload(server.url(`/f${APPEND}${SESSION}&attempt=2`), 'again')).status).toBe(425);
  });

  it('is interrupted when the session has not come back in time', async () => {
    const server = await startServer({ graceMs: 50 });
    const appender = new Upload(server.url(`/f${APPEND}${SESSION}`));
    await appender.write('so far');
    await untilFile(server, '/f', 'so far');
    const follower = await Download.open(server.url('/f?verb=FOLLOW'));
    appender.cut();
    expect(await follower.untilEnd()).toBe('broken');
  });

  it('is taken over by the same session, and the old connection cut; a WebSocket may take over as well', async () => {
    const server = await common.guest();
    const first = new Upload(server.url(`/f${APPEND}${SESSION}`));
    await first.write('one ');
    await untilFile(server, '/f', 'one ');
    const second = new Upload(server.url(`/f${APPEND}${SESSION}`));
    await second.write('two ');
    await untilFile(server, '/f', 'one two ');
    await expect(first.answer).rejects.toThrow();
    const third = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await expect(second.answer).rejects.toThrow();
    third.websocket.send(Buffer.from('three'));
    await third.finish();
    expect(await fileText(server, '/f')).toBe('one two three');
    expect(await endOf(server, '/f')).toBe('clean');
  });

  it('at any moment leaves nothing open and nobody in the way', async () => {
    const server = await startStandalone();
    const baseline = await openDescriptors();
    for (let i = 0; i < 60; i++) {
      const socket = await openSocket(server.port);
      socket.write(
        `PUT /f-${i % 5}${APPEND} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n`,
      );
      if (i % 3 === 1) await new Promise(setImmediate);
      // The one before may still be in its way: then it is refused.
      const isServed = async () => socket.bytesRead > 0 || (await fileText(server, `/f-${i % 5}`)) !== '';
      if (i % 3 === 2) await waitFor(isServed, 'the bytes, or an answer');
      if (i % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    await descriptorsBackTo(baseline);
    for (let i = 0; i < 5; i++) {
      await waitFor(async () => (await upload(server.url(`/f-${i}${APPEND}`), '!')).status < 300, 'the file');
    }
  });
});

describe('an encoded body', () => {
  const text = 'the same line again\n'.repeat(5000);
  const encoded = {
    gzip: zlib.gzipSync(text),
    'x-gzip': zlib.gzipSync(text),
    deflate: zlib.deflateSync(text),
    br: zlib.brotliCompressSync(text),
  };

  it.each(Object.entries(encoded))('is decoded: %s', async (encoding, body) => {
    const server = await common.guest();
    const headers = { 'content-encoding': encoding.toUpperCase() };
    const answer = await upload(server.url(`/f${APPEND}`), body, { headers });
    expect([answer.status, jsonOf(answer).bytes]).toEqual([201, text.length]);
    expect(await fileText(server, '/f')).toBe(text);
  });

  it('is decoded as it comes', async () => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/f${APPEND}`), { headers: { 'content-encoding': 'gzip' } });
    const gzip = zlib.createGzip();
    gzip.on('data', (bytes: Buffer) => appender.request.write(bytes));
    for (const word of ['one ', 'two ']) {
      const before = await fileText(server, '/f');
      gzip.write(word);
      gzip.flush();
      await untilFile(server, '/f', before + word);
    }
    await new Promise((resolve) => gzip.on('end', resolve).end());
    expect((await appender.end()).status).toBe(201);
  });

  it('may have several members, wherever they are torn on the way', async () => {
    const server = await common.guest();
    const body = Buffer.concat([zlib.gzipSync('one '), zlib.gzipSync('two '), zlib.gzipSync('three')]);
    for (let at = 1; at < body.length; at++) {
      const appender = new Upload(server.url(`/f-${at}${APPEND}`), {
        headers: { 'content-encoding': 'gzip' },
      });
      await appender.write(body.subarray(0, at));
      expect((await appender.end(body.subarray(at))).status).toBe(201);
      expect(await fileText(server, `/f-${at}`)).toBe('one two three');
    }
  });

  it('that is identity, or is not said to be any, is left as it is', async () => {
    const server = await common.guest();
    for (const headers of [{ 'content-encoding': 'identity' }, { 'content-encoding': '' }]) {
      await upload(server.url(`/f${APPEND}`), encoded.gzip, { headers });
    }
    expect((await get(server.url('/f'))).body.equals(Buffer.concat([encoded.gzip, encoded.gzip]))).toBe(true);
  });

  const short = zlib.gzipSync('abc');
  it.each([
    ['no gzip at all', 'gzip', [Buffer.from('plain text')], ''],
    ['a torn gzip', 'gzip', [short.subarray(0, -4)], 'abc'],
    ['an empty gzip', 'gzip', [Buffer.alloc(0)], ''],
    ['a gzip with a wrong checksum', 'gzip', [short.subarray(0, -8), Buffer.alloc(8)], 'abc'],
    ['a gzip and then something else', 'gzip', [short, Buffer.from('garbage')], 'abc'],
    ['a gzip and then zeros', 'gzip', [short, Buffer.alloc(9)], 'abc'],
    ['a gzip and half of another', 'gzip', [short, short.subarray(0, 5)], 'abc'],
    ['a deflate and then something else', 'deflate', [zlib.deflateSync('abc'), Buffer.from('x')], 'abc'],
    ['a torn deflate', 'deflate', [zlib.deflateSync('abc').subarray(0, -1)], 'abc'],
    ['a brotli and then something else', 'br', [zlib.brotliCompressSync('abc'), Buffer.from('x')], 'abc'],
    ['a torn brotli', 'br', [zlib.brotliCompressSync('abcdefghijkl').subarray(0, 8)], undefined],
  ])(
    'that is %s is refused, and what came before stays, interrupted',
    async (_what, encoding, parts, kept) => {
      const server = await common.guest();
      await upload(server.url(`/f${APPEND}`), 'before ');
      const appender = new Upload(server.url(`/f${APPEND}`), { headers: { 'content-encoding': encoding } });
      for (const part of parts) {
        await appender.write(part).catch(() => undefined);
        await new Promise(setImmediate);
      }
      const answer = await appender.end();
      expect([answer.status, jsonOf(answer).code]).toEqual([400, 'HFS_INVALID_REQUEST']);
      if (kept !== undefined) expect(await fileText(server, '/f')).toMatch(new RegExp(`^before (${kept})?$`));
      expect(await endOf(server, '/f')).toBe('broken');
      expect((await upload(server.url(`/f${APPEND}`), '!')).status).toBe(200);
    },
  );

  it('that is corrupt in a stream that goes on is told at once', async () => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/f${APPEND}`), { headers: { 'content-encoding': 'gzip' } });
    await appender.write('this is no gzip');
    expect((await appender.answer).status).toBe(400);
  });

  it('that is corrupt and short does not spoil the connection', async () => {
    const { port, path: own } = await common.guest();
    const socket = await openSocket(port);
    socket.write(
      `PUT ${own('/f')}${APPEND} HTTP/1.1\r\nHost: test\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nno gzip!!!`,
    );
    expect(parseAnswer(await readHead(socket)).status).toBe(400);
    socket.write('0123456789GET /missing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    expect(parseAnswer(await readToEnd(socket)).status).toBe(404);
  });

  it.each(['zstd', 'compress', 'gzip, br', 'gzip, identity', 'constructor'])(
    'that is %s is refused, and nothing is made',
    async (encoding) => {
      const server = await common.guest();
      const headers = { 'content-encoding': encoding };
      const answer = await upload(server.url(`/f${APPEND}`), 'text', { headers });
      expect([answer.status, jsonOf(answer).code]).toEqual([415, 'HFS_UNSUPPORTED_ENCODING']);
      expect(answer.headers['accept-encoding']).toBe('gzip, deflate, br');
      expect(await resourceNames(server.root)).toEqual([]);
    },
  );

  it('that is cut waits for its session as any other', async () => {
    const server = await common.guest();
    const headers = { 'content-encoding': 'gzip' };
    const appender = new Upload(server.url(`/f${APPEND}${SESSION}`), { headers });
    const gzip = zlib.createGzip();
    gzip.on('data', (bytes: Buffer) => appender.request.write(bytes));
    gzip.write('one ');
    gzip.flush();
    await untilFile(server, '/f', 'one ');
    const websocket = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await waitFor(() => websocket.story.includes('waiting'), 'the followers to be told');
    const answer = await upload(server.url(`/f${APPEND}${SESSION}`), zlib.gzipSync('two'), { headers });
    expect([answer.status, await fileText(server, '/f')]).toEqual([200, 'one two']);
  });
});

describe('Expect: 100-continue', () => {
  const EXPECT = { expect: '100-continue' };

  it('is answered when the resource is held, and only then', async () => {
    const server = await common.guest();
    const appender = new Upload(server.url(`/f${APPEND}`), { headers: EXPECT });
    await waitFor(() => appender.isContinued, 'the 100');
    expect((await upload(server.url(`/f${APPEND}`), 'x')).status).toBe(403);
    expect((await appender.end('text')).status).toBe(201);
  });

  it('is asked for, and answered, wherever the verb is, and for what only looks like one, too', async () => {
    const server = await common.guest();
    const headers = { ...EXPECT, 'x-verb': 'APPEND' };
    for (const [query, more] of [
      ['?a=%3F&verb=%41PPEND', EXPECT],
      ['', headers],
      ['?verb=FOLLOW', headers],
      ['&verb=APPEND', { ...EXPECT, 'content-type': 'text/plain' }],
    ] as const) {
      const sent = new Upload(server.url(`/f${query}`), { headers: more });
      await waitFor(() => sent.isContinued, `the 100 of ${query}`);
      expect((await sent.end('x')).status).toBeLessThan(300);
    }
  });

  it.each([
    ['another appender', '/live', 403, {}],
    ['a directory', '/d', 409, {}],
    ['the encoding', '/new', 415, { 'content-encoding': 'zstd' }],
    ['a form for a file', '/live', 409, { 'content-type': 'multipart/form-data; boundary=x' }],
    ['a form without a boundary', '/d/', 400, { 'content-type': 'multipart/form-data' }],
  ])(
    'is not answered when %s refuses, and the connection closes',
    async (_what, urlPath, status, headers) => {
      const server = await common.guest();
      await mkdir(path.join(server.root, 'd'));
      await openAppender(server, '/live', 'live');
      const appender = new Upload(server.url(`${urlPath}${APPEND}`), { headers: { ...EXPECT, ...headers } });
      const answer = await appender.answer;
      expect([answer.status, answer.headers.connection, appender.isContinued]).toEqual([
        status,
        'close',
        false,
      ]);
    },
  );

  it('by curl: the answer to a refusal comes without the body, and to an append with it', async () => {
    const server = await common.guest();
    await openAppender(server, '/live', 'live');
    const curl = (urlPath: string) =>
      promisify(execFile)('bash', [
        '-c',
        `echo hello | curl -sv -T - '${server.url(`${urlPath}${APPEND}`)}' 2>&1`,
      ]);
    const refused = (await curl('/live')).stdout;
    expect(refused).toContain('HTTP/1.1 403');
    expect(refused).not.toContain('100 Continue');
    const taken = (await curl('/f')).stdout;
    expect(taken.indexOf('100 Continue')).toBeGreaterThan(0);
    expect(taken).toContain('HTTP/1.1 201');
    expect(await fileText(server, '/f')).toBe('hello\n');
  });

  it("gets its 100 at once on the application's own pages, and for what is no append", async () => {
    const app = Fastify();
    let isAsked = false;
    app.post('/slow', async (_request, reply) => {
      isAsked = true;
      return reply.send('done');
    });
    let letIn = () => {};
    const isLetIn = new Promise<void>((resolve) => {
      letIn = resolve;
    });
    app.addHook('onRequest', async ({ url }) => {
      // The body is not read before this is over.
      if (url === '/slow') await isLetIn;
    });
    await app.register(httpfstream, { root: await temporaryDirectory(), prefix: '/files' });
    await app.register(httpfstream, { root: await temporaryDirectory(), prefix: '/more' });
    const { url } = await listen(app);
    const base = url('');
    cutConnectionsAfterTest(app);
    const own = new Upload(`${base}/slow`, {
      method: 'POST',
      headers: { ...EXPECT, 'content-type': 'text/plain' },
    });
    await waitFor(() => own.isContinued, 'the 100');
    expect(isAsked).toBe(false);
    letIn();
    expect((await own.end('x')).status).toBe(200);
    for (const prefix of ['/files', '/more']) {
      const appender = new Upload(`${base}${prefix}/f${APPEND}`, { headers: EXPECT });
      await waitFor(() => appender.isContinued, 'the 100');
      expect((await appender.end('x')).status).toBe(201);
    }
  });

  it('is left to an application that answers it by itself', async () => {
    const app = Fastify();
    await app.register(httpfstream, { root: await temporaryDirectory() });
    let calls = 0;
    app.server.on('checkContinue', (incoming, response) => {
      calls++;
      response.writeContinue();
      app.server.emit('request', incoming, response);
    });
    const { url } = await listen(app);
    const base = url('');
    const appender = new Upload(`${base}/f${APPEND}`, { headers: EXPECT });
    expect([(await appender.end('x')).status, calls]).toEqual([201, 1]);
  });
});

describe('when something happens meanwhile', () => {
  it.each(smallDisks())(
    'the disk is full: 507, what fits stays, and there is an answer: %s',
    async (_kind, make) => {
      const disk = await make();
      const server = await startServer({ root: disk.directory });
      const appender = new Upload(server.url(`/f${APPEND}`));
      await appender.write('so far');
      await untilFile(server, '/f', 'so far');
      const follower = await Download.open(server.url('/f?verb=FOLLOW'));
      await disk.fill(0);
      void appender.write(Buffer.alloc(8 * MiB)).catch(() => undefined);
      const answer = await appender.answer;
      expect([answer.status, jsonOf(answer).code]).toEqual([507, 'HFS_STORAGE_FULL']);
      expect(await follower.untilEnd()).toBe('broken');
      await disk.makeRoom();
      expect((await upload(server.url(`/f${APPEND}`), '!')).status).toBe(200);
    },
  );

  it.each([
    ['deleted', (file: string) => rm(file), 410, 'HFS_RESOURCE_GONE'],
    ['renamed', (file: string) => rename(file, `${file}-2`), 410, 'HFS_RESOURCE_GONE'],
    ['cut', (file: string) => truncate(file, 2), 409, 'HFS_STREAM_TRUNCATED'],
  ])(
    'the file is %s: the client is told, while it sends and at the end',
    async (_what, act, status, code) => {
      const server = await common.guest();
      for (const ends of [false, true]) {
        const appender = new Upload(server.url(`/f${APPEND}`));
        await appender.write('so far');
        await waitFor(async () => (await fileText(server, '/f')).endsWith('so far'), 'the bytes');
        await act(path.join(server.root, 'f'));
        if (ends) appender.request.end();
        else await appender.write('!');
        const answer = await appender.answer;
        expect([answer.status, jsonOf(answer).code]).toEqual([status, code]);
      }
    },
  );

  it('the server closes: 503, what has come is in the file, and a session may come back to the next one', async () => {
    const root = await temporaryDirectory();
    const server = await startServer({ root, closeTimeoutMs: NEVER_MS });
    const plain = new Upload(server.url(`/plain${APPEND}`));
    const resumable = new Upload(server.url(`/f${APPEND}${SESSION}`));
    await plain.write('so far');
    await resumable.write('one ');
    await untilFile(server, '/f', 'one ');
    await untilFile(server, '/plain', 'so far');
    const closed = server.app.close();
    for (const appender of [plain, resumable]) {
      const answer = await appender.answer;
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, expect.stringMatching(/^[12]$/)]);
      appender.cut();
    }
    await closed;
    const next = await startServer({ root });
    const answer = await upload(next.url(`/f${APPEND}${SESSION}`), 'two');
    expect([answer.status, jsonOf(answer).bytes, await fileText(next, '/f')]).toEqual([200, 3, 'one two']);
    expect(await endOf(next, '/plain')).toBe('broken');
  });

  it('the server closes while the resource is being taken hold of: 503', async () => {
    const server = await startServer({ closeTimeoutMs: NEVER_MS });
    const { ready } = Lease.prototype;
    let letGo = () => {};
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const readying = vi.spyOn(Lease.prototype, 'ready').mockImplementation(async function held(this: Lease) {
      await gate;
      await ready.call(this);
    });
    onTestFinished(() => readying.mockRestore());
    const upload = new Upload(server.url(`/f${APPEND}`));
    await upload.write('bytes');
    await waitFor(() => readying.mock.calls.length > 0, 'the lease');
    const closing = vi.spyOn(Core.prototype, 'close');
    onTestFinished(() => closing.mockRestore());
    const closed = server.app.close();
    await waitFor(() => closing.mock.calls.length > 0, 'the server to close');
    letGo();
    expect((await upload.answer).status).toBe(503);
    upload.cut();
    await closed;
  });

  it('the server closes, and the client neither reads nor stops: it closes in bounded time', async () => {
    const server = await startServer({ closeTimeoutMs: 200 });
    const socket = await openSocket(server.port);
    writeHead(socket, `PUT /f${APPEND} HTTP/1.1`, ['Content-Length: 1000000000']);
    const block = Buffer.alloc(65_536);
    const send = () => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', send).pause();
    send();
    // Whoever reads a file that grows, from when it is empty, may read all of it.
    const file = path.join(server.root, 'f');
    await waitFor(() => (fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0, 'bytes');
    await server.app.close();
  });

  it('the disk is slow: the client is held back, and nothing is lost', async () => {
    const server = await startServer();
    const { writev } = fs;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const writing = vi.spyOn(fs, 'writev').mockImplementation(((...args: Parameters<typeof writev>) => {
      void gate.then(() => writev(...args));
    }) as never);
    onTestFinished(() => writing.mockRestore());
    let inside: Socket | undefined;
    server.app.server.once('connection', (socket) => {
      inside = socket;
    });
    const appender = new Upload(server.url(`/f${APPEND}`));
    const whole = pattern(0, 32 * MiB);
    const block = 256 * 1024;
    let taken = 0;
    const sending = (async () => {
      for (; taken < whole.length; taken += block) await appender.write(whole.subarray(taken, taken + block));
      appender.request.end();
    })();
    await waitFor(
      () => inside !== undefined && ClientSocket.of(inside).isUnread,
      'the client to be held back',
    );
    await waitForStandstill(() => taken, 'the system to take no more');
    expect(appender.request.writableNeedDrain).toBe(true);
    // What waits for the disk, and what the system's buffers hold.
    expect(taken).toBeLessThan(16 * MiB);
    release();
    await sending;
    expect((await appender.answer).status).toBe(201);
    expect((await get(server.url('/f'))).body.equals(whole)).toBe(true);
  });
});

describe('beside other things', () => {
  it('answers 426 to GET, and 405 to a body that comes with a handshake', async () => {
    const server = await common.guest();
    expect((await get(server.url(`/f${APPEND}`))).status).toBe(426);
    const answer = await rawRequest(server.port, `PUT ${server.path('/f')}${APPEND} HTTP/1.1`, [
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Content-Length: 0',
    ]);
    expect(answer.status).toBe(405);
    expect(await resourceNames(server.root)).toEqual([]);
  });

  it('works beside other routes of an application that parse their bodies', async () => {
    const app = Fastify();
    app.post('/json', async ({ body }) => ({ got: body }));
    await app.register(httpfstream, { root: await temporaryDirectory(), prefix: '/files' });
    const { url } = await listen(app);
    const base = url('');
    const headers = { 'content-type': 'application/json' };
    const own = await upload(`${base}/json`, '{"a":1}', { method: 'POST', headers });
    expect(jsonOf(own)).toEqual({ got: { a: 1 } });
    const answer = await upload(`${base}/files/f${APPEND}`, '{"a":1}', { headers });
    expect(answer.status).toBe(201);
    expect((await get(`${base}/files/f`)).body.toString()).toBe('{"a":1}');
  });

  it('takes a body that an application has decoded by itself', async () => {
    const app = Fastify();
    app.addHook('preParsing', async ({ headers }, _reply, payload) => {
      if (headers['content-encoding'] !== 'gzip') return payload;
      headers['content-encoding'] = undefined;
      return payload.pipe(zlib.createGunzip());
    });
    const root = await temporaryDirectory();
    await app.register(httpfstream, { root });
    const { url } = await listen(app);
    const base = url('');
    const answer = await upload(`${base}/f${APPEND}`, zlib.gzipSync('text'), {
      headers: { 'content-encoding': 'gzip' },
    });
    expect([answer.status, await fileText({ root }, '/f')]).toEqual([201, 'text']);
  });
});
