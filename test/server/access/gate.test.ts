import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import cors from '@fastify/cors';
import Fastify, { type FastifyServerOptions } from 'fastify';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { HANDSHAKE, openSocket, parseAnswer, readHead } from '../../support/http/raw.ts';
import { lendReserve } from '../../support/server/reserves.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';

type Settings = Partial<HttpfstreamOptions> & { prefix?: string; fastify?: FastifyServerOptions };

/** Starts a server with a file `f`. */
async function start({ fastify = {}, ...options }: Settings = {}) {
  const root = await temporaryDirectory();
  await lendReserve(root);
  await writeFile(path.join(root, 'f'), 'secret');
  const app = Fastify(fastify);
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root });
  const { port } = await listen(app);
  return { root, ask: askAt(port) };
}

/** Resolves with the head of the first answer to a head that is sent as it is. */
function askAt(port: number) {
  return async (requestLine: string, ...headers: string[]) => {
    const socket = await openSocket(port);
    socket.write([requestLine, ...headers, '', ''].join('\r\n'));
    return parseAnswer(await readHead(socket));
  };
}

/** For what is refused, or reads `f`. */
const common = serverForAll();
beforeAll(() => writeFile(path.join(common.whole.root, 'f'), 'secret'));

/** As {@link start}, for who changes nothing. */
function look() {
  const { root, port } = common.whole;
  return { root, ask: askAt(port) };
}

const GET = 'GET /f HTTP/1.1';

describe('Host', () => {
  it.each([
    'Host: x',
    'Host: localhost',
    'Host: app.localhost:8080',
    'Host: 127.0.0.1:8080',
    'host: [::1]:8080',
    'Host: LOGS.Test.',
    'Host: printer.local',
  ])('is served as "%s"', async (host) => {
    const { ask } = look();
    expect((await ask(GET, host)).status).toBe(200);
  });

  it.each([
    ['a read', GET, []],
    ['a HEAD', 'HEAD /f HTTP/1.1', []],
    ['a listing', 'GET / HTTP/1.1', []],
    ['what follows', 'GET /f?verb=FOLLOW HTTP/1.1', []],
    ['events', 'GET /f?offset=-1&live=sse HTTP/1.1', []],
    ['a deletion', 'DELETE /f HTTP/1.1', []],
    ['an append', 'PUT /new?verb=APPEND HTTP/1.1', ['Content-Length: 1']],
    ['a new stream', 'PUT /new HTTP/1.1', ['Content-Length: 1']],
    [
      'a preflight',
      'OPTIONS /f HTTP/1.1',
      ['Origin: http://evil.example', 'Access-Control-Request-Method: GET'],
    ],
    ['a handshake to follow', 'GET /f HTTP/1.1', HANDSHAKE],
    ['a handshake to append', 'GET /new?verb=APPEND HTTP/1.1', HANDSHAKE],
    ['a method that there is not', 'PATCH /f HTTP/1.1', []],
    ['a request that offers HTTP/2', GET, ['Upgrade: h2c', 'Connection: upgrade']],
  ])('of nobody here: %s is 421, with a line that names the option', async (_what, requestLine, headers) => {
    const { ask, root } = look();
    const answer = await ask(requestLine, 'Host: Evil.Example:8080', 'Accept: text/plain', ...headers);
    expect(answer.status).toBe(421);
    if (!requestLine.startsWith('HEAD')) expect(answer.body).toMatch(/^[^\n]*-allow-host evil\.example\n$/);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(await readFile(path.join(root, 'f'), 'utf8')).toBe('secret');
    expect(await readdir(root)).not.toContain('new');
  });

  it('has a code of its own when it is nobody here', async () => {
    const { ask } = look();
    expect(JSON.parse((await ask(GET, 'Host: evil.example')).body)).toMatchObject({
      status: 421,
      code: 'HFS_UNKNOWN_HOST',
    });
  });

  it('may be missing in HTTP/1.0 and in nothing else', async () => {
    const { ask } = look();
    expect((await ask('GET /f HTTP/1.0')).status).toBe(200);
    expect((await ask('GET /f HTTP/1.0', 'Host:')).status).toBe(200);
    expect((await ask('GET /f HTTP/1.0', 'Host: evil.example')).status).toBe(421);
    expect((await ask(GET)).status).toBe(400);
    expect((await ask(GET, 'Host:')).status).toBe(400);
    expect((await ask(GET, ...HANDSHAKE)).status).toBe(400);
  });

  it.each([
    ['x', 'x'],
    ['x', 'y'],
    ['evil.example', 'x'],
    ['x', 'evil.example'],
  ])('is 400 when it comes twice (%s, %s), also of a handshake', async (first, second) => {
    const { ask } = look();
    const hosts = [`Host: ${first}`, `host: ${second}`];
    expect((await ask(GET, ...hosts)).status).toBe(400);
    expect((await ask('GET /n?verb=APPEND HTTP/1.1', ...hosts, ...HANDSHAKE)).status).toBe(400);
    expect((await ask('GET /f HTTP/1.0', ...hosts)).status).toBe(400);
  });

  it.each(['me@x', 'x/y', 'a,b', 'a b', 'x:port', '[::1', 'http://x'])('"%s" is 400', async (host) => {
    const { ask } = look();
    expect((await ask(GET, `Host: ${host}`)).status).toBe(400);
  });

  it('is that of the request line when that has one', async () => {
    const { ask } = look();
    expect((await ask('GET http://x/f HTTP/1.1', 'Host: evil.example')).status).toBe(200);
    expect((await ask('GET http://evil.example/f HTTP/1.1', 'Host: x')).status).toBe(421);
    expect((await ask('GET http://me:secret@x/f HTTP/1.1', 'Host: x')).status).toBe(400);
  });

  it('is served under the names that are allowed', async () => {
    const { ask } = await start({ allowedHosts: ['logs.example.com', '*.example.org'] });
    for (const host of ['logs.example.com', 'LOGS.example.com.:8080', 'a.example.org', 'x']) {
      expect((await ask(GET, `Host: ${host}`)).status).toBe(200);
    }
    expect((await ask(GET, 'Host: example.org')).status).toBe(421);
  });
});

const OTHERS = [
  'http://evil.example',
  'https://evil.example:8080',
  'http://x:8081',
  'http://x',
  'http://y:8080',
  'null',
  '',
  'x:8080',
  'ws://x:8080',
  'chrome-extension://x:8080',
  'http://x:8080, http://evil.example',
  'http://x:8080@evil.example',
  'http://evil.example/x:8080',
];

describe('a page of another origin', () => {
  it.each(OTHERS)('is refused as "%s", before anything is done', async (origin) => {
    const { ask, root } = look();
    const from = ['Host: x:8080', `Origin: ${origin}`];
    for (const [requestLine, ...headers] of [
      [GET],
      ['HEAD /f HTTP/1.1'],
      ['GET /missing HTTP/1.1'],
      ['GET / HTTP/1.1'],
      ['GET /f?verb=FOLLOW HTTP/1.1'],
      ['GET /f?offset=-1&live=sse HTTP/1.1'],
      ['GET /f?offset=now&live=long-poll HTTP/1.1'],
      ['DELETE /f HTTP/1.1'],
      ['PATCH /f HTTP/1.1'],
      ['PUT /new HTTP/1.1', 'Content-Length: 0'],
      ['POST /f HTTP/1.1', 'Content-Type: text/plain', 'Content-Length: 1'],
      ['POST /new?verb=APPEND HTTP/1.1', 'Content-Length: 1'],
      ['OPTIONS /f HTTP/1.1', 'Access-Control-Request-Method: DELETE'],
      [GET, ...HANDSHAKE],
      ['GET /new?verb=APPEND HTTP/1.1', ...HANDSHAKE],
      ['GET /new HTTP/1.1', 'X-Verb: APPEND', 'Sec-WebSocket-Protocol: httpfstream.v2', ...HANDSHAKE],
    ] as [string, ...string[]][]) {
      const answer = await ask(requestLine, ...from, ...headers);
      expect([requestLine, answer.status]).toEqual([requestLine, 403]);
      expect(answer.headers.vary).toBe('Origin');
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
    expect(await readdir(root)).toEqual(['.httpfstream', 'f']);
    expect(await readFile(path.join(root, 'f'), 'utf8')).toBe('secret');
  });

  it.each([
    ['http://x:8080', 'x:8080'],
    ['https://x:8080', 'X.:8080'],
    ['https://x', 'x'],
    ['https://x', 'x:443'],
    ['http://x', 'x:80'],
    ['http://[::1]:8080', '[::1]:8080'],
    ['http://127.0.0.1:8080', '127.0.0.1:8080'],
  ])('is none when it is %s, asked as %s', async (origin, host) => {
    const { ask } = await start();
    expect((await ask(GET, `Host: ${host}`, `Origin: ${origin}`)).status).toBe(200);
    const handshake = await ask(
      'GET /n?verb=APPEND HTTP/1.1',
      `Host: ${host}`,
      `Origin: ${origin}`,
      ...HANDSHAKE,
    );
    expect(handshake.status).toBe(101);
  });

  it('is told by a code of its own', async () => {
    const { ask } = look();
    const { body, headers } = await ask(GET, 'Host: x', 'Origin: null');
    expect(JSON.parse(body)).toMatchObject({ status: 403, code: 'HFS_FOREIGN_ORIGIN' });
    expect(headers['cache-control']).toBe('no-store');
  });

  it('may come in with -cors, and reads the answers', async () => {
    const { ask } = await start({ corsOrigins: ['https://app.example', 'null'] });
    for (const [i, origin] of ['https://app.example', 'null'].entries()) {
      const from = ['Host: x', `Origin: ${origin}`];
      expect((await ask(GET, ...from)).headers['access-control-allow-origin']).toBe(origin);
      expect((await ask(`GET /n${i}?verb=APPEND HTTP/1.1`, ...from, ...HANDSHAKE)).status).toBe(101);
      const preflight = await ask('OPTIONS /f HTTP/1.1', ...from, 'Access-Control-Request-Method: DELETE');
      expect(preflight.status).toBe(204);
      expect(preflight.headers['access-control-allow-methods']).toContain('DELETE');
      expect(preflight.headers['access-control-allow-headers']?.split(', ')).toEqual(
        expect.arrayContaining([
          'if-match',
          'if-modified-since',
          'if-none-match',
          'if-range',
          'if-unmodified-since',
          'last-event-id',
        ]),
      );
      expect(preflight.headers.allow).toContain('DELETE');
    }
    const refused = await ask(GET, 'Host: x', 'Origin: https://other.example');
    expect([refused.status, refused.headers.vary]).toEqual([403, 'Origin']);
    expect(refused.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('is allowed or not, others may ask what there is', async () => {
    for (const corsOrigins of [[], ['https://app.example']]) {
      const { ask } = await start({ corsOrigins });
      const { status, headers } = await ask('OPTIONS /f HTTP/1.1', 'Host: x');
      expect([status, headers.allow]).toEqual([204, 'DELETE, GET, HEAD, OPTIONS, POST, PUT']);
    }
  });

  it('may be any with *', async () => {
    const { ask } = await start({ corsOrigins: ['*'] });
    const answer = await ask(GET, 'Host: x', 'Origin: null');
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, '*']);
    expect((await ask(GET, 'Host: x', 'Sec-Fetch-Site: cross-site')).status).toBe(200);
  });

  it('gets no 100 Continue before it is refused', async () => {
    const { ask } = await start();
    const body = ['Expect: 100-continue', 'Content-Length: 4'];
    for (const line of ['PUT /new HTTP/1.1', 'POST /f HTTP/1.1', 'POST /new?verb=APPEND HTTP/1.1']) {
      expect((await ask(line, 'Host: x', 'Origin: http://evil.example', ...body)).status).toBe(403);
      expect((await ask(line, 'Host: evil.example', ...body)).status).toBe(421);
      expect((await ask(line, 'Host: x', 'Sec-Fetch-Site: cross-site', ...body)).status).toBe(403);
    }
    expect((await ask('PUT /new HTTP/1.1', 'Host: x', 'Origin: http://x', ...body)).status).toBe(100);
  });
});

describe('what a browser fetches', () => {
  const from = (site: string, mode: string, dest: string) => [
    'Host: localhost',
    `Sec-Fetch-Site: ${site}`,
    `Sec-Fetch-Mode: ${mode}`,
    `Sec-Fetch-Dest: ${dest}`,
  ];

  it.each(['cross-site', 'same-site', 'anything-else'])('for a page that is %s is refused', async (site) => {
    const { ask } = look();
    for (const [line, mode, dest] of [
      [GET, 'no-cors', 'image'],
      [GET, 'no-cors', 'script'],
      [GET, 'no-cors', 'style'],
      [GET, 'no-cors', 'video'],
      [GET, 'no-cors', 'empty'],
      [GET, 'navigate', 'iframe'],
      [GET, 'navigate', 'embed'],
      [GET, 'websocket', 'empty'],
      ['GET /f?verb=FOLLOW HTTP/1.1', 'no-cors', 'empty'],
      ['HEAD /f HTTP/1.1', 'navigate', 'document'],
      ['POST /f HTTP/1.1', 'navigate', 'document'],
      ['DELETE /f HTTP/1.1', 'navigate', 'document'],
    ] as const) {
      const answer = await ask(line, ...from(site, mode, dest));
      expect([line, mode, dest, answer.status]).toEqual([line, mode, dest, 403]);
    }
    const ahead = await ask(GET, ...from(site, 'navigate', 'document'), 'Sec-Purpose: prefetch');
    expect(ahead.status).toBe(403);
  });

  it('because somebody has followed a link is answered', async () => {
    const { ask } = look();
    expect((await ask(GET, ...from('cross-site', 'navigate', 'document'))).status).toBe(200);
    expect((await ask(GET, ...from('same-site', 'navigate', 'document'))).status).toBe(200);
  });

  it('for a page of the server, or for nobody, is answered', async () => {
    const { ask } = look();
    expect((await ask(GET, ...from('same-origin', 'no-cors', 'image'))).status).toBe(200);
    expect((await ask(GET, ...from('none', 'navigate', 'document'))).status).toBe(200);
  });

  it('for a page of an origin that is allowed is answered', async () => {
    const { ask } = await start({ corsOrigins: ['https://app.example'] });
    const headers = [...from('cross-site', 'cors', 'empty'), 'Origin: https://app.example'];
    expect((await ask(GET, ...headers)).status).toBe(200);
  });
});

describe('behind a proxy', () => {
  const FORWARDED = [
    'X-Forwarded-Host: logs.example.com',
    'X-Forwarded-Proto: https',
    'X-Forwarded-For: 192.0.2.7',
  ];
  const PUT = 'PUT /new HTTP/1.1';
  const EMPTY = 'Content-Type: text/plain';

  it.each([
    ['nobody is trusted', {}],
    ['somebody else is', { fastify: { trustProxy: ['192.0.2.1'] } }],
  ])('what it says has no effect when %s', async (_who, settings) => {
    const { ask } = await start(settings);
    const forwarded = [...FORWARDED, 'Forwarded: host=logs.example.com;proto=https'];
    const answer = await ask(PUT, 'Host: x:8080', EMPTY, ...forwarded);
    expect([answer.status, answer.headers.location]).toEqual([201, 'http://x:8080/new']);
    expect((await ask(GET, 'Host: x:8080', 'Origin: https://logs.example.com', ...forwarded)).status).toBe(
      403,
    );
    expect((await ask(GET, 'Host: evil.example', 'X-Forwarded-Host: x')).status).toBe(421);
  });

  it('that is trusted its word is the host, for names, origins and locations', async () => {
    const fastify = { trustProxy: ['loopback'] };
    const { ask } = await start({ fastify, allowedHosts: ['logs.example.com'] });
    const answer = await ask(PUT, 'Host: x:8080', EMPTY, ...FORWARDED);
    expect([answer.status, answer.headers.location]).toEqual([201, 'https://logs.example.com/new']);
    expect((await ask(GET, 'Host: x:8080', 'Origin: https://logs.example.com', ...FORWARDED)).status).toBe(
      200,
    );
    expect((await ask(GET, 'Host: x:8080', 'Origin: http://x:8080', ...FORWARDED)).status).toBe(403);
    expect((await ask(GET, 'Host: x:8080', 'X-Forwarded-Host: evil.example')).status).toBe(421);
    const absolute = 'GET http://a.test/f HTTP/1.1';
    expect((await ask(absolute, 'Host: x', 'X-Forwarded-Host: evil.example')).status).toBe(421);
    expect((await ask(absolute, 'Host: x', 'X-Forwarded-Host: logs.example.com')).status).toBe(200);
    expect((await ask('GET http://evil.example/f HTTP/1.1', 'Host: x')).status).toBe(421);
    expect((await ask(GET, 'Host: x:8080', 'X-Forwarded-Host: a b')).status).toBe(400);
    expect((await ask(GET, 'Host: backend.example', 'X-Forwarded-Host: logs.example.com')).status).toBe(200);
    expect((await ask(GET, 'Host: x:8080')).status).toBe(200);
    const body = ['Expect: 100-continue', 'Content-Length: 4'];
    expect((await ask(PUT, 'Host: x', 'X-Forwarded-Host: evil.example', ...body)).status).toBe(421);
  });
});

describe('in an application', () => {
  it('only what is below the prefix is looked at', async () => {
    const root = await temporaryDirectory();
    await mkdir(path.join(root, 'd'));
    const app = Fastify();
    app.put('/other', async () => 'taken');
    await app.register(httpfstream, { root, prefix: '/logs' });
    const { port } = await listen(app);
    const from = { host: 'example.com', origin: 'http://evil.example' };
    expect((await app.inject({ method: 'PUT', url: '/other', headers: from })).body).toBe('taken');
    expect((await app.inject({ method: 'GET', url: '/logs/d/', headers: from })).statusCode).toBe(421);
    const socket = await openSocket(port);
    socket.write(
      'PUT /other HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
    );
    expect(parseAnswer(await readHead(socket)).status).toBe(100);
  });

  it('that has CORS of its own, that one answers', async () => {
    const root = await temporaryDirectory();
    const app = Fastify();
    await app.register(cors, { origin: ['https://app.example'], exposedHeaders: ['etag'] });
    await app.register(httpfstream, { root, prefix: '/logs', corsOrigins: ['https://app.example'] });
    onTestFinished(() => app.close());
    const headers = { origin: 'https://app.example' };
    const answer = await app.inject({ method: 'GET', url: '/logs/', headers });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'etag',
    });
  });

  it('may be mounted twice, each time with its own pages', async () => {
    const app = Fastify();
    for (const name of ['one', 'two']) {
      const origin = `https://${name}.example`;
      await app.register(httpfstream, {
        root: await temporaryDirectory(),
        prefix: `/${name}`,
        corsOrigins: [origin],
      });
    }
    onTestFinished(() => app.close());
    const headers = { origin: 'https://one.example' };
    expect((await app.inject({ method: 'GET', url: '/one/', headers })).statusCode).toBe(200);
    expect((await app.inject({ method: 'GET', url: '/two/', headers })).statusCode).toBe(403);
  });
});
