import { execFileSync } from 'node:child_process';
import { chmod, link, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { asOrdinaryUser, giveToOrdinaryUser } from '../support/disk/ordinary-user.ts';
import { RESERVED, resourceNames } from '../support/disk/root-files.ts';
import {
  HANDSHAKE,
  openSocket,
  parseAnswer,
  type RawAnswer,
  rawGet,
  rawHandshake,
  rawRequest,
  readHead,
  readToEnd,
  writeHead,
} from '../support/http/raw.ts';
import { send } from '../support/http/request.ts';
import { makeDirectory } from '../support/server/reserves.ts';
import { startStandalone, type TestServer } from '../support/server/server.ts';
import { serverForAll, standaloneForAll } from '../support/server/server-for-all.ts';
import { waitFor } from '../support/wait-for.ts';
import { openAppender } from '../support/websocket/appends.ts';
import { Peer } from '../support/websocket/peer.ts';

const APPEND = 'X-Verb: APPEND';
const ALLOWED = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];
const PROBLEM = 'application/problem+json';
const HELLO_FRAME = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello')]);

/** One for all: a process for each test takes longer than the test. */
const fifo = makeDirectory('quick').then((directory) => {
  const name = path.join(directory, 'fifo');
  execFileSync('mkfifo', [name]);
  return name;
});

/** Puts in what the refusals of this page are about. */
async function furnish(server: TestServer): Promise<TestServer> {
  const at = (name: string) => path.join(server.root, name);
  await chmod(path.dirname(server.root), 0o755);
  await writeFile(at('f'), 'content');
  await mkdir(at('d'));
  await mkdir(at('locked'));
  await writeFile(at('locked/f'), '', { mode: 0o000 });
  await chmod(at('locked'), 0o555);
  await symlink('/etc', at('etc'));
  await link(await fifo, at('fifo'));
  return server;
}

/** The connection's end, or its silence, is part of the answer. */
async function answerToTheEnd(
  port: number,
  requestLine: string,
  headers: readonly string[],
): Promise<RawAnswer> {
  const socket = await openSocket(port);
  writeHead(socket, requestLine, headers);
  return parseAnswer(await readToEnd(socket));
}

const REFUSALS = [
  ['a malformed escape', 'GET /%zz', [], 400, 'HFS_INVALID_PATH'],
  ['a control character', 'GET /%00', [], 400, 'HFS_INVALID_PATH'],
  ['a long name', `GET /${'x'.repeat(256)}`, [], 400, 'HFS_INVALID_PATH'],
  ['a reserved path', 'GET /.httpfstream/x', [], 403, 'HFS_FORBIDDEN_PATH'],
  ['an append to a reserved path', 'GET /.httpfstream/x', [...HANDSHAKE, APPEND], 403, 'HFS_FORBIDDEN_PATH'],
  ['an append that leads out', 'GET /etc/x', [...HANDSHAKE, APPEND], 403, 'HFS_FORBIDDEN_PATH'],
  ['a second appender', 'GET /live', [...HANDSHAKE, APPEND], 403, 'HFS_APPEND_CONFLICT'],
  ['a missing file', 'GET /missing', [], 404, 'HFS_RESOURCE_NOT_FOUND'],
  ['a path below a file', 'GET /f/below', [], 404, 'HFS_RESOURCE_NOT_FOUND'],
  ['a read that leads out', 'GET /etc/passwd', [], 404, 'HFS_RESOURCE_NOT_FOUND'],
  ['a FIFO', 'GET /fifo', [], 404, 'HFS_RESOURCE_NOT_FOUND'],
  ['following a missing file', 'GET /missing', HANDSHAKE, 404, 'HFS_RESOURCE_NOT_FOUND'],
  ['another method', 'PATCH /f', [], 405, 'HFS_METHOD_NOT_ALLOWED'],
  ['another method with a handshake', 'POST /f', [...HANDSHAKE, APPEND], 405, 'HFS_METHOD_NOT_ALLOWED'],
  ['an append to a directory', 'GET /d', [...HANDSHAKE, APPEND], 409, 'HFS_PATH_CONFLICT'],
  ['an append below a file', 'GET /f/x', [...HANDSHAKE, APPEND], 409, 'HFS_PATH_CONFLICT'],
  ['an append without a handshake', 'GET /new', [APPEND], 426, 'HFS_UPGRADE_REQUIRED'],
  [
    'an append for which there is no right',
    'GET /locked/x',
    [...HANDSHAKE, APPEND],
    500,
    'HFS_STORAGE_ERROR',
  ],
  ['a file for which there is no right', 'GET /locked/f', [], 500, 'HFS_STORAGE_ERROR'],
] as const;

describe('the standalone server', () => {
  // None of the refusals changes what the next one is about.
  describe('whose files are all there', () => {
    const common = standaloneForAll();
    beforeAll(async () => {
      const server = await furnish(common.whole);
      await giveToOrdinaryUser(server.root);
      await giveToOrdinaryUser(path.join(server.root, RESERVED));
      const appender = await asOrdinaryUser(() => Peer.open(server.url('/live'), 'APPEND'));
      return () => appender.websocket.terminate();
    });

    it.each(REFUSALS)(
      'refuses %s in a way that people and programs understand',
      async (_what, line, headers, status, code) => {
        const server = common.whole;
        const ask = (accept: readonly string[]) =>
          asOrdinaryUser(() => rawRequest(server.port, `${line} HTTP/1.1`, [...headers, ...accept]));

        // What a handshake is refused with, people see in their terminal.
        const isHandshake = headers.includes(HANDSHAKE[0] as never);
        const undecided = [[], ['Accept: */*'], ['Accept: text/csv,*/*;q=0.8'], ['Accept: image/png']];
        const text = ['Accept: text/plain', 'Accept: text/plain, application/json;q=0.9'].map((line) => [
          line,
        ]);
        for (const accept of isHandshake ? [...undecided, ...text] : text) {
          const forPeople = await ask(accept);
          expect([accept, forPeople.status]).toEqual([accept, status]);
          expect(forPeople.headers).toMatchObject({
            'content-type': 'text/plain; charset=utf-8',
            'x-content-type-options': 'nosniff',
          });
          expect(forPeople.body).toMatch(/^[^\n]{8,}\n$/);
          expect(forPeople.body).not.toContain(server.root);
        }
        const json = ['application/json', PROBLEM, `${PROBLEM}, */*;q=0.5`].map((type) => [
          `Accept: ${type}`,
        ]);
        for (const accept of isHandshake ? json : [...undecided, ...json]) {
          const forPrograms = await ask(accept);
          expect([accept, forPrograms.status]).toEqual([accept, status]);
          expect(forPrograms.headers).toMatchObject({
            'content-type': PROBLEM,
            'x-content-type-options': 'nosniff',
          });
          expect(JSON.parse(forPrograms.body)).toMatchObject({
            status,
            code,
            detail: expect.stringMatching(/.{8,}/),
          });
          expect(forPrograms.body).not.toContain(server.root);
        }
        expect(await resourceNames(server.root)).toEqual(['d', 'etc', 'f', 'fifo', 'live', 'locked']);
      },
    );
  });

  it('shows no path when its root has gone, and works again when it is back', async () => {
    const server = await startStandalone();
    await rename(server.root, `${server.root}-gone`);
    for (const headers of [[], HANDSHAKE, [...HANDSHAKE, APPEND]]) {
      const { status, body } = await rawGet(server.port, '/f', headers);
      expect([403, 404, 500, 503]).toContain(status);
      expect(body).not.toContain(path.basename(path.dirname(server.root)));
    }
    await rename(`${server.root}-gone`, server.root);
    expect((await rawHandshake(server.port, '/f', [APPEND])).status).toBe(101);
  });

  it('answers 405 with Allow for every method that means nothing here', async () => {
    const { port, url } = await furnish(await startStandalone());
    const others = http.METHODS.filter((method) => ![...ALLOWED, 'CONNECT'].includes(method));
    for (const method of others) {
      for (const urlPath of ['/f', '/missing', '/', '/d/']) {
        const answer = await send(method, url(urlPath));
        expect([method, urlPath, answer.status, answer.headers.allow]).toEqual([
          method,
          urlPath,
          405,
          ALLOWED.join(', '),
        ]);
      }
      const asked = await rawRequest(port, `${method} /f HTTP/1.1`, [`Accept: ${PROBLEM}`]);
      expect(JSON.parse(asked.body).code).toBe('HFS_METHOD_NOT_ALLOWED');
    }
    expect((await rawRequest(port, 'OPTIONS * HTTP/1.1')).status).toBe(204);
  });

  it('refuses for every method first what comes for another host, or from a foreign page', async () => {
    const { port } = await startStandalone();
    for (const method of http.METHODS.filter((method) => method !== 'CONNECT')) {
      for (const [headers, status] of [
        [['Host: evil.example'], 421],
        [['Host: evil.example', 'Origin: http://evil.example'], 421],
        [['Host: x', 'Origin: http://evil.example'], 403],
        [[], 400],
      ] as const) {
        const socket = await openSocket(port);
        socket.write([`${method} / HTTP/1.1`, ...headers, '', ''].join('\r\n'));
        const answer = parseAnswer(await readHead(socket));
        expect([method, ...headers, answer.status]).toEqual([method, ...headers, status]);
        expect(answer.headers.connection === 'close').toBe(status === 400);
      }
    }
  });

  it('answers 405 to a method with a body, and takes the next request on the connection', async () => {
    const { port } = await furnish(await startStandalone());
    const socket = await openSocket(port);
    socket.write(
      'PATCH /f HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-unknown\r\nContent-Length: 5\r\n\r\nhello',
    );
    expect(parseAnswer(await readHead(socket)).status).toBe(405);
    writeHead(socket, 'GET /f HTTP/1.1', ['Connection: close']);
    expect(parseAnswer(await readToEnd(socket))).toMatchObject({ status: 200, body: 'content' });
  });

  it.each(['BREW /f HTTP/1.1', 'get /f HTTP/1.1', 'GET /f HTTP/9.9', 'nonsense'])(
    'answers 400 to what is no HTTP: %s',
    async (requestLine) => {
      const { port } = await furnish(await startStandalone());
      const answer = await answerToTheEnd(port, requestLine, []);
      expect(answer.status).toBe(400);
    },
  );

  it('closes the connection of a client that does not finish its request head', async () => {
    const { port } = await startStandalone();
    const startedAt = performance.now();
    const slow = async (head: string) => {
      const socket = await openSocket(port);
      socket.write(head);
      return readToEnd(socket);
    };
    const answers = await Promise.all([
      slow('GET /new HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upg'),
      slow('GET /new'),
      slow(''),
    ]);
    expect(performance.now() - startedAt).toBeGreaterThan(9000);
    expect(answers[0]?.toString()).toMatch(/^HTTP\/1\.1 408 /);
    expect(answers[1]?.toString()).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe.each([
  ['the standalone server', standaloneForAll],
  ['the plugin', serverForAll],
])('a handshake with %s', (_what, forAll) => {
  const common = forAll();
  const CLOSE = 'Connection: close';
  const without = (name: string) => HANDSHAKE.filter((header) => !header.startsWith(`${name}:`));

  it.each([
    ['without a key', [...without('Sec-WebSocket-Key')], 400],
    ['with a bad key', [...without('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: hello'], 400],
    ['with a short key', [...without('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: AAAA=='], 400],
    ['without a version', [...without('Sec-WebSocket-Version')], 400],
    ['of version 8', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 8'], 400],
    ['of version 14', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 14'], 400],
    ['for another protocol', [...without('Upgrade'), 'Upgrade: h2c'], 426],
    ['without Upgrade', [...without('Upgrade')], 426],
    ['without Connection', [...without('Connection')], 426],
  ])('%s is refused for an append, and nothing is made', async (_how, headers, status) => {
    const { port, root, path: at } = await common.guest();
    const socket = await openSocket(port);
    writeHead(socket, `GET ${at('/new/file')} HTTP/1.1`, [...headers, APPEND]);
    expect(parseAnswer(await readHead(socket)).status).toBe(status);
    expect(await resourceNames(root)).toEqual([]);
    expect((await rawHandshake(port, at('/new/file'), [APPEND])).status).toBe(101);
  });

  it.each([
    ['a body', ['Content-Length: 5'], 400],
    ['a body in chunks', ['Transfer-Encoding: chunked'], 400],
    ['a body that is coded twice', ['Transfer-Encoding: gzip, chunked'], 501],
    ['an expectation that nobody knows', ['Expect: foo'], 417],
  ])('with %s is refused before anything is opened', async (_how, headers, status) => {
    const { port, root, path: at } = await common.guest();
    for (const verb of [APPEND, 'X-Verb: FOLLOW', 'X-Verb:']) {
      for (const dialect of ['X: y', 'Sec-WebSocket-Protocol: httpfstream.v2']) {
        const answer = await rawHandshake(port, at('/new/file'), [...headers, verb, dialect]);
        expect([verb, dialect, answer.status]).toEqual([verb, dialect, status]);
        expect(answer.headers.connection).toBe('close');
      }
    }
    expect(await resourceNames(root)).toEqual([]);
    const emptied = ['Content-Length: 0', 'Expect: 100-continue', APPEND];
    expect((await rawHandshake(port, at('/new/file'), emptied)).status).toBe(101);
  });

  it.each([',', 'a b, c'])(
    'with malformed subprotocols is refused before anything is made, or they are ignored: %s',
    async (offer) => {
      const { port, root, path: at } = await common.guest();
      const { status } = await rawHandshake(port, at('/new/file'), [
        APPEND,
        `Sec-WebSocket-Protocol: ${offer}`,
      ]);
      if (status === 101) return;
      expect([status, await resourceNames(root)]).toEqual([400, []]);
    },
  );

  it('is told which version is right', async () => {
    const { port, path: at } = await common.guest();
    const answer = await rawGet(port, at('/new'), [
      ...without('Sec-WebSocket-Version'),
      'Sec-WebSocket-Version: 8',
      APPEND,
    ]);
    expect(answer.headers['sec-websocket-version']).toBe('13');
    const other = await rawRequest(port, `GET ${at('/?lines=1')} HTTP/1.1`);
    expect([other.status, other.headers['sec-websocket-version']]).toEqual([400, undefined]);
  });

  it.each([
    ['HEAD', [426]],
    ['POST', [405]],
    ['PUT', [405]],
    // An application answers methods that Fastify does not know in its own way.
    ['PROPFIND', [404, 405]],
  ])('by %s is refused, nothing is made, and the connection is closed', async (method, statuses) => {
    const { port, root, path: at } = await common.guest();
    const answer = await answerToTheEnd(port, `${method} ${at('/new')} HTTP/1.1`, [...HANDSHAKE, APPEND]);
    expect(statuses).toContain(answer.status);
    expect(await resourceNames(root)).toEqual([]);
  });

  it.each([
    ['a malformed escape', '/%zz', [], 400],
    ['a control character', '/%00', [], 400],
    ['a missing file', '/missing', [], 404],
    ['a conflict', '/', [APPEND], 409],
  ])('that is refused for %s has its connection closed', async (_what, urlPath, headers, status) => {
    const { port, path: at } = await common.guest();
    const answer = await answerToTheEnd(port, `GET ${at(urlPath)} HTTP/1.1`, [...HANDSHAKE, ...headers]);
    expect(answer.status).toBe(status);
  });

  it.each([
    ['an idle file, to follow', 'GET', HANDSHAKE],
    ['an idle file, with a bad key', 'GET', [...without('Sec-WebSocket-Key')]],
    ['an idle file, for h2c', 'GET', [...without('Upgrade'), 'Upgrade: h2c', CLOSE]],
    ['an idle file, for several protocols', 'GET', [...without('Upgrade'), 'Upgrade: h2c, TLS/1.0', CLOSE]],
    ['an idle file, by HEAD', 'HEAD', HANDSHAKE],
  ])('that is for %s, is answered plainly', async (_what, method, headers) => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f'), 'content');
    const answer = await answerToTheEnd(server.port, `${method} ${server.path('/f')} HTTP/1.1`, headers);
    expect([answer.status, answer.headers['content-length'], answer.headers.connection]).toEqual([
      200,
      '7',
      'close',
    ]);
    expect(answer.body).toBe(method === 'HEAD' ? '' : 'content');
  });

  it('that is for h2c is answered plainly while the file is being appended', async () => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    const answer = await answerToTheEnd(server.port, `GET ${server.path('/f')} HTTP/1.1`, [
      ...without('Upgrade'),
      'Upgrade: h2c',
      CLOSE,
    ]);
    expect([answer.status, answer.body]).toEqual([200, 'so far']);
  });

  it.each([
    ['without a key', [...without('Sec-WebSocket-Key')]],
    ['of version 8', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 8']],
  ])('to follow what is being appended is refused %s', async (_how, headers) => {
    const server = await common.guest();
    await openAppender(server, '/f', 'so far');
    expect((await rawGet(server.port, server.path('/f'), headers)).status).toBe(400);
  });

  it('is answered as the original client needs it, and no subprotocol or extension is accepted', async () => {
    const { port, path: at } = await common.guest();
    const offers = [
      'Sec-WebSocket-Protocol: chat, httpfstream.v9',
      'Sec-WebSocket-Extensions: permessage-deflate',
    ];
    const appender = await rawHandshake(port, at('/f'), [APPEND, ...offers]);
    const follower = await rawHandshake(port, at('/f'), offers);
    for (const { status, headers } of [appender, follower]) {
      expect(status).toBe(101);
      expect([headers.upgrade?.toLowerCase(), headers.connection?.toLowerCase()]).toEqual([
        'websocket',
        'upgrade',
      ]);
      expect(headers).not.toHaveProperty('sec-websocket-protocol');
      expect(headers).not.toHaveProperty('sec-websocket-extensions');
    }
  });

  it('takes frames that come in the same packet', async () => {
    const { port, root, path: at } = await common.guest();
    const socket = await openSocket(port);
    const head = [`GET ${at('/f')} HTTP/1.1`, 'Host: test', ...HANDSHAKE, APPEND, '', ''].join('\r\n');
    socket.write(Buffer.concat([Buffer.from(head), HELLO_FRAME]));
    expect(parseAnswer(await readHead(socket)).status).toBe(101);
    await waitFor(async () => (await rawGet(port, at('/f'))).body === 'hello', 'the bytes');
    expect(await resourceNames(root)).toEqual(['f']);
  });

  it('for a refused append leaves the resource free', async () => {
    const { port, path: at } = await common.guest();
    for (let i = 0; i < 5; i++) {
      await rawGet(port, at('/f'), [...without('Sec-WebSocket-Key'), APPEND]);
      await rawGet(port, at('/f'), [APPEND]);
    }
    expect((await rawHandshake(port, at('/f'), [APPEND])).status).toBe(101);
  });
});

describe('an append without a handshake', () => {
  it('is told to upgrade, makes nothing, and has its connection closed if the client wants that', async () => {
    const { port, root } = await startStandalone();
    const answer = await answerToTheEnd(port, 'GET /new?verb=APPEND HTTP/1.1', ['Connection: close']);
    expect([answer.status, answer.headers.upgrade]).toEqual([426, 'websocket']);
    expect(answer.headers.connection?.toLowerCase()).toContain('upgrade');
    expect(await resourceNames(root)).toEqual([]);
  });
});
