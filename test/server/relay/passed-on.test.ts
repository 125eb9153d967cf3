import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitForSize } from '../../support/wait-for.ts';
import { refusalOf, sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

async function pair() {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  return { origin, relay };
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('an append through a relay', () => {
  test('is one at the origin, whose acknowledgements and refusals it gets; the relay follows', async () => {
    const { origin, relay } = await pair();
    const peer = await V2Peer.append(relay.url('/f'), { session: sessionOf('a') });
    const follower = bytesOf(follow(relay.url('/f')));
    await peer.append('hello', 5);
    expect(await refusalOf(relay.url('/f'), 'APPEND')).toEqual([403, 'HFS_APPEND_CONFLICT']);
    expect(await readFile(path.join(origin.root, 'f'), 'utf8')).toBe('hello');
    peer.websocket.close(1000, '{"status":4}');
    expect(String(await follower)).toBe('hello');
    const at = follow(origin.url('/f'));
    await bytesOf(at);
    expect(at.status).toBe(4);
  });

  test('loses nothing when its connection breaks on either side', async () => {
    const origin = await startOrigin();
    const random = new Random(1);
    const before = await ChaosProxy.start(origin.port, random, NO_CHAOS);
    const relay = await startRelay(before.url(''));
    const after = await ChaosProxy.start(relay.port, random, NO_CHAOS);
    const size = 6 * 1024 * 1024;
    const retry = { times: 1_000_000, minDelayMs: 1, maxDelayMs: 20 };
    const appender = openAppend(after.url('/f'), { retry });
    appender.write(pattern(0, 1024));
    await waitForSize(path.join(origin.root, 'f'), 1024);
    const follower = bytesOf(follow(after.url('/f'), { retry }));
    await waitForSize(path.join(relay.root, 'f'), 1024);
    for (let at = 1024; at < size; at += 1024 * 1024) {
      appender.write(pattern(at, Math.min(1024 * 1024, size - at)));
      await waitForSize(path.join(origin.root, 'f'), Math.min(at + 1024 * 1024, size));
      if ((at >> 20) % 2 === 0) before.resetAll();
      else after.resetAll();
    }
    appender.end();
    const got = await follower;
    expect(got.equals(pattern(0, size))).toBe(true);
    expect((await readFile(path.join(origin.root, 'f'))).equals(got)).toBe(true);
    expect((await readFile(path.join(relay.root, 'f'))).equals(got)).toBe(true);
  });

  test('over plain HTTP, and POST, PUT and DELETE', async () => {
    const { origin, relay } = await pair();
    const put = await fetch(relay.url('/dir/f?verb=APPEND'), { method: 'PUT', body: 'one' });
    expect(put.status).toBe(201);
    expect(put.headers.get('location')).toBe(relay.url('/dir/f'));
    expect(await put.json()).toMatchObject({ path: '/dir/f', position: 3 });
    expect(await (await fetch(relay.url('/dir/f'))).text()).toBe('one');
    const post = await fetch(relay.url('/dir/f'), {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: ' two',
    });
    // Its type is that of its name: any.
    expect(post.status).toBe(204);
    const offset = post.headers.get('stream-next-offset');
    expect(await readFile(path.join(origin.root, 'dir/f'), 'utf8')).toBe('one two');
    const rest = await fetch(relay.url(`/dir/f?offset=${offset}`));
    expect(rest.status).toBe(200);
    expect(rest.headers.get('stream-next-offset')).toBe(offset);
    expect(await (await fetch(relay.url('/dir/f'))).text()).toBe('one two');
    const withTrailer = http.request(relay.url('/dir/g?verb=APPEND'), {
      method: 'PUT',
      headers: { trailer: 'Stream-Status', 'transfer-encoding': 'chunked' },
    });
    withTrailer.write('x');
    withTrailer.addTrailers({ 'stream-status': '9' });
    withTrailer.end();
    await once(withTrailer, 'response');
    const status = await fetch(relay.url('/dir/g'), { method: 'HEAD' });
    expect(status.headers.get('stream-status')).toBe('9');
    const [tail] = (await once(
      http.get(relay.url('/dir/g?verb=FOLLOW&lines=1'), { agent: false }),
      'response',
    )) as [http.IncomingMessage];
    expect(String(await bytesOf(tail))).toBe('x');
    expect(tail.trailers['stream-status']).toBe('9');
    expect((await fetch(relay.url('/dir/f'), { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(relay.url('/dir/f'))).status).toBe(404);
    expect((await fetch(origin.url('/dir/f'))).status).toBe(404);
  });
});

describe('a read of what is not here', () => {
  test('is passed on, when it is a part or a head, and nothing is fetched for it', async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/f.txt'), ['0123456789']);
    const range = await fetch(relay.url('/f.txt'), { headers: { range: 'bytes=2-4' } });
    expect([range.status, await range.text()]).toEqual([206, '234']);
    const head = await fetch(relay.url('/f.txt'), { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe('10');
    await expect(readFile(path.join(relay.root, 'f.txt'))).rejects.toThrow('ENOENT');
  });

  test('a directory is listed as it is there', async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/dir/there.txt'), ['x']);
    const json = { headers: { accept: 'application/json' } };
    const listing = await (await fetch(relay.url('/dir/'), json)).json();
    expect(listing).toMatchObject({ path: '/dir/', entries: [{ name: 'there.txt', size: 1 }] });
    const redirect = await fetch(relay.url('/dir'), { redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([301, './dir/']);
  });

  test('a directory that comes from there is marked among those that are here', async () => {
    const origin = await startOrigin();
    const relay = await startRelay(`/builds=${origin.url('')}`);
    await append(origin.url('/f'), ['x']);
    await append(relay.url('/own/f'), ['x']);
    await (await fetch(relay.url('/builds/f'))).text();
    const json = { headers: { accept: 'application/json' } };
    const marksIn = async (target: string) => {
      const listing = await (await fetch(relay.url(target), json)).json();
      const { entries } = listing as { entries: { name: string; relay?: true }[] };
      return entries.map(({ name, relay: mark }) => [name, mark]);
    };
    expect(await marksIn('/')).toEqual([
      ['builds', true],
      ['own', undefined],
    ]);
    const page = await (await fetch(relay.url('/'))).text();
    expect(page.match(/\S+ <i>relay<\/i>/g)).toEqual(['href="./builds/">builds/</a> <i>relay</i>']);
    expect(await marksIn('/builds/')).toEqual([['f', undefined]]);
  });

  test('what is here already is read from here, in parts, too', async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/f.txt'), ['0123456789']);
    await (await fetch(relay.url('/f.txt'))).text();
    const asked = origin.requests.length;
    const range = await fetch(relay.url('/f.txt'), { headers: { range: 'bytes=2-4' } });
    expect([range.status, await range.text()]).toEqual([206, '234']);
    // After a second it is looked whether there is more.
    const others = origin.requests.slice(asked).filter((request) => !request.includes('from=10'));
    expect(others).toEqual([]);
  });

  test('the last lines of what is still coming are those at the origin', async () => {
    const { origin, relay } = await pair();
    const lines = Array.from({ length: 200_000 }, (_, i) => `line ${i}\n`).join('');
    await writeFile(path.join(origin.root, 'long.log'), lines);
    const reading = fetch(relay.url('/long.log'));
    const last = await bytesOf(follow(relay.url('/long.log'), { lines: 2 }));
    expect(String(last)).toBe('line 199998\nline 199999\n');
    const whole = await reading;
    expect(whole.headers.get('content-length')).toBe(String(lines.length));
    expect(await whole.text()).toBe(lines);
  });
});

describe('a plain HTTP server', () => {
  async function startPlain(handler: http.RequestListener) {
    const server = http.createServer(handler).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    onTestFinished(() => void server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test('is asked for each reader, with its query, and nothing is kept', async () => {
    const urls: string[] = [];
    const upstream = await startPlain((request, response) => {
      urls.push(request.url ?? '');
      response.setHeader('x-own', 'yes').end(`at ${request.url}`);
    });
    const relay = await startRelay(`/mirror=${upstream}/base`);
    const response = await fetch(relay.url('/mirror/x/y?z=1'));
    expect(response.headers.get('x-own')).toBe('yes');
    expect(await response.text()).toBe('at /base/x/y?z=1');
    expect(urls.at(-1)).toBe('/base/x/y?z=1');
    await expect(readFile(path.join(relay.root, 'mirror/x/y'))).rejects.toThrow('ENOENT');
    // What is beside the prefix is this server's own.
    await append(relay.url('/own'), ['mine']);
    expect(await readFile(path.join(relay.root, 'own'), 'utf8')).toBe('mine');
  });

  test('that breaks in the middle is broken for its readers', async () => {
    const upstream = await startPlain((_request, response) => {
      response.writeHead(200, { 'content-length': 200_000, 'cache-control': 'no-store' });
      response.write(pattern(0, 100_000), () => response.destroy());
    });
    const relay = await startRelay(upstream);
    await expect(fetch(relay.url('/x')).then((response) => response.text())).rejects.toThrow();
  });

  test('is told no secrets of users, nor of origins', async () => {
    let seen: http.IncomingHttpHeaders = {};
    const upstream = await startPlain((request, response) => {
      seen = request.headers;
      response.end();
    });
    const relay = await startRelay(upstream);
    const headers = { authorization: 'Bearer secret', cookie: 'a=b', 'x-other': 'kept' };
    await fetch(relay.url('/x'), { headers });
    expect(seen).not.toHaveProperty('authorization');
    expect(seen).not.toHaveProperty('cookie');
    expect(seen).toMatchObject({ 'x-other': 'kept', via: expect.stringMatching(/^1\.1 httpfstream-/) });
  });

  test('is told who this server is, and nobody else', async () => {
    const seen: (string | undefined)[] = [];
    const upstream = await startPlain((request, response) => {
      seen.push(request.headers.authorization);
      response.end();
    });
    const relay = await startRelay(upstream.replace('//', '//user:p%40ss@'));
    await fetch(relay.url('/x'), { headers: { authorization: 'Bearer other' } });
    await fetch(relay.url('/y'));
    expect(new Set(seen)).toEqual(new Set([`Basic ${Buffer.from('user:p@ss').toString('base64')}`]));
  });

  test('or that is away: 502', async () => {
    const relay = await startRelay('http://127.0.0.1:1');
    const json = { headers: { accept: 'application/json' } };
    for (const method of ['GET', 'DELETE']) {
      const response = await fetch(relay.url('/x'), { ...json, method });
      expect(response.status).toBe(502);
      const detail = expect.stringMatching(/cannot be reached: nobody listens there$/);
      expect(await response.json()).toMatchObject({ code: 'HFS_UPSTREAM', detail });
    }
    expect(await refusalOf(relay.url('/x'), 'FOLLOW')).toEqual([502, 'HFS_UPSTREAM']);
    expect(await refusalOf(relay.url('/x'), 'APPEND')).toEqual([502, 'HFS_UPSTREAM']);
  });
});

test('a loop is refused at once', async () => {
  const first = await startRelay('http://127.0.0.1:1');
  const second = await startRelay(first.url(''));
  // The first one's upstream is the second one: as if it had been configured so.
  const proxy = await ChaosProxy.start(second.port, new Random(1), NO_CHAOS);
  const looping = await startRelay(proxy.url(''));
  proxy.targetPort = looping.port;
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const response = await fetch(looping.url('/x'), { method });
    expect(response.status).toBe(508);
  }
  expect(await refusalOf(looping.url('/x'), 'FOLLOW')).toEqual([508, 'HFS_RELAY_LOOP']);
});

test('two relays that have what they serve from each other, and are asked at the same moment, find out', async () => {
  const proxy = await ChaosProxy.start(1, new Random(1), NO_CHAOS);
  const first = await startRelay(proxy.url(''));
  const second = await startRelay(first.url(''));
  proxy.targetPort = second.port;
  const asked = [first, second, first, second].map((relay) => fetch(relay.url('/x')));
  const followed = [first, second].map((relay) => refusalOf(relay.url('/y'), 'FOLLOW'));
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([508, 508, 508, 508]);
  const loop = [508, 'HFS_RELAY_LOOP'];
  expect(await Promise.all(followed)).toEqual([loop, loop]);
});
