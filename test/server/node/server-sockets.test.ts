import { spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import fc from 'fast-check';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ServerSockets } from '../../../src/server/node/server-sockets.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { openSocket, parseAnswer, readHead, readToEnd, writeHead } from '../../support/http/raw.ts';
import { listen, startServer, startStandalone, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor, waitWhile } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

const OFFER = ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAoAAA'];

/** As {@link OFFER}, and the last request of its connection. */
const LAST_OFFER = [...OFFER.slice(0, 1), 'Connection: Upgrade, HTTP2-Settings, close', ...OFFER.slice(2)];

/** A request head as it goes over the wire. */
function headOf(requestLine: string, headers: readonly string[] = OFFER): string {
  return [requestLine, 'Host: test', ...headers, '', ''].join('\r\n');
}

/** A server that tells what it was asked, after as long as the query says; what `/late` is sent it reads at its event `late`. */
async function startEcho(options: http.ServerOptions = {}): Promise<{ server: http.Server; port: number }> {
  const server = http.createServer(options, async (request, response) => {
    const { method, url = '', rawHeaders } = request;
    const delayMs = Number(url.split('?')[1] ?? 0);
    const delay = () => new Promise((resolve) => setTimeout(resolve, delayMs));
    if (url === '/late') await once(server, 'late');
    const body = await text(request).catch(() => 'broken');
    if (delayMs > 0) await delay();
    response.sendDate = false;
    const fields = rawHeaders.filter((_field, at) =>
      /^(?!upgrade|connection|http2)/i.test(rawHeaders[at - (at % 2)] as string),
    );
    const answer = JSON.stringify([method, url, fields, body]);
    if (delayMs % 2 === 1) response.write(answer.slice(0, 5));
    response.end(delayMs % 2 === 1 ? answer.slice(5) : answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Answers without the sizes of their chunks, since when those begin and end depends on what waits. */
function withoutChunks(answers: string): string {
  return answers.replaceAll(/\r\n[0-9a-f]+\r\n/g, '');
}

/** One that listens for upgrades, and ignores others than to WebSockets. */
async function startIgnoring(options: http.ServerOptions = {}) {
  const echo = await startEcho(options);
  const sockets = ServerSockets.of(echo.server);
  const upgraded: string[] = [];
  echo.server.on('upgrade', (request, socket) => {
    upgraded.push(request.url ?? '');
    socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  });
  return { ...echo, sockets, upgraded };
}

describe('requests', () => {
  /** What asks for an upgrade, and what is to be left of it. */
  const fields = fc.constantFrom<[string[], string[]]>(
    [[], []],
    [OFFER, []],
    [['upgrade: H2C', 'connection:upgrade', 'X-Odd:\tcaf\xe9 '], ['X-Odd: caf\xe9']],
    [['Connection: keep-alive', 'Upgrade: TLS/1.0, HTTP/2.0', 'Connection: foo , UPGRADE'], []],
    [['Upgrade:', 'Connection: upgrade'], []],
    [['Upgrade: websocket, h2c', 'Connection: Upgrade'], []],
    [
      ['Upgrade: websocket', 'Upgrade: h2c', 'Connection: Upgrade', 'Cookie: a', 'Cookie: b'],
      ['Cookie: a', 'Cookie: b'],
    ],
  );
  const bodies = fc.constantFrom<[string[], string]>(
    [[], ''],
    [['Content-Length: 0'], ''],
    [['Content-Length: 26'], 'GET /x HTTP/1.1\r\nHost: x\r\n'],
    [['Content-Length: 70000'], 'b'.repeat(70_000)],
    [['Transfer-Encoding: chunked'], '3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nTrailer: t\r\n\r\n'],
  );
  const requests = fc
    .record({
      method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND', 'M-SEARCH'),
      delayMs: fc.nat(5),
      fields,
      body: bodies,
    })
    .map(
      ({ method, delayMs, fields, body: [bodyFields, body] }) =>
        fields.map(
          (some) => headOf(`${method} /a%20b?${delayMs} HTTP/1.1`, [...bodyFields, ...some]) + body,
        ) as [string, string],
    );

  /** Sends `bytes` cut where `cuts` say, and returns all that comes. */
  async function exchange(port: number, bytes: Buffer, cuts: readonly number[]): Promise<string> {
    const socket = await openSocket(port);
    const answer = readToEnd(socket);
    let from = 0;
    for (const to of [...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length]) {
      socket.write(bytes.subarray(from, to));
      await new Promise((resolve) => setImmediate(resolve));
      from = to;
    }
    return (await answer).toString('latin1');
  }

  it('are answered as if they did not ask, whatever is in one pipeline', async () => {
    const [reference, ignoring] = [await startEcho(), await startIgnoring()];
    await fc.assert(
      fc.asyncProperty(
        fc.array(requests, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 4 }),
        async (pipeline, cuts) => {
          const end = headOf('GET /end HTTP/1.1', ['Connection: close']);
          const bytesOf = (which: 0 | 1) =>
            Buffer.from(pipeline.map((request) => request[which]).join('') + end, 'latin1');
          const expected = await exchange(reference.port, bytesOf(1), cuts);
          expect(expected.match(/HTTP\/1\.1 200 /g)).toHaveLength(pipeline.length + 1);
          const answers = await exchange(ignoring.port, bytesOf(0), cuts);
          expect(withoutChunks(answers)).toBe(withoutChunks(expected));
        },
      ),
      { numRuns: 75 },
    );
    expect(ignoring.upgraded).toEqual([]);
  });

  it.each([
    ['HTTP/1.0', headOf('GET / HTTP/1.0', LAST_OFFER), /^HTTP\/1\.1 200 /],
    ['no Host', 'GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['two lengths', headOf('PUT / HTTP/1.1', [...OFFER, 'Content-Length: 1', 'Content-Length: 2']), / 400 /],
    ['a folded line', headOf('GET / HTTP/1.1', [...OFFER, 'X: a\r\n b']), / 400 /],
    ['a control character', headOf('GET / HTTP/1.1', [...OFFER, 'X: a\x01']), / 400 /],
    ['a space before the colon', headOf('GET / HTTP/1.1', ['Upgrade : h2c', 'Connection: upgrade']), / 400 /],
  ])('with %s are answered as without an upgrade', async (_what, bytes, answer) => {
    const [reference, ignoring] = [await startEcho(), await startIgnoring()];
    const got = await exchange(ignoring.port, Buffer.from(bytes, 'latin1'), []);
    expect(got).toMatch(answer);
    expect(got).toBe(await exchange(reference.port, Buffer.from(bytes, 'latin1'), []));
  });

  it.each([
    ['a control character in a value', [...OFFER, 'X: a\x01b']],
    ['a line feed in a value', [...OFFER, 'X: a\nY: b']],
    ['a carriage return in a value', [...OFFER, 'X: a\rGET /other HTTP/1.1']],
    ['a NUL in a value', [...OFFER, 'X: a\0b']],
    ['a space before the colon', ['Upgrade : h2c', 'Connection: upgrade']],
  ])(
    'that a lenient parser lets through with %s are refused, or are the same request',
    async (_what, headers) => {
      const { port, upgraded } = await startIgnoring({ insecureHTTPParser: true });
      const bytes = Buffer.from(headOf('GET /one HTTP/1.1', [...headers, 'Connection: close']), 'latin1');
      const answer = await exchange(port, bytes, []);
      expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(answer).not.toContain('/other');
      expect(upgraded).toEqual([]);
    },
  );

  it('to a WebSocket reach whoever listens for them, whatever their case', async () => {
    const { port, upgraded } = await startIgnoring();
    await exchange(
      port,
      Buffer.from(headOf('GET /ws HTTP/1.1', ['Upgrade: WebSocket', 'Connection: upgrade'])),
      [],
    );
    expect(upgraded).toEqual(['/ws']);
  });

  it('to a WebSocket hand over the connection itself at the end of the head, whatever follows', async () => {
    const { server, port } = await startEcho();
    ServerSockets.of(server);
    const connected = once(server, 'connection');
    const upgraded = once(server, 'upgrade');
    const socket = await openSocket(port);
    const handshake = ['Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 10'];
    socket.write(`${headOf('GET /ws HTTP/1.1', handshake)}hello`);
    const [, handedOver, head] = await upgraded;
    expect((await connected)[0]).toBe(handedOver);
    expect(String(head)).toBe('hello');
    handedOver.destroy();
  });

  it('to a WebSocket may follow on a connection that has ignored others', async () => {
    const { port, upgraded } = await startIgnoring();
    const bytes = headOf('GET / HTTP/1.1') + headOf('GET / HTTP/1.1');
    const socket = await openSocket(port);
    socket.write(bytes);
    await readHead(socket);
    const answer = readToEnd(socket);
    socket.write(headOf('GET /ws HTTP/1.1', ['Upgrade: websocket', 'Connection: upgrade']));
    expect((await answer).toString()).toContain('HTTP/1.1 101 ');
    expect(upgraded).toEqual(['/ws']);
  });

  it('lose nothing when one before them is read late', async () => {
    const { server, port } = await startIgnoring();
    const connection = once(server, 'connection');
    const socket = await openSocket(port);
    const [inside] = (await connection) as [Socket];
    const answers = readToEnd(socket);
    const send = async (bytes: string) => {
      socket.write(bytes);
      await waitFor(() => inside.bytesRead === socket.bytesWritten, 'the bytes to arrive');
    };
    await send(`${headOf('PUT /late HTTP/1.1', ['Content-Length: 3'])}one`);
    await send(headOf('PUT /b HTTP/1.1', [...LAST_OFFER, 'Content-Length: 10']));
    for (const part of ['ab', 'cd', 'ef', 'gh', 'ij']) {
      await send(part);
      if (part === 'cd') server.emit('late');
    }
    expect((await answers).toString()).toContain('"abcdefghij"');
  });

  it('are not taken up behind an answer that closes the connection', async () => {
    const { server, port } = await startIgnoring();
    const methods: unknown[] = [];
    server.on('request', ({ method }) => methods.push(method));
    const bytes = headOf('GET /?50 HTTP/1.1', ['Connection: close']) + headOf('PUT / HTTP/1.1');
    await exchange(port, Buffer.from(bytes), []);
    await waitFor(() => methods.length > 0, 'the first request');
    await waitWhile(() => methods.length === 1, 'the second one is not heard');
    expect(methods).toEqual(['GET']);
  });

  it('are not held to the time that the connection may be idle', async () => {
    const { server, port } = await startIgnoring();
    server.keepAliveTimeout = 1;
    const bytes = headOf('GET /?50 HTTP/1.1') + headOf('GET /?1600 HTTP/1.1', LAST_OFFER);
    const answer = await exchange(port, Buffer.from(bytes), []);
    expect(answer.match(/HTTP\/1\.1 200 /g)).toHaveLength(2);
  });
});

describe('connections', () => {
  it('keep no listeners of their earlier requests', async () => {
    const { server, port } = await startIgnoring();
    let inside: Socket | undefined;
    server.once('connection', (socket) => {
      inside = socket;
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const counts = new Set<string>();
    for (let i = 0; i < 60; i++) {
      const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': '' };
      const request = http.request({ port, host: '127.0.0.1', agent, method: 'PUT', headers });
      request.end('body');
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      expect(JSON.parse(await text(answer)).at(-1)).toBe('body');
      await new Promise((resolve) => setImmediate(resolve));
      const socket = inside as Socket;
      const names = socket.eventNames().sort((a, b) => String(a).localeCompare(String(b)));
      counts.add(names.map((name) => `${String(name)} ${EventEmitter.listenerCount(socket, name)}`).join());
    }
    // Of the first request, whose bytes Node's parser took from the system itself, and of those after it.
    expect(counts.size).toBeLessThanOrEqual(2);
  });

  it('keep no listeners of their time of waiting', async () => {
    const { server, port } = await startIgnoring();
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const socket = await openSocket(port);
    const [inside] = await connected;
    let answers = '';
    socket.on('data', (bytes) => {
      answers += bytes;
    });
    const answerCount = () => answers.split('HTTP/1.1 200 ').length - 1;
    socket.write(headOf('PUT / HTTP/1.1', [...OFFER, 'Content-Length: 0']));
    await waitFor(() => answerCount() === 1, 'the first answer');
    const names = ['error', 'timeout', 'end', 'drain', 'close', 'data', 'readable', 'pause', 'resume'];
    const counts = () => names.map((name) => inside.listenerCount(name));
    const before = counts();
    socket.write(headOf('GET /?2 HTTP/1.1').repeat(20));
    await waitFor(() => answerCount() === 21, 'all answers');
    expect(counts()).toEqual(before);
  });

  it('are cut while they wait when they are quiet for longer than the server lets them', async () => {
    const { server, port } = await startIgnoring();
    server.timeout = 200;
    const socket = await openSocket(port);
    const end = readToEnd(socket);
    socket.write(headOf('GET /?60000 HTTP/1.1', []) + headOf('GET / HTTP/1.1'));
    expect((await end).length).toBe(0);
  });

  it('may be quiet for a while only as long as nobody has their WebSocket, or has said how long', async () => {
    const { server, port } = await startEcho();
    ServerSockets.of(server);
    const waiting: Socket[] = [];
    server.on('upgrade', ({ url }, socket: Socket) => {
      waiting.push(socket);
      if (url === '/patient') socket.setTimeout(0);
    });
    const handshake = ['Connection: Upgrade', 'Upgrade: websocket'];
    for (const url of ['/patient', '/']) {
      const socket = await openSocket(port);
      onTestFinished(() => void socket.destroy());
      socket.write(headOf(`GET ${url} HTTP/1.1`, handshake));
      await waitFor(() => waiting.length > (url === '/' ? 1 : 0), 'the upgrade');
    }
    const [patient, other] = waiting as [Socket, Socket];
    await waitFor(() => other.timeout !== undefined, 'the time limit');
    expect(other.timeout).toBeGreaterThan(0);
    expect(patient.timeout).toBe(0);
    const closed = once(other, 'close');
    other.emit('timeout');
    await closed;
    expect(patient.destroyed).toBe(false);
  });

  it('are all gone when their clients are, however they went', async () => {
    const { server, port, sockets } = await startIgnoring();
    const failures: unknown[] = [];
    const fail = (error: unknown) => failures.push(error);
    process.on('uncaughtException', fail);
    onTestFinished(() => void process.off('uncaughtException', fail));
    const count = () => new Promise<number>((resolve) => server.getConnections((_e, n) => resolve(n)));
    const ways = [
      headOf('GET / HTTP/1.1'),
      headOf('PUT / HTTP/1.1', [...OFFER, 'Content-Length: 100']),
      headOf('PUT / HTTP/1.1', [...OFFER, 'Transfer-Encoding: chunked']),
      headOf('GET /?30 HTTP/1.1', []) + headOf('GET /?30 HTTP/1.1') + headOf('GET /?30 HTTP/1.1'),
      headOf('GET /?60000 HTTP/1.1', []) + headOf('PUT / HTTP/1.1', [...OFFER, 'Content-Length: 100']),
      headOf('GET /?60000 HTTP/1.1') + headOf('GET / HTTP/1.1') + 'x'.repeat(100_000),
    ];
    const ends = [
      (socket: Socket) => socket.resetAndDestroy(),
      (socket: Socket) => socket.destroy(),
      (socket: Socket) => socket.end(),
    ];
    for (let round = 0; round < 30; round++) {
      const sockets = await Promise.all(ways.map(() => openSocket(port)));
      sockets.forEach((socket, at) => void socket.resume().write(ways[at] as string));
      if (round % 3 > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      sockets.forEach((socket, at) => void ends[(at + round) % ends.length]?.(socket));
    }
    // Behind more than what a stream holds nobody sees that the client has gone before the answer is written.
    await waitFor(async () => (await count()) <= 30, 'most to go');
    await sockets.close(0);
    await waitFor(async () => (await count()) === 0, 'all to go');
    expect(failures).toEqual([]);
  });

  it('take a large answer to its end although the next request asks for an upgrade', async () => {
    const server = http.createServer((_request, response) => {
      const bytes = Buffer.alloc(64 * 1024);
      let left = 200;
      const write = () => {
        while (left-- > 0) if (!response.write(bytes)) return void response.once('drain', write);
        response.end();
      };
      write();
    });
    ServerSockets.of(server);
    server.on('upgrade', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const socket = await openSocket((server.address() as AddressInfo).port);
    socket.write(headOf('GET /1 HTTP/1.1', []) + headOf('GET /2 HTTP/1.1', LAST_OFFER));
    const answers = await readToEnd(socket);
    expect(answers.length).toBeGreaterThan(2 * 200 * 64 * 1024);
  });
});

describe('over TLS', () => {
  const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

  it.skipIf(!hasOpenssl)('requests are answered as if they did not ask', async () => {
    const directory = await temporaryDirectory();
    const [keyFile, certFile] = [path.join(directory, 'key'), path.join(directory, 'cert')];
    const selfSigned = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    spawnSync('openssl', [...selfSigned, '-subj', '/CN=test', '-keyout', keyFile, '-out', certFile]);
    const app = Fastify({ https: { key: await readFile(keyFile), cert: await readFile(certFile) } });
    await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: 200 });
    const { port } = await listen(app);
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    const body = 'x'.repeat(300_000);
    for (const size of [300_000, 600_000]) {
      socket.write(
        headOf('POST /f?verb=APPEND HTTP/1.1', [...OFFER, `Content-Length: ${body.length}`]) + body,
      );
      expect(JSON.parse(parseAnswer(await readHead(socket)).body)).toMatchObject({ position: size });
    }
  });
});

describe('a server of ours', () => {
  it('makes, fills, reads and deletes for clients that offer HTTP/2, on one connection', async () => {
    const server = await startServer();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ports = new Set<number | undefined>();
    const send = async (method: string, path: string, headers: http.OutgoingHttpHeaders = {}, body = '') => {
      const offer = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' };
      const request = http.request(server.url(path), { method, agent, headers: { ...offer, ...headers } });
      request.on('socket', (socket) => socket.once('connect', () => ports.add(socket.localPort)));
      request.end(body);
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      return [answer.statusCode, await text(answer)];
    };
    const type = { 'content-type': 'text/plain' };
    expect(await send('PUT', '/a', type)).toEqual([201, '']);
    expect(await send('POST', '/a', type, 'one')).toEqual([204, '']);
    expect((await send('PUT', '/a?verb=APPEND', {}, 'two'))[0]).toBe(200);
    expect(await send('GET', '/a?offset=-1')).toEqual([200, 'onetwo']);
    expect(await send('POST', '/a', { 'stream-closed': 'true' })).toEqual([204, '']);
    expect(await send('GET', '/a?verb=FOLLOW')).toEqual([200, 'onetwo']);
    expect(await send('HEAD', '/a')).toEqual([200, '']);
    expect(await send('OPTIONS', '/a')).toEqual([204, '']);
    expect((await send('PATCH', '/a'))[0]).toBe(405);
    expect(await send('DELETE', '/a')).toEqual([204, '']);
    expect(ports.size).toBe(1);
  });

  it('tells clients to go on only when what they want can be had', async () => {
    const server = await startServer();
    const expecting = [...OFFER, 'Expect: 100-continue', 'Content-Length: 3'];
    const first = await openSocket(server.port);
    writeHead(first, 'PUT /f?verb=APPEND HTTP/1.1', expecting);
    expect(parseAnswer(await readHead(first)).status).toBe(100);
    const second = await openSocket(server.port);
    writeHead(second, 'PUT /f?verb=APPEND HTTP/1.1', expecting);
    expect(parseAnswer(await readHead(second)).status).toBe(403);
    first.write('abc');
    expect(parseAnswer(await readHead(first)).status).toBe(201);
    expect(await readFile(path.join(server.root, 'f'), 'utf8')).toBe('abc');
  });

  it("answers to an application's own routes, and takes WebSockets, mounted twice", async () => {
    const log: string[] = [];
    const stream = { write: (line: string) => void log.push(line) };
    const app = Fastify({ logger: { level: 'warn', stream } });
    app.post('/own', async ({ body }) => ({ got: body }));
    for (const prefix of ['/one', '/two']) {
      await app.register(httpfstream, { root: await temporaryDirectory(), prefix, closeTimeoutMs: 200 });
    }
    let connections = 0;
    const { url } = await listen(app);
    const base = url('');
    app.server.on('connection', () => connections++);
    const { port } = app.server.address() as AddressInfo;
    const socket = await openSocket(port);
    const headers = [...LAST_OFFER, 'Content-Type: application/json', 'Content-Length: 7'];
    socket.write(`${headOf('POST /own HTTP/1.1', headers)}{"a":1}`);
    expect(parseAnswer(await readToEnd(socket)).body).toBe('{"got":{"a":1}}');
    // The connection, and the request given back once.
    expect(connections).toBe(2);
    for (const mount of ['/one', '/two']) {
      const appender = await Peer.connect(`${base}${mount}/f`, 'APPEND');
      await appender.send('text');
      await appender.finish();
    }
    const reader = await openSocket(port);
    writeHead(reader, 'GET /two/f HTTP/1.1', LAST_OFFER);
    expect(parseAnswer(await readToEnd(reader)).body).toBe('text');
    expect(log).toEqual([]);
  });

  it('closes in time although a request waits behind a follower', async () => {
    const server = await startStandalone();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    await appender.send('text');
    const socket = await openSocket(server.port);
    const answer = readToEnd(socket);
    writeHead(socket, 'GET /f?verb=FOLLOW HTTP/1.1', OFFER);
    writeHead(socket, 'GET /f HTTP/1.1', OFFER);
    await waitFor(() => socket.bytesRead > 100, 'the follower');
    await server.app.close();
    expect(((await answer).toString().match(/HTTP\/1\.1 /g) ?? []).length).toBe(1);
  });

  const hasCurl = / HTTP2 /.test(String(spawnSync('curl', ['--version']).stdout));

  it.skipIf(!hasCurl)('does all that `curl --http2` asks for', async () => {
    const server = await startServer();
    const curl = async (args: string[], input = '') => {
      const child = spawn('curl', ['-sS', '--http2', '--max-time', '20', ...args]);
      child.stdin.end(input);
      return text(child.stdout);
    };
    const code = ['-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n'];
    const target = server.url('/x');
    expect(await curl(['-X', 'PUT', '-H', 'Content-Type: text/plain', target, ...code])).toBe('201 1\n');
    expect(await curl(['-H', 'Content-Type: text/plain', '-d', 'one', target, ...code])).toBe('204 1\n');
    const large = 'a line of text\n'.repeat(200_000);
    expect(await curl(['-T', '-', `${target}?verb=APPEND`, ...code], large)).toBe('200 1\n');
    expect(
      await curl(['-T', '-', '-H', 'Expect: 100-continue', `${server.url('/y')}?verb=APPEND`, ...code], 'y'),
    ).toBe('201 1\n');
    expect(await curl([target])).toBe(`one${large}`);
    // The second request comes over the same connection.
    expect(await curl([...code, server.url('/y'), '-o', '/dev/null', server.url('/y')])).toBe(
      '200 1\n200 0\n',
    );
    expect(await curl(['-N', `${server.url('/y')}?verb=FOLLOW`])).toBe('y');
    expect(await curl(['-X', 'DELETE', target, ...code])).toBe('204 1\n');
  });
});
