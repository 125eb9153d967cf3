import { readFile, stat } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Relay } from '../../../src/relay/relay.ts';
import { pattern } from '../../support/pattern.ts';
import { startRelay } from '../../support/relay/origin.ts';
import {
  chunked,
  headOf,
  rangeStart,
  type Script,
  ScriptedServer,
  say,
} from '../../support/relay/scripted.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { isThere, waitFor, waitForRemoval } from '../../support/wait-for.ts';

/** Longer than what is served only when all of it is here. */
const SIZE = 300_000;

const BODY = pattern(0, SIZE);

const ETAG = { ETag: '"one"' };

async function pair(script: Script, options: Parameters<typeof startRelay>[1] = {}) {
  const server = await ScriptedServer.start(script);
  const relay = await startRelay(server.url, options);
  return { server, relay };
}

/** Rejects when it is not all, and when it is an error. */
async function bytesOf(url: string, init: RequestInit = {}): Promise<Buffer> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

describe('what may be kept', () => {
  test('is fetched once for all who ask at the same time, and read from here then, with its headers', async () => {
    const headers = {
      ...ETAG,
      'Content-Type': 'text/x-own',
      'X-Own': 'yes',
      'Cache-Control': 'public, max-age=60',
    };
    const { server, relay } = await pair((_request, socket) =>
      say(socket, '200 OK', { ...headers, 'Set-Cookie': 'a=b' }, BODY),
    );
    const all = await Promise.all(Array.from({ length: 20 }, () => bytesOf(relay.url('/f'))));
    expect(all.every((bytes) => bytes.equals(BODY))).toBe(true);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]?.headers).toMatchObject({ 'x-verb': 'FOLLOW', 'accept-encoding': 'identity' });
    // They have all of it a moment before it is known as whole here.
    let response = await fetch(relay.url('/f'));
    await waitFor(async () => {
      if (response.headers.get('cache-status')?.endsWith('hit') === true) return true;
      await response.arrayBuffer();
      response = await fetch(relay.url('/f'));
      return false;
    }, 'it to be kept');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      etag: '"one"',
      'content-type': 'text/x-own',
      'x-own': 'yes',
      'content-length': String(SIZE),
      'accept-ranges': 'bytes',
      'cache-status': 'httpfstream; hit',
      age: expect.any(String),
      'content-security-policy': expect.stringContaining('sandbox'),
    });
    expect(response.headers.get('set-cookie')).toBeNull();
    expect(Buffer.from(await response.arrayBuffer()).equals(BODY)).toBe(true);
    expect((await readFile(path.join(relay.root, 'f'))).equals(BODY)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  test('is seen by others while it comes, and has no length when it was told none', async () => {
    const { server, relay } = await pair((_request, socket) => {
      socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked', ...ETAG }));
      socket.write(chunked(BODY).subarray(0, 100_000));
      const haveFirst = () => readers.every(({ count }) => count > 90_000);
      void waitFor(haveFirst, 'the first part to be with all').then(() =>
        socket.write(chunked(BODY).subarray(100_000)),
      );
    });
    const readers = Array.from({ length: 3 }, () => ({ count: 0, chunks: [] as Buffer[] }));
    await Promise.all(
      readers.map(async (reader) => {
        const response = await fetch(relay.url('/f'));
        expect(response.headers.get('content-length')).toBeNull();
        for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
          reader.count += chunk.length;
          reader.chunks.push(Buffer.from(chunk));
        }
      }),
    );
    for (const { chunks } of readers) expect(Buffer.concat(chunks).equals(BODY)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  test('is joined by who has found it here a moment before it is replaced', async () => {
    let rest = () => {};
    const { server, relay } = await pair((_request, socket) => {
      socket.write(headOf('200 OK', { 'Content-Length': SIZE, ...ETAG }));
      socket.write(BODY.subarray(0, 1000));
      rest = () => void socket.write(BODY.subarray(1000));
    });
    const first = await fetch(relay.url('/f'));
    const looks = vi.spyOn(Relay.prototype, 'ready');
    onTestFinished(() => looks.mockRestore());
    looks.mockResolvedValueOnce({ way: 'stored', cacheStatus: 'hit' });
    const second = await fetch(relay.url('/f'));
    rest();
    const bodies = await Promise.all([first, second].map((response) => response.arrayBuffer()));
    expect(bodies.every((body) => BODY.equals(Buffer.from(body)))).toBe(true);
    expect(second.headers.get('cache-status')).toBe('httpfstream; fwd=uri-miss; stored; collapsed');
    expect(server.requests).toHaveLength(1);
  });

  test('is read in parts, and not at all by who has it', async () => {
    const fresh = { ...ETAG, 'Cache-Control': 'max-age=3600' };
    const { relay } = await pair((_request, socket) => say(socket, '200 OK', fresh, BODY));
    await bytesOf(relay.url('/f'));
    const part = await fetch(relay.url('/f'), { headers: { range: 'bytes=10-19', 'if-range': '"one"' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 10-19/${SIZE}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(BODY.subarray(10, 20))).toBe(true);
    const other = await fetch(relay.url('/f'), { headers: { range: 'bytes=10-19', 'if-range': '"two"' } });
    expect(other.status).toBe(200);
    await other.arrayBuffer();
    const known = await fetch(relay.url('/f'), { headers: { 'if-none-match': 'W/"one"' } });
    expect(known.status).toBe(304);
    const head = await fetch(relay.url('/f'), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(SIZE)]);
  });

  test('is asked for again when it is stale: what holds still is not fetched, what has changed is', async () => {
    let etag = '"one"';
    let body = BODY;
    const { server, relay } = await pair(({ headers }, socket) => {
      if (headers['if-none-match'] === etag) socket.write(headOf('304 Not Modified', { ETag: etag }));
      else say(socket, '200 OK', { ETag: etag, 'Cache-Control': 'no-cache' }, body);
    });
    await bytesOf(relay.url('/f'));
    await waitFor(async () => {
      expect((await bytesOf(relay.url('/f'))).equals(BODY)).toBe(true);
      return server.requests.length === 2;
    }, 'it to be asked for again');
    expect(server.requests[1]?.headers['if-none-match']).toBe('"one"');
    etag = '"two"';
    body = pattern(7, SIZE);
    await waitFor(async () => (await bytesOf(relay.url('/f'))).equals(body), 'the new one');
    expect((await readFile(path.join(relay.root, 'f'))).equals(body)).toBe(true);
  });

  test('is fresh for as long as it says, over restarts, and without the upstream', async () => {
    const server = await ScriptedServer.start((_request, socket) =>
      say(socket, '200 OK', { ...ETAG, 'Cache-Control': 'max-age=60' }, BODY),
    );
    const relay = await InProcessServer.start({ upstreams: [server.url] });
    await bytesOf(relay.url('/f'));
    server.script = (_request, socket) => socket.destroy();
    await relay.restart();
    const response = await fetch(relay.url('/f'));
    expect(response.headers.get('cache-status')).toBe('httpfstream; hit');
    expect(Buffer.from(await response.arrayBuffer()).equals(BODY)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });
});

describe('what is not to be kept', () => {
  test.each<[string, string, Record<string, string | number>, Buffer]>([
    ['no-store', '200 OK', { 'Cache-Control': 'no-store', 'Content-Length': 4 }, Buffer.from('body')],
    ['private', '200 OK', { 'Cache-Control': 'private', 'Content-Length': 4 }, Buffer.from('body')],
    ['another one for others', '200 OK', { Vary: 'Cookie', 'Content-Length': 4 }, Buffer.from('body')],
    ['without an end of its own', '200 OK', { Connection: 'close' }, Buffer.from('body')],
    [
      'coded though that was not asked for',
      '200 OK',
      { 'Content-Encoding': 'gzip', 'Content-Length': gzipSync('body').length },
      gzipSync('body'),
    ],
    ['an error', '500 No', { 'Content-Length': 4 }, Buffer.from('body')],
  ])('%s: it is passed on to each, and is never on the disk', async (_name, status, headers, body) => {
    const { server, relay } = await pair((_request, socket) => {
      socket.write(headOf(status, { 'X-Own': 'yes', ...headers }));
      if (headers['Content-Length'] === undefined) socket.end(body);
      else socket.write(body);
    });
    const isError = status !== '200 OK';
    for (const forwarded of ['uri-miss', isError ? 'uri-miss' : 'bypass']) {
      const response = await fetch(relay.url('/f'));
      expect([response.status, response.headers.get('x-own')]).toEqual([Number.parseInt(status, 10), 'yes']);
      expect(response.headers.get('cache-status')).toBe(`httpfstream; fwd=${forwarded}`);
      expect(await response.text()).toBe('body');
    }
    // The answer by which it was found out is the answer to who has asked.
    expect(server.requests).toHaveLength(2);
    expect(await isThere(path.join(relay.root, 'f'))).toBe(false);
  });

  test('what is asked for by somebody, or with a query, is for nobody else', async () => {
    const { server, relay } = await pair(({ line }, socket) => say(socket, '200 OK', ETAG, line));
    expect(String(await bytesOf(relay.url('/f?user=1')))).toBe('GET /f?user=1');
    expect(String(await bytesOf(relay.url('/f'), { headers: { cookie: 'a=b' } }))).toBe('GET /f');
    expect(await isThere(path.join(relay.root, 'f'))).toBe(false);
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    ['raw=true', '?raw=true'],
    ['view=parallel', '?view=parallel'],
    ['raw&x=1', '?x=1'],
    ['x=%72aw&raw=', '?x=%72aw'],
    ['raw', ''],
    ['', ''],
  ])('of the query ?%s it is asked %j: the rest was for the relay', async (query, passed) => {
    const { server, relay } = await pair(({ line }, socket) => say(socket, '200 OK', ETAG, line));
    // From then on it is known what it is.
    await bytesOf(relay.url('/before'));
    await bytesOf(relay.url(`/f?${query}`));
    expect(server.requests.at(-1)?.line).toBe(`GET /f${passed}`);
    // What it answers to a query of its own is for that only.
    expect(await isThere(path.join(relay.root, 'f'))).toBe(passed === '');
  });

  test('without pages a browser is what everybody else is: nothing is asked for it alone', async () => {
    const { server, relay } = await pair((_, socket) => say(socket, '200 OK', {}, 'list'), { viewer: false });
    const headers = { 'sec-fetch-dest': 'document', accept: 'text/html' };
    expect(String(await bytesOf(relay.url('/d/'), { headers }))).toBe('list');
    await bytesOf(relay.url('/d/'), { headers });
    expect(server.requests).toHaveLength(2);
  });

  test('a redirect, which is for the client to follow', async () => {
    const { server, relay } = await pair((_request, socket) =>
      say(socket, '302 Found', { Location: `${server.url}/elsewhere` }, ''),
    );
    const response = await fetch(relay.url('/f'), { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, relay.url('/elsewhere')]);
  });

  test('nothing is written by way of a relay, and what is here is dropped', async () => {
    const { server, relay } = await pair((_request, socket) =>
      say(socket, '200 OK', { ...ETAG, 'Cache-Control': 'max-age=60' }, BODY),
    );
    await bytesOf(relay.url('/f'));
    for (const method of ['PUT', 'POST']) {
      expect((await fetch(relay.url('/f'), { method, body: 'x' })).status).toBe(405);
    }
    expect((await fetch(relay.url('/f'), { method: 'DELETE' })).status).toBe(204);
    // What was still becoming whole goes after that.
    await waitForRemoval(path.join(relay.root, 'f'));
    expect(server.requests.map(({ line }) => line)).toEqual(['GET /f']);
    await bytesOf(relay.url('/f'));
    expect(server.requests).toHaveLength(2);
  });
});

describe('what is cut', () => {
  /** Sends so many bytes of the body from where it is asked for, and resets the connection. */
  const cutAfter =
    (count: number, headers: Record<string, string> = ETAG): Script =>
    (request, socket) => {
      const start = rangeStart(request);
      const head =
        start === 0
          ? headOf('200 OK', { 'Content-Length': SIZE, ...headers })
          : headOf('206 Partial Content', {
              'Content-Length': SIZE - start,
              'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}`,
              ...headers,
            });
      socket.write(head);
      const end = Math.min(SIZE, start + count);
      socket.write(BODY.subarray(start, end), () => end < SIZE && socket.destroySoon());
    };

  test('is gone on with, and nobody notices', async () => {
    const { server, relay } = await pair(cutAfter(80_000));
    const readers = await Promise.all([bytesOf(relay.url('/f')), bytesOf(relay.url('/f'))]);
    expect(readers.every((bytes) => bytes.equals(BODY))).toBe(true);
    // Node 22 and later drop what has come of an answer that breaks before anybody reads it.
    const ranges = server.requests
      .map(({ headers }) => headers.range)
      .filter((range) => range !== 'bytes=0-');
    expect(ranges).toEqual([undefined, 'bytes=80000-', 'bytes=160000-', 'bytes=240000-']);
    expect(server.requests.at(-1)?.headers['if-range']).toBe('"one"');
  });

  test.each<[string, Script]>([
    ['nothing says which bytes they are', cutAfter(80_000, {})],
    ['they are told apart only weakly', cutAfter(80_000, { ETag: 'W/"one"' })],
    [
      'it has changed meanwhile',
      (request, socket) => {
        if (request.number === 0) cutAfter(80_000)(request, socket);
        else say(socket, '200 OK', { ETag: '"two"' }, pattern(7, SIZE));
      },
    ],
    [
      'the part is another one',
      (request, socket) => {
        if (request.number === 0) cutAfter(80_000)(request, socket);
        else {
          const range = `bytes 70000-${SIZE - 1}/${SIZE}`;
          say(socket, '206 Partial Content', { ...ETAG, 'Content-Range': range }, BODY.subarray(70_000));
        }
      },
    ],
    [
      'a chunk is malformed',
      (_request, socket) => {
        socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked' }));
        socket.write(chunked(BODY.subarray(0, 100_000)).subarray(0, -'0\r\n\r\n'.length));
        socket.write('what\r\n');
      },
    ],
    [
      'the last chunk is missing',
      (_request, socket) => {
        socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked' }));
        socket.end(chunked(BODY).subarray(0, -'0\r\n\r\n'.length));
      },
    ],
  ])('breaks for its readers when %s', async (_name, script) => {
    const { relay } = await pair(script);
    const [one, other] = await Promise.allSettled([bytesOf(relay.url('/f')), bytesOf(relay.url('/f'))]);
    expect([one.status, other.status]).toEqual(['rejected', 'rejected']);
  });

  test('is not kept either when more comes than was told', async () => {
    const { server, relay } = await pair((_request, socket) => {
      socket.write(headOf('200 OK', { 'Content-Length': SIZE - 1, 'Cache-Control': 'max-age=60' }));
      socket.end(BODY);
    });
    await bytesOf(relay.url('/f')).catch(() => undefined);
    await waitForRemoval(path.join(relay.root, 'f'));
    await waitFor(async () => {
      await bytesOf(relay.url('/f')).catch(() => undefined);
      return server.requests.length === 2;
    }, 'it to be asked for again');
  });

  test('a server that ignores ranges is skipped through, when it has the same bytes', async () => {
    const { server, relay } = await pair((request, socket) => {
      if (request.number === 0) cutAfter(80_000)(request, socket);
      else say(socket, '200 OK', ETAG, BODY);
    });
    expect((await bytesOf(relay.url('/f'))).equals(BODY)).toBe(true);
    expect(server.requests).toHaveLength(2);
  });

  test('is a part also for the next server, which goes on with it', async () => {
    let isCut = true;
    const server = await ScriptedServer.start((request, socket) => {
      if (isCut) {
        socket.write(headOf('200 OK', { 'Content-Length': SIZE, ...ETAG }));
        socket.write(BODY.subarray(0, 100_000));
      } else cutAfter(SIZE)(request, socket);
    });
    const relay = await InProcessServer.start({ upstreams: [server.url] });
    const request = http.get(relay.url('/f'), { agent: false }).on('error', () => undefined);
    await waitFor(
      () =>
        stat(path.join(relay.root, 'f')).then(
          ({ size }) => size === 100_000,
          () => false,
        ),
      'the first part',
    );
    request.destroy();
    await relay.restart();
    isCut = false;
    expect((await bytesOf(relay.url('/f'))).equals(BODY)).toBe(true);
    expect(server.requests.at(-1)?.headers).toMatchObject({ range: 'bytes=100000-', 'if-range': '"one"' });
  });

  test('a part that is here is no answer while the server is away', async () => {
    const { server, relay } = await pair(cutAfter(80_000, {}));
    await expect(bytesOf(relay.url('/f'))).rejects.toThrow();
    server.script = (_request, socket) => socket.destroy();
    expect((await fetch(relay.url('/f'))).status).toBe(502);
  });
});

test('a hundred who ask for what is not there cost one request', async () => {
  const { server, relay } = await pair((_request, socket) => say(socket, '404 Not Found', {}, 'nothing'));
  const answers = await Promise.all(Array.from({ length: 100 }, () => fetch(relay.url('/none'))));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
  expect(server.requests).toHaveLength(1);
});

test('a hint before the answer is none', async () => {
  const { relay } = await pair((_request, socket) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n');
    say(socket, '200 OK', ETAG, BODY);
  });
  expect((await bytesOf(relay.url('/f'))).equals(BODY)).toBe(true);
});

test('one who goes is no matter to what is kept', async () => {
  const { relay } = await pair((_request, socket) => say(socket, '200 OK', ETAG, BODY));
  const request = http.get(relay.url('/f'), { agent: false }).on('error', () => undefined);
  await new Promise((resolve) => request.once('response', resolve));
  request.destroy();
  await waitFor(
    () =>
      readFile(path.join(relay.root, 'f')).then(
        (bytes) => bytes.equals(BODY),
        () => false,
      ),
    'all of it',
  );
});
