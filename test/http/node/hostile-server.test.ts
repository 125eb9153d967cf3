import http from 'node:http';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { client, nodeFetch, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { serve, serveBytes, serveRaw } from '../../support/http/servers.ts';
import { waitFor } from '../../support/wait-for.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

const read = async (url: string) => text(await client(url).get('/').send());

describe('an answer', () => {
  test.each([
    ['has fewer bytes than it declares', `${HEAD}Content-Length: 10\r\n\r\nhello`, 'close'],
    ['is reset in its body', `${HEAD}Content-Length: 10\r\n\r\nhello`, 'reset'],
    ['has more bytes than it declares', `${HEAD}Content-Length: 2\r\n\r\nhello`, 'open'],
    ['that lasts until the connection closes is reset', `${HEAD}\r\nhello`, 'reset'],
    ['has a chunk whose size is none', `${CHUNKED}zz\r\nhello\r\n0\r\n\r\n`, 'open'],
    ['has a chunk that is longer than its size', `${CHUNKED}5\r\nhello, you\r\n0\r\n\r\n`, 'open'],
    ['has no last chunk', `${CHUNKED}5\r\nhello\r\n`, 'close'],
    ['has endless trailers', `${CHUNKED}5\r\nhello\r\n0\r\n${'X: y\r\n'.repeat(20_000)}`, 'open'],
  ] as const)('that %s is an error of its body', async (_what, answer, then) => {
    const response = await client(await serveBytes(answer, then))
      .get('/')
      .send()
      .catch((error) => error);
    // What comes with the head may break it already.
    const error = response instanceof Error ? response : await rejection(text(response));
    expect(error).toMatchObject({ code: 'HFS_CONNECTION', cause: expect.any(Error) });
  });

  test.each([
    ['has an endless head', `${HEAD}${'X: y\r\n'.repeat(20_000)}`],
    ['has an endless header', `${HEAD}X: ${'y'.repeat(100_000)}`],
    ['has two lengths', `${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\nhel`],
    ['has a length and chunks', `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['switches to another protocol', 'HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['has a status that is none', 'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok'],
  ])('that %s is refused', async (_what, answer) => {
    expect(await rejection(read(await serveBytes(answer)))).toMatchObject({ code: 'HFS_CONNECTION' });
  });

  test.each([
    ['is closed', 'close'],
    ['is reset', 'reset'],
  ] as const)('is missing when the connection %s', async (_how, then) => {
    expect(await rejection(read(await serveBytes('', then)))).toMatchObject({ code: 'HFS_CONNECTION' });
  });
});

describe('an answer is read as it is meant', () => {
  test.each([
    [
      'after answers that are not final',
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${HEAD}Content-Length: 5\r\n\r\nhello`,
      'hello',
    ],
    ['with trailers', `${CHUNKED}5;ext=1\r\nhello\r\n0\r\nX: y\r\n\r\n`, 'hello'],
    ['without a body, whatever it declares', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', ''],
    ['that has none, whatever it declares', 'HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhel', ''],
    ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
  ])('%s', async (_what, answer, expected) => {
    expect(await read(await serveBytes(answer))).toBe(expected);
  });

  test.each([
    ['length', `${HEAD}Content-Length: 5\r\n\r\nhello`],
    ['chunks', `${CHUNKED}5\r\nhello\r\n0\r\n\r\n`],
  ])('when it had come as its %s say, though nobody read it before a reset', async (_how, answer) => {
    let reset = () => {};
    const url = await serveRaw((socket) => {
      socket.write(answer);
      reset = () => socket.resetAndDestroy();
    });
    const agent = new http.Agent({ keepAlive: true });
    const fetch = nodeFetch({ agents: { http: agent } });
    const response = await client(url, { fetch }).get('/').send();
    reset();
    await waitFor(() => Object.keys(agent.sockets).length === 0, 'the reset');
    expect(await text(response)).toBe('hello');
  });

  test('until the connection closes', async () => {
    expect(await read(await serveBytes(`${HEAD}\r\nhello`, 'close'))).toBe('hello');
  });
});

test('an answer with very many headers has all of them, also those that say how its body is coded', async () => {
  const many = Array.from({ length: 1500 }, (_, i) => `${i}: x\r\n`).join('');
  const head = `${HEAD}${many}Content-Encoding: identity, gzip\r\n`;
  const coded = gzipSync('hello');
  const url = await serveBytes(
    Buffer.concat([Buffer.from(`${head}Content-Length: ${coded.length}\r\n\r\n`), coded]),
  );
  const response = await client(url).get('/').send();
  expect([[...response.headers].length, await text(response)]).toEqual([1502, 'hello']);
});

describe('a server that is slow', () => {
  test('with its head is given up after the time limit', async () => {
    const url = await serveRaw((socket) => {
      let sent = 0;
      const timer = setInterval(() => socket.write(`${HEAD}${'X: y\r\n'.repeat(9999)}`[sent++] ?? ''), 5);
      socket.once('close', () => clearInterval(timer));
    });
    const error = await rejection(client(url).get('/').timeout(60).send());
    expect(error).toMatchObject({ code: 'HFS_TIMEOUT', message: 'no answer within 60 ms' });
  });

  test('with its body may take as long as it likes, byte by byte', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 10 });
      let sent = 0;
      const timer = setInterval(() => {
        response.write('x');
        if (++sent === 10) clearInterval(timer);
      }, 10);
    });
    expect(await text(await client(url).get('/').timeout(60_000).idleTimeout(60_000).send())).toBe(
      'xxxxxxxxxx',
    );
  });

  test('and stops in its body is given up after the idle limit, and its connection closed', async () => {
    // Where all is slow, the limit may pass before there is a connection.
    let openCount = 0;
    const url = await serveRaw((socket) => {
      openCount++;
      socket.write(`${HEAD}Content-Length: 10\r\n\r\nhello`);
      socket.once('close', () => openCount--);
    });
    const reading = client(url).get('/').idleTimeout(50).send().then(text);
    expect(await rejection(reading)).toMatchObject({ code: 'HFS_TIMEOUT' });
    await waitFor(() => openCount === 0, 'the connection to be closed');
  });
});

describe('a server that refuses a body while it is sent', () => {
  test('is heard, and the source is asked for no more', async () => {
    const url = await serve((_request, response) => response.writeHead(413).end('too large'));
    let pulled = 0;
    let isEnded = false;
    const endless = async function* () {
      try {
        for (;;) {
          pulled++;
          yield new Uint8Array(65_536);
        }
      } finally {
        isEnded = true;
      }
    };
    const response = await client(url).post('/').body(endless()).send();
    expect(response.status).toBe(413);
    await waitFor(() => isEnded, 'the source to be ended');
    const before = pulled;
    expect(await text(response)).toBe('too large');
    expect(pulled).toBe(before);
  });

  test('with a success may go on, and is sent the rest', async () => {
    const url = await serve((request, response) => {
      response.writeHead(200).flushHeaders();
      request.pipe(response);
    });
    const gate = { open: () => {} };
    const opened = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    const body = async function* () {
      yield 'before ';
      await opened;
      yield 'after';
    };
    const response = await client(url).post('/').body(body()).send();
    gate.open();
    expect(await text(response)).toBe('before after');
  });

  test('with a success that ends before the body does ends the source', async () => {
    const url = await serve((_request, response) => response.end('enough'));
    let isEnded = false;
    const body = async function* () {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        isEnded = true;
      }
    };
    expect(await text(await client(url).post('/').body(body()).send())).toBe('enough');
    await waitFor(() => isEnded, 'the source to be ended');
  });

  test('by a reset ends the source, too', async () => {
    const url = await serveRaw((socket) => socket.resetAndDestroy());
    let isEnded = false;
    const body = async function* () {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        isEnded = true;
      }
    };
    expect(await rejection(client(url).post('/').body(body()).send())).toMatchObject({
      code: 'HFS_CONNECTION',
    });
    await waitFor(() => isEnded, 'the source to be ended');
  });
});

test('a connection on which an answer comes that nobody has asked for is closed', async () => {
  const sockets: Socket[] = [];
  const url = await serveRaw((socket) => {
    sockets.push(socket);
    const body = sockets.length === 1 ? 'first' : 'second';
    socket.write(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`);
  });
  expect(await read(url)).toBe('first');
  const begun = performance.now();
  sockets[0]?.write(`${HEAD}Content-Length: 6\r\n\r\npoison`);
  await waitFor(() => sockets[0]?.destroyed === true, 'the connection to be closed');
  // Not for being idle, after 4 s.
  expect(performance.now() - begun).toBeLessThan(3500);
  expect(await read(url)).toBe('second');
  expect(sockets[1]).not.toBe(sockets[0]);
});
