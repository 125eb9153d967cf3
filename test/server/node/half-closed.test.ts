import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import {
  HANDSHAKE,
  openSocket,
  parseAnswer,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { listen, startServer, type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { type OwnDirectory, serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

const common = serverForAll();

/** A request line, or a head, with its path in the directory of this test. */
const within = ({ path: pathOf }: OwnDirectory, head: string) => head.replace(' /', ` ${pathOf('/')}`);

/** More than what Node and the system hold of a body that is not read yet. */
const BODY = Buffer.alloc(3_000_000, 'a line of text\n');

/** What the server reads at once, so that a reset takes nothing of it away. */
const SHORT_BODY = BODY.subarray(0, 30_000);

/** How a client goes; `heard` says how much the server has read. */
type Close = (socket: Socket, heard: () => number) => unknown;

const CLOSE = {
  'closes the connection': (socket) => socket.end().once('finish', () => socket.destroy()),
  'closes its side': (socket) => socket.end(),
  'resets the connection': async (socket, heard) => {
    await waitFor(() => heard() === socket.bytesWritten, 'the server to have read all of it');
    socket.resetAndDestroy();
  },
} as const satisfies Record<string, Close>;

const FRAMING = {
  'with a length': (body: Buffer) => [[`Content-Length: ${body.length}`], body] as const,
  'in chunks': (body: Buffer) =>
    [
      ['Transfer-Encoding: chunked'],
      Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]),
    ] as const,
};

const REQUESTS = {
  'PUT that stores a file': ['PUT /f HTTP/1.1', []],
  'PUT that makes a stream': ['PUT /f HTTP/1.1', ['Content-Type: text/plain']],
  'PUT that appends': ['PUT /f?verb=APPEND HTTP/1.1', []],
  'POST that appends': ['POST /f?verb=APPEND HTTP/1.1', []],
  'POST to a stream': ['POST /stream HTTP/1.1', ['Content-Type: text/plain']],
} as const;

const combinations = (Object.keys(REQUESTS) as (keyof typeof REQUESTS)[]).flatMap((request) =>
  (Object.keys(FRAMING) as (keyof typeof FRAMING)[]).flatMap((framing) =>
    (Object.keys(CLOSE) as (keyof typeof CLOSE)[]).map((close) => [request, framing, close] as const),
  ),
);

async function contentOf(server: TestServer, name: string): Promise<string> {
  return readFile(path.join(server.root, name), 'utf8').catch(() => '');
}

/** A connection, and how much the server has read of it. */
async function connect({ app, port }: TestServer) {
  const connected = once(app.server, 'connection') as Promise<[Socket]>;
  const socket = await openSocket(port);
  const [inside] = await connected;
  return { socket, heard: () => inside.bytesRead };
}

/** Sends all of it, and resolves when the system has it. */
async function send(socket: Socket, head: string, headers: readonly string[], body: Buffer): Promise<void> {
  writeHead(socket, head, headers);
  await new Promise<void>((resolve) => void socket.write(body, () => resolve()));
}

describe('a request that has come as a whole', () => {
  it.each(combinations)('is carried out: a %s, %s, whose client %s', async (request, framing, close) => {
    const server = await common.guest();
    const [requestLine, headers] = REQUESTS[request];
    const name = requestLine.includes('/stream') ? 'stream' : 'f';
    if (name === 'stream') {
      await fetch(server.url('/stream'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    }
    const { socket, heard } = await connect(server);
    const body = close === 'resets the connection' ? SHORT_BODY : BODY;
    const [framingHeaders, bytes] = FRAMING[framing](body);
    await send(socket, within(server, requestLine), [...headers, ...framingHeaders], bytes);
    await CLOSE[close](socket, heard);
    await waitFor(async () => (await contentOf(server, name)).length === body.length, 'all of it');
    // It has ended, not only arrived: the next one is let in.
    await waitFor(async () => {
      const next = await fetch(server.url(`/${name}?verb=APPEND`), { method: 'POST', body: 'next' });
      return next.status === 200;
    }, 'the next appender');
    expect(await contentOf(server, name)).toBe(`${body}next`);
    if (close === 'closes its side') {
      const answer = parseAnswer(await readToEnd(socket));
      expect([200, 201, 204]).toContain(answer.status);
    }
  });

  it.each([
    ['GET /f HTTP/1.1'],
    ['GET /f HTTP/1.0'],
    ['GET /f?offset=-1 HTTP/1.1'],
    ['GET /f?verb=FOLLOW HTTP/1.1'],
    ['GET /f?verb=FOLLOW HTTP/1.0'],
  ])('is answered in full to a client that has closed its side: %s', async (requestLine) => {
    const server = await common.guest();
    await fetch(server.url('/f'), { method: 'PUT', body: BODY });
    const socket = await openSocket(server.port);
    writeHead(socket, within(server, requestLine));
    socket.end();
    const answer = parseAnswer(await readToEnd(socket));
    expect(answer.status).toBe(200);
    expect(answer.body === BODY.toString()).toBe(true);
  });

  it('is answered, and those before it, when all came in one go and the client has closed its side', async () => {
    const server = await common.guest();
    const socket = await openSocket(server.port);
    const answers = readToEnd(socket);
    writeHead(socket, within(server, 'PUT /f?verb=APPEND HTTP/1.1'), ['Content-Length: 3']);
    socket.write('one');
    writeHead(socket, within(server, 'PUT /f?verb=APPEND HTTP/1.1'), ['Content-Length: 3']);
    socket.write('two');
    // Node lets go of the connection here, and gets it back.
    writeHead(socket, within(server, 'GET /f HTTP/1.1'), [
      'Upgrade: h2c',
      'Connection: Upgrade, HTTP2-Settings',
    ]);
    writeHead(socket, within(server, 'GET /f HTTP/1.1'));
    socket.end();
    const statuses = (await answers).toString().match(/HTTP\/1\.1 \d+/g);
    expect(statuses).toEqual(['HTTP/1.1 201', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200']);
  });

  it.each(Object.keys(CLOSE) as (keyof typeof CLOSE)[])(
    'is carried out after those before it, whose client %s',
    async (close) => {
      const server = await common.guest();
      const { socket, heard } = await connect(server);
      const parts = Array.from({ length: 12 }, (_, at) => `part ${at}\n`);
      for (const part of parts) {
        writeHead(socket, within(server, 'POST /f?verb=APPEND HTTP/1.1'), [`Content-Length: ${part.length}`]);
        socket.write(part);
      }
      await CLOSE[close](socket, heard);
      await waitFor(async () => (await contentOf(server, 'f')).endsWith('part 11\n'), 'all of them');
      expect(await contentOf(server, 'f')).toBe(parts.join(''));
    },
  );
});

describe('a request that is not whole', () => {
  it.each([
    ['with a length', ['Content-Length: 100']],
    ['in chunks', ['Transfer-Encoding: chunked']],
  ])('ends at once when its client closes its side: an append %s', async (_framing, headers) => {
    const server = await common.guest();
    const socket = await openSocket(server.port);
    writeHead(socket, within(server, 'PUT /f?verb=APPEND HTTP/1.1'), headers);
    socket.write('4\r\nsome\r\n');
    await waitFor(async () => (await contentOf(server, 'f')).length > 0, 'the first bytes');
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
    socket.end();
    await waitFor(() => follower.closeCode !== undefined, 'the end');
    expect(follower.closeCode).toBe(1011);
    await readToEnd(socket);
  });
});

describe('a client that waits for more and has closed its side', () => {
  /** What waits, and how many connections of a client are left. */
  async function startWaiting(head: string, isLive = true) {
    const server = await startServer();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    onTestFinished(() => appender.finish());
    await appender.send('some');
    await fetch(server.url('/stream'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    const count = () =>
      new Promise<number>((resolve) => server.app.server.getConnections((_, n) => resolve(n)));
    const before = await count();
    const socket = await openSocket(server.port);
    writeHead(socket, head);
    if (isLive) await readHead(socket);
    else await waitFor(async () => (await count()) > before, 'the connection');
    return { server, socket, gone: () => waitFor(async () => (await count()) <= before, 'it to be gone') };
  }

  test.each([
    ['a follower', 'GET /f?verb=FOLLOW HTTP/1.1', true],
    ['a follower of HTTP/1.0', 'GET /f?verb=FOLLOW HTTP/1.0', true],
    ['a live range', 'GET /f HTTP/1.1\r\nRange: bytes=0-9007199254740991', true],
    ['a reader of events', 'GET /stream?offset=-1&live=sse HTTP/1.1', true],
    ['a long-poll', 'GET /stream?offset=now&live=long-poll HTTP/1.1', false],
    ['one that waits for a resource', 'GET /none?verb=FOLLOW&wait=3600 HTTP/1.1', false],
  ])('is noticed though nothing is written: %s', async (_who, head, isLive) => {
    const { socket, gone } = await startWaiting(head, isLive);
    const end = readToEnd(socket);
    socket.end();
    await gone();
    await end;
  });

  it.each([
    ['a handshake', ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']],
    ['an offer of HTTP/2', ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings']],
  ])('is noticed also behind %s that waits for its turn', async (_what, headers) => {
    const { socket, gone } = await startWaiting('GET /none?verb=FOLLOW&wait=3600 HTTP/1.1', false);
    writeHead(socket, 'GET /none HTTP/1.1', headers);
    socket.end();
    await gone();
  });

  it('gets the events that are there, and a proper end', async () => {
    const server = await common.guest();
    await fetch(server.url('/s'), { method: 'PUT', headers: { 'content-type': 'text/plain' }, body: 'text' });
    const socket = await openSocket(server.port);
    writeHead(socket, within(server, 'GET /s?offset=-1&live=sse HTTP/1.1'));
    socket.end();
    const answer = (await readToEnd(socket)).toString();
    expect(answer).toContain('data:text');
    expect(answer).toMatch(/\r\n0\r\n\r\n$/);
  });

  it('gets them without chunks over HTTP/1.0, to the end of the connection', async () => {
    const server = await common.guest();
    await fetch(server.url('/s'), { method: 'PUT', headers: { 'content-type': 'text/plain' }, body: 'text' });
    const socket = await openSocket(server.port);
    writeHead(socket, within(server, 'GET /s?offset=-1&live=sse HTTP/1.0'), ['Connection: keep-alive']);
    socket.end();
    const { headers, body } = parseAnswer(await readToEnd(socket));
    expect(headers).toMatchObject({ connection: 'close', 'content-type': 'text/event-stream' });
    expect(headers).not.toHaveProperty('transfer-encoding');
    expect(body).toMatch(/^retry: \d+\n\nevent: data\ndata:text\n(.+\n)*\nevent: control\n(.+\n)*\n$/);
  });
});

it('a handshake whose client vanishes while it is opened leaves nothing behind', async () => {
  const server = await startServer();
  await fetch(server.url('/f'), { method: 'PUT', body: BODY });
  const appender = await Peer.connect(server.url('/live'), 'APPEND');
  const count = () =>
    new Promise<number>((resolve) => server.app.server.getConnections((_, n) => resolve(n)));
  const before = await count();
  for (const target of ['/f?lines=100000', '/live', '/none?wait=3600', '/none', '/g?session=abc']) {
    for (const end of Object.values(CLOSE)) {
      const verb = target.startsWith('/g') ? 'APPEND' : 'FOLLOW';
      const { socket, heard } = await connect(server);
      writeHead(socket, `GET ${target} HTTP/1.1`, [
        ...HANDSHAKE,
        'Sec-WebSocket-Protocol: httpfstream.v2',
        `X-Verb: ${verb}`,
      ]);
      await end(socket, heard);
    }
  }
  await waitFor(async () => (await count()) <= before, 'all to go');
  await appender.finish();
});

it("a request of an application's own whose client vanishes is aborted, as ever, though it has come as a whole", async () => {
  const app = Fastify();
  const seen: string[] = [];
  app.addHook('onRequestAbort', async (_request) => void seen.push('hook'));
  app.addHook('onRequest', async ({ raw }) => {
    raw.once('aborted', () => seen.push('aborted')).once('close', () => seen.push('closed'));
    await once(raw, 'close');
  });
  app.post('/own', async () => 'answer');
  await app.register(httpfstream, { root: await temporaryDirectory(), prefix: '/files' });
  const { port } = await listen(app);
  const socket = await openSocket(port);
  app.server.once('request', () => socket.resetAndDestroy());
  await send(
    socket,
    'POST /own HTTP/1.1',
    ['Content-Type: text/plain', 'Content-Length: 4'],
    Buffer.from('text'),
  );
  await waitFor(() => seen.length === 3, 'the end of the request');
  expect(seen.sort()).toEqual(['aborted', 'closed', 'hook']);
});

it("is to an application's own answers what it was: the connection ends", async () => {
  const server = await startServer({ prefix: '/files' });
  const ended: string[] = [];
  const socket = await openSocket(server.port);
  server.app.server.once('request', (_request, response) =>
    response.once('close', () => ended.push('answer')),
  );
  server.app.server.prependOnceListener('request', () => socket.end());
  writeHead(socket, 'GET /own HTTP/1.1');
  await waitFor(() => ended.length === 1, 'the end');
});
