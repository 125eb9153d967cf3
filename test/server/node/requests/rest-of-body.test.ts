import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type DropLimits, dropRestOfBody } from '../../../../src/server/node/requests/rest-of-body.ts';
import { openSocket, parseAnswer, readHead, writeHead } from '../../../support/http/raw.ts';
import { send } from '../../../support/http/request.ts';
import { startServer, type TestServer } from '../../../support/server/server.ts';
import { waitFor } from '../../../support/wait-for.ts';

/** Long enough for whatever is to come before. */
const AGES_MS = 600_000;

/** A request whose body is written by `write`, and what drops that. */
async function ask(write: (socket: net.Socket) => void) {
  const server = http.createServer();
  onTestFinished(() => void server.close().closeAllConnections());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const asked = new Promise<IncomingMessage>((resolve) => void server.once('request', resolve));
  const socket = await openSocket((server.address() as AddressInfo).port);
  writeHead(socket, 'PUT / HTTP/1.1', ['Content-Length: 100000']);
  write(socket);
  const request = await asked;
  const drop = (limits: DropLimits) => dropRestOfBody(request, limits);
  return { request, drop };
}

/** Drops the body of a request that is written by `write`. */
async function drop(limits: DropLimits, write: (socket: net.Socket) => void): Promise<boolean> {
  return (await ask(write)).drop(limits);
}

describe('the rest of a body that nobody wants', () => {
  it('is read to its end', async () => {
    expect(await drop({ timeoutMs: AGES_MS }, (socket) => socket.write(Buffer.alloc(100_000)))).toBe(true);
  });

  it('is read for a bounded time, though it drips', async () => {
    const dripped = await drop({ timeoutMs: 50 }, (socket) => {
      const dripping = setInterval(() => socket.write('x'), 5);
      onTestFinished(() => clearInterval(dripping));
    });
    expect(dripped).toBe(false);
  });

  it('is read up to a bounded number of bytes', async () => {
    const limits = { timeoutMs: AGES_MS, maxBytes: 50_000 };
    expect(await drop(limits, (socket) => socket.write(Buffer.alloc(99_999)))).toBe(false);
  });

  it.each([
    ['bytes', { timeoutMs: AGES_MS, maxBytes: 10 }],
    ['time', { timeoutMs: 10 }],
  ])('is not read any more when a limit of %s is reached', async (_what, limits) => {
    const { request, drop } = await ask((socket) => socket.write(Buffer.alloc(50_000)));
    expect([await drop(limits), request.isPaused()]).toEqual([false, true]);
  });

  it('is read for as long as the client is there', async () => {
    expect(await drop({ timeoutMs: AGES_MS }, (socket) => void socket.resetAndDestroy())).toBe(false);
  });
});

describe('a request that is answered before its body has come', () => {
  const length = (bytes: number) => `Content-Length: ${bytes}`;
  const CHUNKED = 'Transfer-Encoding: chunked';

  it('keeps no connection, whether the body is silent or drips, and is told the answer', async () => {
    const server = await startServer();
    await send('PUT', server.url('/there'), { body: 'bytes' });
    const cases: (readonly [status: number, requestLine: string, header: string])[] = [
      [200, 'GET /there', length(1000)],
      [200, 'GET /there', CHUNKED],
      [200, 'GET /', length(1_000_000)],
      [200, 'HEAD /there', CHUNKED],
      [204, 'OPTIONS /', CHUNKED],
      [404, 'GET /missing', length(1000)],
      [404, 'DELETE /missing', length(1000)],
      [404, 'DELETE /missing', CHUNKED],
      [405, 'PATCH /there', length(1000)],
      [409, 'PUT /there/below?verb=APPEND', length(1000)],
      [400, 'PUT /f?offset=1', length(1000)],
      [400, 'PUT /f?offset=1', CHUNKED],
      [400, 'POST /%zz', length(1000)],
      [413, 'POST /there', length(100_000_000)],
    ];
    const statuses = cases.flatMap(([status, requestLine, header]) =>
      [false, true].map(async (drips) => {
        const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
        onTestFinished(() => void socket.destroy());
        socket.on('error', () => undefined);
        const head = readHead(socket);
        writeHead(socket, `${requestLine} HTTP/1.1`, [header, 'Content-Type: text/plain']);
        const dripping = setInterval(() => {
          if (drips && !socket.destroyed) socket.write(header === CHUNKED ? '1\r\nx\r\n' : 'x');
        }, 20);
        onTestFinished(() => clearInterval(dripping));
        const answer = parseAnswer(await head);
        socket.resume();
        return [requestLine, header, answer.status, status];
      }),
    );
    for (const [requestLine, header, told, status] of await Promise.all(statuses)) {
      expect([requestLine, header, told]).toEqual([requestLine, header, status]);
    }
    const { server: http } = server.app;
    const count = () => new Promise<number>((resolve) => http.getConnections((_error, n) => resolve(n)));
    await waitFor(async () => (await count()) === 0, 'the server to close all connections');
  });

  it('keeps its connection when the body ends soon', async () => {
    const server = await startServer();
    const socket = await openSocket(server.port);
    writeHead(socket, 'DELETE /missing HTTP/1.1', [length(10)]);
    expect(parseAnswer(await readHead(socket)).status).toBe(404);
    socket.write('0123456789');
    writeHead(socket, 'OPTIONS / HTTP/1.1');
    expect(parseAnswer(await readHead(socket)).status).toBe(204);
  });
});

it('is nobody’s when the client has gone: a refusal is not kept waiting for it', async () => {
  const server = await startServer();
  const warnings: string[] = [];
  const warn = ({ message }: Error) => warnings.push(message);
  process.on('warning', warn);
  onTestFinished(() => void process.off('warning', warn));
  for (let i = 0; i < 20; i++) {
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET / HTTP/1.1', ['Transfer-Encoding: chunked']);
    socket.end().once('finish', () => socket.destroy());
    await once(socket, 'close');
  }
  await waitFor(async () => (await connectionsOf(server)) === 0, 'all connections to be closed');
  // What each of its answers leaves on a response that never ends adds up to what Node takes for a leak.
  expect(warnings).toEqual([]);
});

function connectionsOf({ app }: TestServer): Promise<number> {
  return promisify(app.server.getConnections.bind(app.server))();
}
