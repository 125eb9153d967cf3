import { appendFile, mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Arrivals } from '../../../src/core/watch/arrivals.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { makeZeros } from '../../support/disk/zeros.ts';
import { Download, Upload } from '../../support/http/bodies.ts';
import { openSocket, parseAnswer, rawGet, readHead, readToEnd, writeHead } from '../../support/http/raw.ts';
import { get, head, jsonOf, upload } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import {
  cutConnectionsAfterTest,
  listen,
  startServer,
  startStandalone,
  temporaryDirectory,
} from '../../support/server/server.ts';
import { guestFor, serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, fileText, openAppender } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const common = serverForAll();

const MiB = 1024 * 1024;
const FOLLOW = '?verb=FOLLOW';

async function generationOf(url: string): Promise<number> {
  const download = await Download.open(`${url}${FOLLOW}`);
  download.request.destroy();
  return Number(download.headers['stream-generation']);
}

/**
 * An append and its follower at an application that cuts connections which are
 * quiet: after a longer time with each attempt, until the machine is quick enough to have begun by then.
 */
async function followedInTime(): Promise<{ port: number; appender: Upload; follower: Download }> {
  for (let limitMs = 200; ; limitMs *= 4) {
    const app = Fastify({ connectionTimeout: limitMs });
    await app.register(httpfstream, { root: await temporaryDirectory() });
    const { url } = await listen(app);
    const base = url('');
    cutConnectionsAfterTest(app);
    const appender = new Upload(`${base}/f?verb=APPEND`);
    appender.answer.catch(() => undefined);
    await appender.write('one ').catch(() => undefined);
    const follower = Download.ask(`${base}/f${FOLLOW}&wait=5`);
    await waitFor(() => follower.text === 'one ' || follower.end !== undefined, 'the first bytes');
    if (follower.end === undefined || limitMs > 10_000) {
      return { port: Number(new URL(base).port), appender, follower };
    }
  }
}

describe('GET with verb FOLLOW', () => {
  it('gets what is there, then what comes, as it comes, and ends when the appender does', async () => {
    const server = await common.guest();
    const appender = await openAppender(server, '/f.log', 'one ');
    const follower = await Download.open(server.url(`/f.log${FOLLOW}`));
    await follower.untilText('one ');
    for (const word of ['two ', 'three ', 'x']) {
      const before = follower.text;
      await appender.send(word);
      await follower.untilText(before + word);
    }
    expect(follower.end).toBeUndefined();
    await appender.finish();
    expect(await follower.untilEnd()).toBe('clean');
    expect(follower.text).toBe('one two three x');
  });

  it('is answered at once, also while there is nothing to send', async () => {
    const server = await common.guest();
    await openAppender(server, '/empty.log');
    const follower = await Download.open(server.url(`/empty.log${FOLLOW}`));
    expect([follower.status, follower.text]).toEqual([200, '']);
  });

  it('says what it sends, and keeps everybody from changing or holding it', async () => {
    const server = await common.guest();
    await openAppender(server, '/page.html', '<p>');
    const { status, headers } = await Download.open(server.url(`/page.html${FOLLOW}&from=1`));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'transfer-encoding': 'chunked',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'stream-position': '1',
      'stream-generation': expect.stringMatching(/^\d{16}$/),
    });
    expect(headers).not.toHaveProperty('content-length');
  });

  it('tells text from other data by the first bytes', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'binary'), Buffer.from([0, 1, 2]));
    await writeFile(path.join(server.root, 'text'), 'text');
    const typeOf = async (name: string) =>
      (await Download.open(server.url(`/${name}${FOLLOW}`))).headers['content-type'];
    expect(await typeOf('binary')).toBe('application/octet-stream');
    expect(await typeOf('text')).toBe('text/plain; charset=utf-8');
  });

  it.each([
    ['from=4', '4', '\n456789'],
    ['from=0', '0', '0123\n456789'],
    ['from=-3', '8', '789'],
    ['from=-100', '0', '0123\n456789'],
    ['from=11', '11', ''],
    ['lines=1', '5', '456789'],
    ['lines=0', '11', ''],
    ['lines=9', '0', '0123\n456789'],
  ])('begins where the query says: %s', async (query, position, expected) => {
    const server = await common.guest();
    const text = '0123\n456789';
    const appender = await openAppender(server, '/f', text);
    const follower = await Download.open(server.url(`/f${FOLLOW}&${query}`));
    expect(follower.headers['stream-position']).toBe(position);
    await appender.send('!');
    await follower.untilText(`${expected}!`);
  });

  it.each([
    ['/f', 'from=x', 400, 'HFS_INVALID_REQUEST'],
    ['/f', 'from=1&lines=1', 400, 'HFS_INVALID_REQUEST'],
    ['/f', 'wait=-1', 400, 'HFS_INVALID_REQUEST'],
    ['/f', 'lines=-1', 400, 'HFS_INVALID_REQUEST'],
    ['/%00', '', 400, 'HFS_INVALID_PATH'],
    ['/.httpfstream/x', '', 403, 'HFS_FORBIDDEN_PATH'],
    ['/missing', '', 404, 'HFS_RESOURCE_NOT_FOUND'],
    ['/d', '', 409, 'HFS_PATH_CONFLICT'],
    ['/', '', 409, 'HFS_PATH_CONFLICT'],
    ['/f', 'generation=1', 410, 'HFS_RESOURCE_GONE'],
    ['/missing', 'generation=1', 410, 'HFS_RESOURCE_GONE'],
    ['/f', 'from=8', 416, 'HFS_RANGE_NOT_SATISFIABLE'],
  ])('refuses %s?%s with %i', async (urlPath, query, status, code) => {
    const server = await guestFor(common, urlPath);
    await writeFile(path.join(server.root, 'f'), 'content');
    await mkdir(path.join(server.root, 'd'));
    const answer = await get(server.url(`${urlPath}${FOLLOW}&${query}`));
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(jsonOf(answer)).toMatchObject({ status, code });
    expect(answer.headers).not.toHaveProperty('stream-position');
  });

  it('gets what is held of a file that another program deleted, and nothing of one that was deleted here', async () => {
    const server = await common.guest();
    for (const name of ['there', 'here']) await writeFile(path.join(server.root, name), 'text');
    const held = async (name: string) => {
      const { headers } = await get(server.url(`/${name}${FOLLOW}&hold=60`));
      return server.url(`/${name}${FOLLOW}&hold=60&from=0&generation=${headers['stream-generation']}`);
    };
    const [there, here] = await Promise.all([held('there'), held('here')]);
    await rm(path.join(server.root, 'there'));
    await fetch(server.url('/here'), { method: 'DELETE' });
    const rest = await Download.open(there);
    expect([await rest.untilEnd(), rest.text]).toEqual(['broken', 'text']);
    expect((await get(here)).status).toBe(410);
  });

  it('goes on only with the generation that it names', async () => {
    const server = await common.guest();
    await appendAll(server, '/f', 'old');
    const generation = await generationOf(server.url('/f'));
    const same = await Download.open(server.url(`/f${FOLLOW}&from=1&generation=${generation}`));
    expect([same.status, await same.untilEnd(), same.text]).toEqual([200, 'clean', 'ld']);
    await rm(path.join(server.root, 'f'));
    await appendAll(server, '/f', 'new');
    expect((await get(server.url(`/f${FOLLOW}&generation=${generation}`))).status).toBe(410);
  });

  it('is asked for by the header, too, which wins; without a verb GET gives the file', async () => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    const isFollow = async (query: string, headers = {}) => {
      const download = await Download.open(server.url(`/f${query}`), { headers });
      return download.headers['transfer-encoding'] === 'chunked';
    };
    expect(await isFollow('', { 'x-verb': 'FOLLOW' })).toBe(true);
    for (const query of ['', '?verb=', '?x=verb', '?Verb=FOLLOW']) {
      expect([query, await isFollow(query)]).toEqual([query, false]);
    }
  });

  it('by HEAD is answered as any HEAD', async () => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    const answer = await head(server.url(`/f${FOLLOW}`));
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '6']);
  });

  it('of a client that speaks the subprotocol is told that the handshake is missing', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f'), 'content');
    const answer = await get(server.url(`/f${FOLLOW}`), { 'sec-websocket-protocol': 'httpfstream.v2' });
    expect(answer.status).toBe(426);
  });
});

describe('a body that ends', () => {
  it('ends cleanly for a file that is finished, or to which nobody ever appended', async () => {
    const server = await common.guest();
    await appendAll(server, '/finished', 'all of it');
    await writeFile(path.join(server.root, 'plain'), 'as it was put');
    for (const [urlPath, text] of [
      ['/finished', 'all of it'],
      ['/plain', 'as it was put'],
    ]) {
      const follower = await Download.open(server.url(`${urlPath}${FOLLOW}`));
      expect([await follower.untilEnd(), follower.text]).toEqual(['clean', text]);
    }
  });

  it('breaks after the last byte when the appender was lost', async () => {
    const server = await startServer({ graceMs: 0 });
    const tail = pattern(0, 3 * MiB);
    const appender = await V2Peer.append(server.url('/f'), { 'content-type': 'text/plain' });
    const follower = await Download.open(server.url(`/f${FOLLOW}`));
    const late = await Download.open(server.url(`/f${FOLLOW}`));
    late.pause();
    appender.websocket.send(tail);
    await waitFor(async () => (await fileText(server, '/f')).length > 0, 'the bytes');
    await waitFor(() => follower.byteCount === tail.length, 'the follower to have all');
    appender.websocket.terminate();
    expect(await follower.untilEnd()).toBe('broken');
    late.resume();
    expect(await late.untilEnd()).toBe('broken');
    expect(follower.bytes.equals(tail)).toBe(true);
    expect(late.bytes.equals(tail)).toBe(true);
    // Nobody appends any more, and yet it is not whole.
    const idle = await Download.open(server.url(`/f${FOLLOW}`));
    expect([idle.status, await idle.untilEnd(), idle.bytes.equals(tail)]).toEqual([200, 'broken', true]);
  });

  it.each([
    ['deleted', (file: string) => rm(file)],
    ['renamed', (file: string) => rename(file, `${file}-2`)],
    ['cut', (file: string) => truncate(file, 2)],
    ['written to by another program', (file: string) => appendFile(file, 'foreign')],
  ])('breaks when the file is %s', async (_what, act) => {
    const server = await common.guest();
    const appender = await openAppender(server, '/f', 'so far');
    const follower = await Download.open(server.url(`/f${FOLLOW}`));
    await follower.untilText('so far');
    await act(path.join(server.root, 'f'));
    await appender.send('!');
    expect(await follower.untilEnd()).toBe('broken');
    expect(follower.text).toMatch(/^so far!?$/);
  });

  it('breaks when the server closes, after the last byte, and waiting ones are refused', async () => {
    const server = await startServer({ closeTimeoutMs: NEVER_MS });
    await openAppender(server, '/f', 'so far');
    const follower = await Download.open(server.url(`/f${FOLLOW}`));
    const waiting = Download.ask(server.url(`/later${FOLLOW}&wait=60`));
    await follower.untilText('so far');
    await waitFor(() => waiting.socket?.bytesWritten > 0, 'the request to be sent');
    await get(server.url('/f'));
    await server.app.close();
    expect(await follower.untilEnd()).toBe('broken');
    await waiting.untilEnd();
    expect([waiting.status, JSON.parse(waiting.text).code]).toEqual([503, 'HFS_SERVER_CLOSING']);
  });

  it('is cut in bounded time when the server closes and the client does not read', async () => {
    const server = await startServer({ closeTimeoutMs: 200 });
    await makeZeros(path.join(server.root, 'f'), 64 * MiB);
    const follower = await Download.open(server.url(`/f${FOLLOW}`));
    follower.pause();
    await server.app.close();
    follower.resume();
    expect(await follower.untilEnd()).toBe('broken');
  });

  it('stays open while the appender is away, and goes on when it is back', async () => {
    const server = await startServer({ graceMs: NEVER_MS });
    const query = { session: 'a'.repeat(32) };
    const appender = await V2Peer.append(server.url('/f'), query);
    appender.websocket.send(Buffer.from('one '));
    const follower = await Download.open(server.url(`/f${FOLLOW}`));
    await follower.untilText('one ');
    appender.websocket.terminate();
    const again = await V2Peer.append(server.url('/f'), query);
    again.websocket.send(Buffer.from('two'));
    again.websocket.close(1000);
    expect([await follower.untilEnd(), follower.text]).toEqual(['clean', 'one two']);
  });
});

describe('a follower that waits', () => {
  it('is answered when the resource is there, and not before', async () => {
    const server = await common.guest();
    const follower = Download.ask(server.url(`/later${FOLLOW}&wait=30`));
    await waitFor(() => follower.socket?.bytesWritten > 0, 'the request to be sent');
    await get(server.url('/'));
    expect(follower.status).toBe(0);
    await appendAll(server, '/later', 'here');
    expect(await follower.untilEnd()).toBe('clean');
    expect([follower.status, follower.text]).toEqual([200, 'here']);
  });

  it('gets what another program puts there', async () => {
    const server = await common.guest();
    const follower = Download.ask(server.url(`/later${FOLLOW}&wait=30&from=1`));
    await waitFor(() => follower.socket?.bytesWritten > 0, 'the request to be sent');
    // As a whole: else it may be found when it is made, and empty.
    const unnamed = path.join(await temporaryDirectory(), 'unnamed');
    await writeFile(unnamed, 'here');
    await rename(unnamed, path.join(server.root, 'later'));
    expect(await follower.untilEnd()).toBe('clean');
    expect(follower.text).toBe('ere');
  });

  it('gets 404 when nothing comes in time, and its connection takes the next request', async () => {
    const { port, path: own } = await common.guest();
    const socket = await openSocket(port);
    const startedAt = performance.now();
    writeHead(socket, `GET ${own('/later')}${FOLLOW}&wait=0.3 HTTP/1.1`);
    const answer = parseAnswer(await readHead(socket));
    expect(performance.now() - startedAt).toBeGreaterThan(290);
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([404, 'HFS_RESOURCE_NOT_FOUND']);
    writeHead(socket, `GET ${own('/later')} HTTP/1.1`, ['Connection: close']);
    expect(parseAnswer(await readToEnd(socket)).status).toBe(404);
  });

  it('is told when it asked for a position that the file does not have', async () => {
    const server = await common.guest();
    const follower = Download.ask(server.url(`/later${FOLLOW}&wait=30&from=9`));
    await waitFor(() => follower.socket?.bytesWritten > 0, 'the request to be sent');
    await writeFile(path.join(server.root, 'later'), 'here');
    await follower.untilEnd();
    expect(follower.status).toBe(416);
  });

  it('and goes leaves nothing behind, and nobody hears of it', async () => {
    const waits = vi.spyOn(Arrivals.prototype, 'wait');
    onTestFinished(() => waits.mockRestore());
    const lines: string[] = [];
    const app = Fastify({
      logger: { level: 'info', stream: { write: (line: string) => void lines.push(line) } },
    });
    await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: NEVER_MS });
    const base = await app.listen({ host: '127.0.0.1', port: 0 });
    cutConnectionsAfterTest(app);
    const followers = Array.from({ length: 20 }, () => Download.ask(`${base}/later${FOLLOW}&wait=60`));
    await waitFor(() => waits.mock.results.length === 20, 'all to wait');
    for (const { request } of followers) request.destroy();
    const ends = await Promise.allSettled(waits.mock.results.map(({ value }) => value));
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
    await app.close();
    expect(lines.filter((line) => line.includes('refused') || line.includes('error'))).toEqual([]);
  });
});

describe('the connection of a follower', () => {
  it('takes the next request after a clean end', async () => {
    const server = await common.guest();
    await appendAll(server, '/f', 'content');
    const socket = await openSocket(server.port);
    for (let i = 0; i < 3; i++) {
      writeHead(socket, `GET ${server.path('/f')}${FOLLOW} HTTP/1.1`);
      const chunks: Buffer[] = [];
      const take = (chunk: Buffer) => chunks.push(chunk);
      socket.on('data', take);
      await waitFor(() => Buffer.concat(chunks).includes('\r\n0\r\n\r\n'), 'the last chunk');
      socket.off('data', take);
      expect(parseAnswer(Buffer.concat(chunks)).body).toBe('content');
    }
    writeHead(socket, `GET ${server.path('/f')} HTTP/1.1`, ['Connection: close']);
    expect(parseAnswer(await readToEnd(socket)).body).toBe('content');
  });

  it('serves requests that came with it, in order: before and after', async () => {
    const server = await common.guest();
    const big = pattern(0, 2 * MiB);
    await writeFile(path.join(server.root, 'big'), big);
    const appender = await openAppender(server, '/f', 'one ');
    const socket = await openSocket(server.port);
    const requests = ['/big', `/f${FOLLOW}`, `/f${FOLLOW}&from=4`, '/f'];
    const heads = requests.map((target, i) => {
      const close = i === requests.length - 1 ? 'Connection: close\r\n' : '';
      return `GET ${server.path(target)} HTTP/1.1\r\nHost: test\r\n${close}\r\n`;
    });
    const all = readToEnd(socket);
    socket.write(heads.join(''));
    await waitFor(() => socket.bytesRead > 2 * MiB + 300, 'the first answers');
    await appender.send('two');
    await appender.finish();
    const text = (await all).toString('latin1');
    const bodies = text.split(/HTTP\/1\.1 200 OK\r\n/).slice(1);
    expect(bodies).toHaveLength(4);
    expect(Buffer.from(bodies[0]?.split('\r\n\r\n')[1] ?? '', 'latin1').equals(big)).toBe(true);
    const answers = bodies
      .slice(1)
      .map((body) => parseAnswer(Buffer.from(`HTTP/1.1 200 OK\r\n${body}`, 'latin1')).body);
    // What the last request gets was settled when it came.
    expect(answers.slice(0, 2)).toEqual(['one two', 'two']);
    expect(answers[2]).toMatch(/^one (two)?$/);
  });

  it.each([
    ['a follower', FOLLOW],
    ['a plain answer', ''],
  ])(
    'that breaks while another answer is before %s leaves nothing behind, and opens nothing before its turn',
    async (_what, query) => {
      const server = await startServer();
      for (const name of ['before', 'big']) {
        await makeZeros(path.join(server.root, name), 64 * MiB);
      }
      const baseline = await openDescriptors();
      const socket = await openSocket(server.port);
      socket.pause();
      socket.write(
        `GET /before HTTP/1.1\r\nHost: test\r\n\r\nGET /big${query} HTTP/1.1\r\nHost: test\r\n\r\n`,
      );
      // The connection's two ends, and one file.
      await waitFor(async () => (await openDescriptors()) >= baseline + 3, 'the first answer to begin');
      socket.write('GET /big HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(50));
      expect((await head(server.url('/big'))).status).toBe(200);
      expect(await openDescriptors()).toBeLessThan(baseline + 20);
      socket.destroy();
      await descriptorsBackTo(baseline);
    },
  );

  it('of HTTP/1.0 gets plain bytes, and ends with them', async () => {
    const server = await common.guest();
    const appender = await openAppender(server, '/f', 'one ');
    const socket = await openSocket(server.port);
    const all = readToEnd(socket);
    writeHead(socket, `GET ${server.path('/f')}${FOLLOW} HTTP/1.0`, ['Connection: keep-alive']);
    await waitFor(() => socket.bytesRead > 0, 'the answer');
    await appender.send('two');
    await appender.finish();
    const { status, headers, body } = parseAnswer(await all);
    expect([status, headers.connection, headers['transfer-encoding'], body]).toEqual([
      200,
      'close',
      undefined,
      'one two',
    ]);
  });

  it('of HTTP/1.0 is reset when the end is not clean, since a close would look like one', async () => {
    const server = await startServer({ graceMs: 0 });
    const appender = await V2Peer.append(server.url('/f'));
    appender.websocket.send(Buffer.from('so far'));
    const socket = await openSocket(server.port);
    const errors: string[] = [];
    const chunks: Buffer[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    socket.on('data', (chunk) => chunks.push(chunk));
    writeHead(socket, `GET /f${FOLLOW} HTTP/1.0`);
    await waitFor(() => Buffer.concat(chunks).includes('so far'), 'the bytes');
    appender.websocket.terminate();
    await waitFor(() => socket.destroyed, 'the end');
    expect(errors).toEqual(['ECONNRESET']);
  });

  it('that asked for h2c is served all the same', async () => {
    const server = await startServer();
    const appender = await openAppender(server, '/f', 'one ');
    const answer = rawGet(server.port, `/f${FOLLOW}`, ['Upgrade: h2c', 'Connection: Upgrade, close']);
    await waitFor(
      () => new Promise((resolve) => server.app.server.getConnections((_error, n) => resolve(n === 2))),
      'the follower',
    );
    await appender.send('two');
    await waitFor(async () => (await fileText(server, '/f')) === 'one two', 'the bytes');
    await appender.finish();
    expect((await answer).body).toBe('one two');
  });

  it('may be quiet for longer than the application lets others be', async () => {
    const { port, appender, follower } = await followedInTime();
    // It has begun to be quiet later than they have.
    await readToEnd(await openSocket(port));
    const answer = await appender.end('two');
    expect([answer.status, jsonOf(answer).bytes]).toEqual([201, 7]);
    expect([await follower.untilEnd(), follower.text]).toEqual(['clean', 'one two']);
  });
});

describe('many followers', () => {
  it('get the same bytes, whenever they join and however fast they read', async () => {
    const server = await common.guest();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const followers: Download[] = [];
    const size = 6 * MiB;
    const whole = pattern(0, size);
    let sent = 0;
    for (const length of [1, 10, 70_000, MiB, 300, 5, 2 * MiB]) {
      appender.websocket.send(whole.subarray(sent, sent + length));
      sent += length;
      const follower = await Download.open(server.url(`/f${FOLLOW}`));
      if (followers.length % 2 === 0) follower.pause();
      followers.push(follower);
    }
    appender.websocket.send(whole.subarray(sent));
    await waitFor(() => followers[1]?.byteCount === size, 'a fast one to have all');
    await appender.finish();
    expect(await followers[1]?.untilEnd()).toBe('clean');
    expect(followers[0]?.end).toBeUndefined();
    for (const follower of followers) follower.resume();
    for (const follower of followers) {
      expect(await follower.untilEnd()).toBe('clean');
      expect(follower.bytes.equals(whole)).toBe(true);
    }
  });

  it('may stand still while others go on, and take no memory', async () => {
    const server = await startServer();
    const sockets: Socket[] = [];
    server.app.server.on('connection', (socket) => void sockets.push(socket));
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const stalled = await Download.open(server.url(`/f${FOLLOW}`));
    stalled.pause();
    const other = await Peer.connect(server.url('/f'), 'FOLLOW');
    const block = Buffer.alloc(MiB, 'x');
    for (let i = 0; i < 32; i++) appender.websocket.send(block);
    await waitFor(() => other.byteCount === 32 * MiB, 'the other to have all');
    await appender.finish();
    expect(Math.max(...sockets.map(({ writableLength }) => writableLength))).toBeLessThan(MiB);
    stalled.resume();
    expect(await stalled.untilEnd()).toBe('clean');
    expect(stalled.byteCount).toBe(32 * MiB);
  });

  it('see exactly the file, for any sizes of messages and any places to begin', async () => {
    const server = await common.guest();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 4 }),
        async (lengths, joins) => {
          run++;
          const urlPath = `/run-${run}`;
          const appender = await Peer.connect(server.url(urlPath), 'APPEND');
          const total = lengths.reduce((sum, length) => sum + length, 0);
          const followers: [from: number, Download][] = [];
          let sent = 0;
          for (const [i, length] of lengths.entries()) {
            appender.websocket.send(pattern(sent, length));
            sent += length;
            if (i < joins.length) {
              const from = -(joins[i] ?? 0);
              followers.push([from, await Download.open(server.url(`${urlPath}${FOLLOW}&from=${from}`))]);
            }
          }
          await appender.finish();
          for (const [, follower] of followers) {
            expect(await follower.untilEnd()).toBe('clean');
            const start = Number(follower.headers['stream-position']);
            expect(follower.bytes.equals(pattern(start, total - start))).toBe(true);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('that go at any moment leave nothing open', async () => {
    const server = await startStandalone();
    await writeFile(path.join(server.root, 'idle'), Buffer.alloc(8 * MiB));
    const live = new Upload(server.url('/live?verb=APPEND'));
    await live.write(Buffer.alloc(MiB));
    await waitFor(async () => (await fileText(server, '/live')).length === MiB, 'the bytes');
    const baseline = await openDescriptors();
    for (let i = 0; i < 60; i++) {
      const query = i % 3 === 0 ? '&lines=5' : '';
      const name = i % 2 === 0 ? 'idle' : 'live';
      const socket = await openSocket(server.port);
      writeHead(socket, `GET /${name}${FOLLOW}${query} HTTP/1.1`);
      // Before, within and after the opening.
      if (i % 4 === 1) await new Promise(setImmediate);
      if (i % 4 === 2) await readHead(socket);
      if (i % 4 === 3) socket.resetAndDestroy();
      else socket.destroy();
    }
    await descriptorsBackTo(baseline);
    expect((await live.end()).status).toBe(201);
    expect((await upload(server.url('/live?verb=APPEND'), 'more')).status).toBe(200);
  });
});
