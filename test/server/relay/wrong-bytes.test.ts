import http from 'node:http';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
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
import { isThere, waitFor, waitForRemoval, waitForSize } from '../../support/wait-for.ts';

/** Longer than what is served only when all of it is here. */
const SIZE = 200_000;

const BODY = pattern(0, SIZE);

const OTHER = pattern(7, SIZE);

const FRESH = { 'Cache-Control': 'max-age=600' };

const STALE = { 'Cache-Control': 'max-age=0' };

const ETAG = { ETag: '"one"' };

const dateBefore = (ms: number) => new Date(Date.now() - ms).toUTCString();

const OLD = dateBefore(3_600_000);

async function pair(script: Script) {
  const server = await ScriptedServer.start(script);
  const relay = await startRelay(server.url);
  return { server, relay };
}

/** Rejects when it is not all, and when it is an error. */
async function bytesOf(url: string): Promise<Buffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/** The first part of the body, in one chunk, and a cut. */
const chunkedHalf =
  (headers: Record<string, string> = ETAG): Script =>
  (_request, socket) => {
    socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked', ...FRESH, ...headers }));
    const [chunk] = [chunked(BODY.subarray(0, 100_000)).subarray(0, -'0\r\n\r\n'.length)];
    socket.write(chunk, () => socket.destroySoon());
  };

/** The first part of the body with its length, and a cut. */
const half =
  (headers: Record<string, string> = ETAG): Script =>
  (_request, socket) => {
    socket.write(headOf('200 OK', { 'Content-Length': SIZE, ...FRESH, ...headers }));
    socket.write(BODY.subarray(0, 100_000), () => socket.destroySoon());
  };

/** The first answer, and then others. */
const first =
  (one: Script, others: Script): Script =>
  (request, socket) =>
    (request.number === 0 ? one : others)(request, socket);

/** A part, in chunks, of what it says. */
const part =
  (range: (start: number) => string, body: (start: number) => Buffer, headers: object = ETAG): Script =>
  (request, socket) => {
    const start = rangeStart(request);
    socket.write(
      headOf('206 Partial Content', {
        'Transfer-Encoding': 'chunked',
        'Content-Range': `bytes ${range(start)}`,
        ...headers,
      }),
    );
    socket.write(chunked(body(start)));
  };

const rest = (start: number) => `${start}-${SIZE - 1}/${SIZE}`;

describe('what is stitched together is one body', () => {
  test.each<[string, Script]>([
    [
      'a part has fewer bytes than it says',
      first(
        chunkedHalf(),
        part(rest, (start) => BODY.subarray(start, start + 40)),
      ),
    ],
    [
      'a part has more bytes than it says',
      first(
        chunkedHalf(),
        part(
          (start) => `${start}-${start + 99}/${start + 100}`,
          (start) => BODY.subarray(start, start + 700),
        ),
      ),
    ],
    [
      'another part is of something longer',
      first(chunkedHalf(), (request, socket) => {
        const start = rangeStart(request);
        const size = request.number === 1 ? 150_000 : SIZE;
        const range = `bytes ${start}-${size - 1}/${size}`;
        socket.write(
          headOf('206 Partial Content', { 'Content-Length': size - start, 'Content-Range': range, ...ETAG }),
        );
        const end = request.number === 1 ? start + 10_000 : size;
        socket.write(BODY.subarray(start, end), () => request.number === 1 && socket.destroySoon());
      }),
    ],
    [
      'the part was changed at another time',
      first(
        half({ 'Last-Modified': OLD }),
        part(rest, (start) => OTHER.subarray(start), { 'Last-Modified': dateBefore(1_800_000) }),
      ),
    ],
    [
      'the part does not say when it was changed',
      first(
        half({ 'Last-Modified': OLD }),
        part(rest, (start) => OTHER.subarray(start), {}),
      ),
    ],
    [
      'all of it comes again, of which only a date tells what it is',
      first(half({ 'Last-Modified': OLD }), (_request, socket) =>
        say(socket, '200 OK', { 'Last-Modified': OLD }, OTHER),
      ),
    ],
    [
      'all of it comes again, and is longer',
      first(half(), (_request, socket) =>
        say(socket, '200 OK', ETAG, Buffer.concat([BODY, Buffer.from('more')])),
      ),
    ],
  ])('%s: it breaks for its readers', async (_name, script) => {
    const { relay } = await pair(script);
    await expect(bytesOf(relay.url('/f'))).rejects.toThrow();
  });

  test('a part that is not what it says takes all with it that is here', async () => {
    const lie = part(rest, (start) => OTHER.subarray(start, start + 40));
    const { relay } = await pair(first(chunkedHalf(), lie));
    await expect(bytesOf(relay.url('/f'))).rejects.toThrow();
    await waitForRemoval(path.join(relay.root, 'f'));
  });

  test('a date is enough when each part has it', async () => {
    const dated = { 'Last-Modified': OLD };
    const { relay } = await pair(
      first(
        half(dated),
        part(rest, (start) => BODY.subarray(start), dated),
      ),
    );
    expect((await bytesOf(relay.url('/f'))).equals(BODY)).toBe(true);
  });

  test.each<[string, (start: number) => string, (start: number) => Buffer]>([
    ['a part', (start) => `${start}-149999/150000`, (start) => OTHER.subarray(start, 150_000)],
    ['all', () => '', () => OTHER.subarray(0, 150_000)],
  ])('after a restart, %s of something shorter is of something else', async (_name, range, body) => {
    const server = await ScriptedServer.start((_request, socket) => {
      socket.write(headOf('200 OK', { 'Content-Length': SIZE, ...ETAG }));
      socket.write(BODY.subarray(0, 100_000));
    });
    const relay = await InProcessServer.start({ upstreams: [server.url] });
    const request = http.get(relay.url('/f'), { agent: false }).on('error', () => undefined);
    await waitForSize(path.join(relay.root, 'f'), 100_000);
    request.destroy();
    await relay.restart();
    server.script = (asked, socket) => {
      const start = rangeStart(asked);
      if (start === 0 || range(start) === '') say(socket, '200 OK', ETAG, OTHER.subarray(0, 150_000));
      else part(range, body)(asked, socket);
    };
    const bytes = await bytesOf(relay.url('/f')).catch(() => undefined);
    if (bytes !== undefined) expect(bytes.equals(OTHER.subarray(0, 150_000))).toBe(true);
    await waitFor(async () => {
      const again = await bytesOf(relay.url('/f')).catch(() => undefined);
      return again?.equals(OTHER.subarray(0, 150_000)) === true;
    }, 'all of what is there');
  });
});

test('what is framed by another coding than chunks is not kept', async () => {
  const { server, relay } = await pair((_request, socket) => {
    socket.write(headOf('200 OK', { 'Transfer-Encoding': 'x-own', ...FRESH, ...ETAG }));
    socket.end(BODY.subarray(0, 100_000));
  });
  await bytesOf(relay.url('/f')).catch(() => undefined);
  await bytesOf(relay.url('/f')).catch(() => undefined);
  expect(await isThere(path.join(relay.root, 'f'))).toBe(false);
  expect(server.requests.length).toBeGreaterThanOrEqual(2);
});

describe('what came with a cookie', () => {
  test('is for nobody else', async () => {
    const { server, relay } = await pair((_request, socket) =>
      say(socket, '200 OK', { ...FRESH, 'Set-Cookie': 'user=alice' }, 'alice'),
    );
    await bytesOf(relay.url('/f'));
    const before = server.requests.length;
    await bytesOf(relay.url('/f'));
    expect(server.requests.length).toBe(before + 1);
    expect(await isThere(path.join(relay.root, 'f'))).toBe(false);
  });

  test('is for all when that is said', async () => {
    const { server, relay } = await pair((_request, socket) =>
      say(
        socket,
        '200 OK',
        { 'Cache-Control': 'public, max-age=600', 'Set-Cookie': 'user=alice' },
        'for all',
      ),
    );
    expect(String(await bytesOf(relay.url('/f')))).toBe('for all');
    expect(String(await bytesOf(relay.url('/f')))).toBe('for all');
    expect(server.requests).toHaveLength(1);
  });
});

describe('what is kept', () => {
  test('of one server is not what another one has at the same path', async () => {
    const [one, other] = await Promise.all(
      ['one', 'other'].map((body) =>
        ScriptedServer.start(({ headers }, socket) => {
          if (headers['if-none-match'] === '"one"') socket.write(headOf('304 Not Modified', ETAG));
          else say(socket, '200 OK', { ...ETAG, ...FRESH }, body);
        }),
      ),
    );
    const relay = await InProcessServer.start({ upstreams: [one?.url as string] });
    expect(String(await bytesOf(relay.url('/f')))).toBe('one');
    await relay.stop();
    const next = new InProcessServer(relay.root, { upstreams: [other?.url as string] });
    await next.start();
    try {
      expect(String(await bytesOf(next.url('/f')))).toBe('other');
    } finally {
      await next.stop();
    }
  });

  test('of an httpfstream server is not what another one has at the same path, also when that is away', async () => {
    const one = await startRelay('http://127.0.0.1:9', { upstreams: [] });
    await fetch(one.url('/f?verb=APPEND'), { method: 'POST', body: 'one' });
    const relay = await InProcessServer.start({ upstreams: [one.url('')] });
    expect(String(await bytesOf(relay.url('/f')))).toBe('one');
    await relay.stop();
    const away = await ScriptedServer.start((_request, socket) => socket.destroy());
    const next = new InProcessServer(relay.root, { upstreams: [away.url] });
    await next.start();
    try {
      expect((await fetch(next.url('/f'))).status).toBe(502);
    } finally {
      await next.stop();
    }
  });

  test('does not hold because something else holds', async () => {
    let body = 'one';
    const { relay } = await pair(({ headers }, socket) => {
      if (headers['if-none-match'] !== undefined) socket.write(headOf('304 Not Modified', { ETag: '"two"' }));
      else say(socket, '200 OK', { ETag: `"${body}"`, 'Cache-Control': 'no-cache' }, body);
    });
    expect(String(await bytesOf(relay.url('/f')))).toBe('one');
    body = 'two';
    await waitFor(async () => String(await bytesOf(relay.url('/f'))) === 'two', 'what is there');
  });

  test.each([
    '429 Too Many Requests',
    '403 Forbidden',
    '401 Unauthorized',
    '302 Found',
    '503 Service Unavailable',
  ])('stays when the server answers %s for once', async (status) => {
    let isWell = true;
    const { server, relay } = await pair(({ headers }, socket) => {
      if (!isWell) say(socket, status, { Location: '/login' }, 'not now');
      else if (headers['if-none-match'] === '"one"') socket.write(headOf('304 Not Modified', ETAG));
      else say(socket, '200 OK', { ...ETAG, ...STALE }, BODY);
    });
    await bytesOf(relay.url('/f'));
    isWell = false;
    await waitFor(async () => {
      await fetch(relay.url('/f'), { redirect: 'manual' }).then((response) => response.arrayBuffer());
      return server.requests.length > 1;
    }, 'it to be asked for again');
    expect(await isThere(path.join(relay.root, 'f'))).toBe(true);
    isWell = true;
    await waitFor(
      async () =>
        (await bytesOf(relay.url('/f')).catch(() => undefined))?.equals(BODY) === true &&
        server.requests.at(-1)?.headers['if-none-match'] === '"one"',
      'it to be found to hold',
    );
  });

  test.each(['while the relay runs', 'over a restart of it'])(
    'of an httpfstream server stays when what is in front of that answers in its place, %s',
    async (when) => {
      const origin = await startRelay('http://127.0.0.1:9', { upstreams: [] });
      await fetch(origin.url('/f?verb=APPEND'), { method: 'POST', body: 'one' });
      const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
      expect(String(await bytesOf(relay.url('/f')))).toBe('one');
      const { port } = new URL(origin.url(''));
      const isRestarted = when === 'over a restart of it';
      if (isRestarted) await relay.stop();
      await origin.app.close();
      const front = await ScriptedServer.start(
        (_request, socket) => say(socket, '200 OK', FRESH, 'down for maintenance'),
        Number(port),
      );
      if (isRestarted) await relay.start();
      await waitFor(async () => {
        expect(String(await bytesOf(relay.url('/f')))).toBe('one');
        return front.requests.length > 0;
      }, 'it to be asked for again');
      // Nor is it what others ask for, and nothing is written to it.
      expect(String(await bytesOf(relay.url('/other')))).toBe('down for maintenance');
      expect(await isThere(path.join(relay.root, 'other'))).toBe(false);
      const written = await fetch(relay.url('/other'), { method: 'PUT', body: 'two' });
      expect([written.status, written.headers.get('retry-after')]).toEqual([503, '1']);
      expect(front.requests.some(({ line }) => line.startsWith('PUT'))).toBe(false);
    },
  );
});
