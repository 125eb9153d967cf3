import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket';
import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import WebSocket from 'ws';
import type { JsonEntry } from '../../src/server/files/directory-response.ts';
import { httpfstream } from '../../src/server/plugin.ts';
import { descriptorsBackTo, openDescriptors } from '../support/disk/descriptors.ts';
import { makeZeros } from '../support/disk/zeros.ts';
import {
  HANDSHAKE,
  openSocket,
  parseAnswer,
  rawGet,
  rawHandshake,
  readHead,
  readToEnd,
  writeHead,
} from '../support/http/raw.ts';
import { get, head, send } from '../support/http/request.ts';
import { NEVER_MS } from '../support/patience.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import {
  cutConnectionsAfterTest,
  listen,
  startServer,
  startStandalone,
  temporaryDirectory,
} from '../support/server/server.ts';
import { waitFor, waitForSize } from '../support/wait-for.ts';
import { appendAll, fileText, openAppender, type Target } from '../support/websocket/appends.ts';
import { Peer } from '../support/websocket/peer.ts';

const MiB = 1024 * 1024;
const APPEND = 'X-Verb: APPEND';
const CLOSE_TIMEOUT_MS = 300;

/** Listens with an application that is set up by `prepare`; it is closed after the test. */
async function listenWith(prepare: (app: FastifyInstance) => Promise<void>) {
  const app = Fastify();
  await prepare(app);
  const server = await listen(app);
  cutConnectionsAfterTest(app);
  return server;
}

/** An application with a page of its own, and with files under `/files`. */
async function listenWithOwnRoutes() {
  const root = await temporaryDirectory();
  const server = await listenWith(async (app) => {
    app.get('/hello', async () => 'hello');
    app.get('/broken', async () => {
      throw new Error('the application is broken');
    });
    await app.register(httpfstream, { root, prefix: '/files', closeTimeoutMs: CLOSE_TIMEOUT_MS });
    app.get('/later', async () => 'later');
  });
  return { ...server, root };
}

/** An application that has a WebSocket of its own, with `@fastify/websocket` as it registered that itself. */
async function listenWithOwnWebSocket(options?: WebsocketPluginOptions['options']) {
  const root = await temporaryDirectory();
  const server = await listenWith(async (app) => {
    // As the documentation asks, so that app.close() leaves the farewell to the plugin.
    await app.register(fastifyWebsocket, { preClose: (done) => done(), ...(options && { options }) });
    await app.register(async (scope) => {
      scope.get('/echo', { websocket: true }, (websocket) => {
        websocket.on('message', (message) => websocket.send(message.toString()));
      });
    });
    await app.register(httpfstream, { root, prefix: '/files', closeTimeoutMs: CLOSE_TIMEOUT_MS });
  });
  return { ...server, root };
}

/** A follower that has everything so far, `expected`. */
async function openFollower(target: Pick<Target, 'url'>, urlPath: string, expected: string): Promise<Peer> {
  const follower = await Peer.connect(target.url(urlPath), 'FOLLOW');
  await waitFor(() => follower.text === expected, `the follower to have ${expected}`);
  return follower;
}

/** Appends, follows and reads under a prefix, from the beginning to the end. */
async function expectToWork(target: Pick<Target, 'url'>, prefix: string, text = 'one two'): Promise<void> {
  const urlPath = `${prefix}/d/f`;
  const appender = await Peer.connect(target.url(urlPath), 'APPEND');
  const follower = await Peer.connect(target.url(urlPath), 'FOLLOW');
  const closed = follower.closed();
  await appender.send(text);
  await appender.finish();
  expect((await closed).code).toBe(1000);
  expect(follower.text).toBe(text);
  expect((await get(target.url(urlPath))).body.toString()).toBe(text);
}

describe('in an application with routes of its own', () => {
  it('serves what is below its prefix and nothing else', async () => {
    const { url, ...server } = await listenWithOwnRoutes();
    await expectToWork({ url }, '/files');
    expect(await fileText(server, 'd/f')).toBe('one two');
    expect((await get(url('/hello'))).body.toString()).toBe('hello');
    expect((await get(url('/later'))).body.toString()).toBe('later');
    expect((await get(url('/files/hello'))).status).toBe(404);
    expect((await send('DELETE', url('/hello'))).status).toBe(404);
  });

  it("leaves the application's errors to the application", async () => {
    const { url } = await listenWithOwnRoutes();
    const broken = await get(url('/broken'));
    expect([broken.status, JSON.parse(broken.body.toString()).message]).toEqual([
      500,
      'the application is broken',
    ]);
    expect(JSON.parse((await get(url('/missing'))).body.toString())).toMatchObject({ statusCode: 404 });
  });

  it("answers or closes the connection of an upgrade that asked for the application's page", async () => {
    const { port } = await listenWithOwnRoutes();
    const socket = await openSocket(port);
    writeHead(socket, 'GET /hello HTTP/1.1', ['Upgrade: h2c', 'Connection: Upgrade']);
    expect(parseAnswer(await readHead(socket)).status).toBe(200);
    writeHead(socket, 'GET /hello HTTP/1.1', ['Connection: close']);
    await readToEnd(socket);
  });

  it('can be mounted twice, with two roots', async () => {
    const roots = [await temporaryDirectory(), await temporaryDirectory()] as const;
    const server = await listenWith(async (app) => {
      await app.register(httpfstream, { root: roots[0], prefix: '/one' });
      await app.register(httpfstream, { root: roots[1], prefix: '/two' });
    });
    await expectToWork(server, '/one', 'first');
    await expectToWork(server, '/two', 'second');
    expect(await fileText({ root: roots[0] }, 'd/f')).toBe('first');
    expect(await fileText({ root: roots[1] }, 'd/f')).toBe('second');
  });

  it('can be mounted at the root beside other routes', async () => {
    const root = await temporaryDirectory();
    const server = await listenWith(async (app) => {
      await app.register(httpfstream, { root });
      app.get('/hello', async () => 'hello');
    });
    await expectToWork(server, '');
    expect((await get(server.url('/hello'))).body.toString()).toBe('hello');
  });
});

describe('in an application that has registered @fastify/websocket itself', () => {
  it("works beside the application's own WebSockets", async () => {
    const server = await listenWithOwnWebSocket();
    await expectToWork(server, '/files');
    const echo = new WebSocket(server.url('/echo'));
    onTestFinished(() => echo.terminate());
    echo.once('open', () => echo.send('hello'));
    const [message] = await once(echo, 'message');
    expect(String(message)).toBe('hello');
  });

  it("leaves what the application's tests inject to them", async () => {
    const { app } = await listenWithOwnWebSocket();
    const echo = await app.injectWS('/echo');
    onTestFinished(() => echo.terminate());
    echo.send('hello');
    const [message] = await once(echo, 'message');
    expect(String(message)).toBe('hello');
  });

  it("leaves nothing of its own at the connections of the application's WebSockets", async () => {
    const { app, url } = await listenWithOwnWebSocket();
    const limits: unknown[] = [];
    app.websocketServer.on('connection', (_websocket, { socket }) =>
      limits.push(socket.listeners('timeout')),
    );
    const echo = new WebSocket(url('/echo'));
    onTestFinished(() => echo.terminate());
    await once(echo, 'open');
    await waitFor(() => limits.length > 0, 'the connection');
    expect(limits).toEqual([[]]);
  });

  it.each([
    ['compresses', { perMessageDeflate: { threshold: 0 } }],
    ['limits messages', { maxPayload: 10 }],
    ['tracks no clients', { clientTracking: false }],
  ])('works although that %s', async (_what, options) => {
    const server = await listenWithOwnWebSocket(options);
    const text = 'long enough to be worth it '.repeat(100);
    const appender = new WebSocket(server.url('/files/f'), {
      headers: { 'x-verb': 'APPEND' },
      perMessageDeflate: { threshold: 0 },
    });
    onTestFinished(() => appender.terminate());
    await once(appender, 'open');
    const follower = await Peer.connect(server.url('/files/f'), 'FOLLOW', { perMessageDeflate: true });
    appender.send(text);
    await waitFor(() => follower.text === text, 'the text to come through');
  });

  it('accepts no subprotocol', async () => {
    const { port } = await listenWithOwnWebSocket();
    const { status, headers } = await rawHandshake(port, '/files/f', [
      APPEND,
      'Sec-WebSocket-Protocol: chat',
    ]);
    expect(status).toBe(101);
    expect(headers).not.toHaveProperty('sec-websocket-protocol');
  });

  it('closes in order: appenders are told 1001, followers 1011, and the tail arrives', async () => {
    const { app, ...server } = await listenWithOwnWebSocket();
    const appender = await Peer.connect(server.url('/files/f'), 'APPEND');
    await appender.send('one');
    const follower = await openFollower(server, '/files/f', 'one');
    const told = Promise.all([appender.closed(), follower.closed()]);
    appender.websocket.send(' two');
    await app.close();
    expect((await told).map(({ code }) => code)).toEqual([1001, 1011]);
    expect(follower.text).toBe('one two');
    expect(await fileText(server, 'f')).toBe('one two');
  });
});

describe('closing', () => {
  it('tells appenders 1001, takes what they still send, and gives followers the tail and 1011', async () => {
    const { app, ...server } = await startServer({ closeTimeoutMs: NEVER_MS });
    const appender = await openAppender(server, '/f', 'start ');
    const follower = await openFollower(server, '/f', 'start ');
    const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}\n`);
    for (const line of lines) appender.websocket.send(line);
    await app.close();
    expect((await appender.closed()).code).toBe(1001);
    expect((await follower.closed()).code).toBe(1011);
    expect(await fileText(server, 'f')).toBe(`start ${lines.join('')}`);
    expect(follower.text).toBe(`start ${lines.join('')}`);
  });

  it('lets a follower that is far behind have the whole tail', async () => {
    const { app, ...server } = await startServer({ closeTimeoutMs: NEVER_MS });
    const content = 'x'.repeat(32 * MiB);
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
    follower.websocket.pause();
    appender.websocket.send(content);
    await waitFor(
      async () => (await head(server.url('/f'))).headers['content-length'] === String(content.length),
      'all to be committed',
    );
    const told = follower.closed();
    const appenderTold = appender.closed();
    const closed = app.close();
    await appenderTold;
    expect(follower.byteCount).toBeLessThan(content.length);
    follower.websocket.resume();
    expect((await told).code).toBe(1011);
    expect(follower.byteCount).toBe(content.length);
    await closed;
  });

  it('refuses new appends with 503 meanwhile, makes nothing for them, and does not wait for who was refused', async () => {
    const { app, port, ...server } = await startServer({ closeTimeoutMs: 1000 });
    cutConnectionsAfterTest(app);
    const silent = await rawHandshake(port, '/held', [APPEND]);
    const told = once(silent.socket, 'data');
    const closed = app.close();
    await told;
    const answers = [await rawHandshake(port, '/new', [APPEND]), await rawHandshake(port, '/held', [APPEND])];
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    await closed;
    expect(await fileText(server, 'new')).toBe('');
    expect(answers.map(({ headers }) => headers.connection)).toEqual(['close', 'close']);
  });

  it.each([
    ['an appender', '/f', [APPEND]],
    ['a follower', '/live', []],
  ])('is bounded when %s is silent', async (_who, urlPath, headers) => {
    const { app, port, ...server } = await startServer({ closeTimeoutMs: CLOSE_TIMEOUT_MS });
    await openAppender(server, '/live', 'hello');
    await rawHandshake(port, urlPath, headers);
    await app.close();
  });

  it('is bounded when a follower reads nothing of a long tail', async () => {
    const { app, port, ...server } = await startServer({ closeTimeoutMs: CLOSE_TIMEOUT_MS });
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const { socket } = await rawHandshake(port, '/f');
    socket.pause();
    appender.websocket.send('x'.repeat(32 * MiB));
    await waitForSize(path.join(server.root, 'f'), 32 * MiB);
    await app.close();
  });

  it.each([
    ['for a malformed escape', 'GET /%zz HTTP/1.1', 400],
    ['for a missing file', 'GET /missing HTTP/1.1', 404],
    ['for its method', 'POST /f HTTP/1.1', 405],
    ['for an unknown method', 'PROPFIND /f HTTP/1.1', 405],
  ])(
    'is bounded when a client whose handshake was refused %s does not hang up',
    async (_why, requestLine, status) => {
      const { app, port } = await startStandalone();
      const socket = await openSocket(port);
      writeHead(socket, requestLine, HANDSHAKE);
      expect(parseAnswer(await readHead(socket)).status).toBe(status);
      await app.close();
    },
  );

  it.each([
    ['a download is stalled', 'GET /f HTTP/1.1\r\nHost: test\r\n\r\n'],
    [
      'a download that was the answer to a handshake is stalled',
      `GET /f HTTP/1.1\r\n${HANDSHAKE.join('\r\n')}\r\nHost: test\r\n\r\n`,
    ],
    ['a request head is not finished', 'GET /f HT'],
    ['a connection is idle', ''],
  ])('is bounded when %s', async (_what, sent) => {
    const { app, port, root } = await startStandalone();
    await makeZeros(path.join(root, 'f'), 64 * MiB);
    const socket = await openSocket(port);
    socket.write(sent);
    if (sent.endsWith('\r\n\r\n')) await once(socket, 'readable');
    await app.close();
  });

  it('can be asked for again and again', async () => {
    const { app, ...server } = await startServer();
    await openAppender(server, '/f', 'hello');
    await Promise.all([app.close(), app.close()]);
    await app.close();
    expect(await fileText(server, 'f')).toBe('hello');
  });

  it('takes no new connections afterwards, and another server can go on with the files', async () => {
    const first = await startServer();
    await openAppender(first, '/f', 'one ');
    await first.app.close();
    const socket = net.connect(first.port, '127.0.0.1');
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    const second = await startServer({ root: first.root });
    await appendAll(second, '/f', 'two');
    expect((await get(second.url('/f'))).body.toString()).toBe('one two');
  });

  it('closes every file', async () => {
    const before = await openDescriptors();
    const { app, ...server } = await startServer();
    for (let i = 0; i < 20; i++) {
      await openAppender(server, `/${i}`, 'hello');
      await Peer.connect(server.url(`/${i}`), 'FOLLOW');
    }
    await app.close();
    await descriptorsBackTo(before);
  });
});

describe('an appender that hangs up without waiting', () => {
  const CLOSE_FRAME = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);

  function frameOf(payload: Buffer): Buffer {
    const header = Buffer.alloc(14);
    header.set([0x82, 0xff]);
    header.writeBigUInt64BE(BigInt(payload.length), 2);
    return Buffer.concat([header, payload]);
  }

  it.each([
    ['a reset', (socket: net.Socket) => socket.resetAndDestroy()],
    ['a close', (socket: net.Socket) => socket.destroy()],
  ])('with %s right after its close frame harms nobody', async (_how, leave) => {
    const rejections: unknown[] = [];
    const takeNote = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', takeNote);
    onTestFinished(() => void process.off('unhandledRejection', takeNote));

    const server = await startServer();
    const content = Buffer.alloc(2 * MiB, 'x');
    for (let i = 0; i < 10; i++) {
      const { socket } = await rawHandshake(server.port, `/${i}`, [APPEND]);
      socket.write(Buffer.concat([frameOf(content), CLOSE_FRAME]), () => leave(socket));
      await waitFor(() => socket.destroyed, 'the appender to be gone');
      await waitFor(async () => !(await isLive(server, `${i}`)), 'the append to be over');
    }
    expect(rejections).toEqual([]);
  });

  async function isLive(server: Pick<Target, 'url'>, name: string): Promise<boolean> {
    const answer = await get(server.url('/'), { accept: 'application/json' });
    const { entries } = JSON.parse(answer.body.toString()) as { entries: JsonEntry[] };
    return entries.some((entry) => entry.name === name && entry.live);
  }
});

describe('the descriptors that are open', () => {
  /** Does `action` many times and waits for the descriptors to be what they were after a first time. */
  async function expectNoneLeft(times: number, action: (i: number) => Promise<unknown>): Promise<void> {
    await action(0);
    const before = await openDescriptors();
    for (let i = 1; i <= times; i++) await action(i);
    await descriptorsBackTo(before + 1);
  }

  async function serveLarge() {
    const server = await startServer();
    await makeZeros(path.join(server.root, 'large'), 16 * MiB);
    await writeFile(path.join(server.root, 'small'), 'hello');
    return server;
  }

  it('are what they were after many appends and follows', async () => {
    const server = await startServer();
    await expectNoneLeft(15, async (i) => {
      const appender = await openAppender(server, `/${i}`, 'hello');
      const follower = await Peer.connect(server.url(`/${i}`), 'FOLLOW');
      if (i % 3 === 0) follower.websocket.terminate();
      if (i % 3 === 1) appender.websocket.terminate();
      else await appender.finish();
    });
  });

  it('are what they were after a follower was cut in the middle of a long history', async () => {
    const server = await serveLarge();
    await Peer.connect(server.url('/large'), 'APPEND');
    await expectNoneLeft(20, async () => {
      const { socket } = await rawHandshake(server.port, '/large');
      socket.destroy();
    });
  });

  it('are what they were after many reads of every kind', async () => {
    const server = await serveLarge();
    const { etag } = (await get(server.url('/small'))).headers;
    await expectNoneLeft(8, async () => {
      await get(server.url('/small'));
      await head(server.url('/large'));
      await get(server.url('/small'), { 'if-none-match': etag });
      await get(server.url('/large'), { range: 'bytes=0-9,100-199' });
      await get(server.url('/large'), { range: 'bytes=99999999-' });
      await get(server.url('/'), { accept: 'application/json' });
      await get(server.url('/small/'));
      await rawGet(server.port, '/small', HANDSHAKE);
    });
  });

  it.each([
    ['a file', '/large', []],
    ['ranges', '/large', ['Range: bytes=0-9999999,10000002-']],
    ['a file, with a handshake', '/large', HANDSHAKE],
  ])('are what they were after many readers of %s went away', async (_what, urlPath, headers) => {
    const server = await serveLarge();
    await expectNoneLeft(20, async () => {
      const socket = await openSocket(server.port);
      writeHead(socket, `GET ${urlPath} HTTP/1.1`, headers);
      await once(socket, 'readable');
      socket.destroy();
    });
  });

  it.each([
    ['a reset', (socket: net.Socket) => socket.resetAndDestroy()],
    ['a close', (socket: net.Socket) => socket.destroy()],
  ])('are what they were after many readers went away with %s before the answer', async (_how, leave) => {
    const server = await serveLarge();
    await expectNoneLeft(20, async () => {
      const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(server.port)));
      for (const socket of sockets) {
        socket.write('GET /large HTTP/1.1\r\nHost: test\r\n\r\n', () => leave(socket));
      }
    });
  });

  it('are what they were after many appenders went away during their handshake', async () => {
    const server = await startServer();
    await expectNoneLeft(20, async (i) => {
      const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(server.port)));
      for (const [n, socket] of sockets.entries()) {
        const lines = [`GET /${i}-${n} HTTP/1.1`, 'Host: test', ...HANDSHAKE, APPEND, '', ''];
        socket.write(lines.join('\r\n'), () => socket.resetAndDestroy());
      }
    });
    expect((await rawHandshake(server.port, '/1-1', [APPEND])).status).toBe(101);
  });
});

it('a credential of users is for this server, or for another one: options that say both are refused', async () => {
  const upstreams = [{ url: 'http://127.0.0.1:1', passAuthorization: true }];
  await expect(startServer({ access: new RuleAccess({}), upstreams })).rejects.toThrow(TypeError);
});
