import { readFile, writeFile } from 'node:fs/promises';
import net, { type Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  openSocket,
  parseAnswer,
  rawRequest,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { startStandalone, type TestServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

/** A client that never closes, whatever the server does. */
async function openStubborn(port: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined).resume();
  await new Promise<void>((resolve) => void socket.once('connect', () => resolve()));
  return socket;
}

async function allGone({ app }: TestServer): Promise<void> {
  const count = () => new Promise<number>((resolve) => app.server.getConnections((_error, n) => resolve(n)));
  await waitFor(async () => (await count()) === 0, 'the server to close the connection');
}

const CHUNKED = 'Transfer-Encoding: chunked';
const put = (framing: string) => `PUT /f HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`;

describe('what is no request', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['a malformed header', 'GET / HTTP/1.1\r\nno header\r\n\r\n'],
    ['a head that is too long', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(100_000)}`],
    ['two lengths', 'PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  ])('is answered, and its connection cut, though the client stays: %s', async (_what, bytes) => {
    const server = await startStandalone();
    const socket = await openStubborn(server.port);
    const answer = readToEnd(socket);
    socket.write(bytes);
    expect(parseAnswer(await answer).status).toBeGreaterThanOrEqual(400);
    await allGone(server);
  });

  it('is said to whoever says nothing, or not all, and the connection is cut', async () => {
    const server = await startStandalone();
    server.app.server.headersTimeout = 100;
    const sockets = await Promise.all([openStubborn(server.port), openStubborn(server.port)]);
    sockets[1]?.write('GET / HTTP/1.1\r\nHost:');
    const answers = await Promise.all(sockets.map((socket) => readToEnd(socket)));
    expect(answers.map((answer) => parseAnswer(answer).status)).toEqual([408, 408]);
    await allGone(server);
  });

  it.each([
    ['a head that is cut short', 'GET / HTTP/1.1\r\nHost:', 'the request was cut short'],
    ['a body that is cut short', `${put('Content-Length: 10')}abc`, 'the request was cut short'],
    ['a chunk that is cut short', `${put(CHUNKED)}5\r\nab`, 'the request was cut short'],
    ['a malformed length of a chunk', `${put(CHUNKED)}ZZ\r\n`, 'the chunks of the body are malformed'],
    ['a chunk that is too long', `${put(CHUNKED)}1\r\nabc\r\n`, 'the chunks of the body are malformed'],
    ['a malformed trailer', `${put(CHUNKED)}0\r\nno trailer\r\n\r\n`, 'the chunks of the body are malformed'],
  ])('is not what %s is told', async (_what, bytes, detail) => {
    const server = await startStandalone();
    const socket = await openSocket(server.port);
    socket.end(bytes);
    const { status, body } = parseAnswer(await readToEnd(socket));
    expect({ status, ...JSON.parse(body) }).toMatchObject({
      status: 400,
      code: 'HFS_INVALID_REQUEST',
      detail,
    });
  });

  it('is not said in the middle of an answer, which is finished', async () => {
    const server = await startStandalone();
    const content = Buffer.alloc(20_000_000, 'content ');
    await writeFile(path.join(server.root, 'f'), content);
    const socket = await openSocket(server.port);
    socket.write('GET /f HTTP/1.1\r\nHost: x\r\n\r\nwhat is this?\r\n\r\n');
    const answer = await readToEnd(socket);
    expect(parseAnswer(answer).body === content.toString()).toBe(true);
    await allGone(server);
  });

  it('is not said to a follower, who goes on', async () => {
    const server = await startStandalone();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    await appender.send('one');
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET /f?verb=FOLLOW HTTP/1.1');
    await readHead(socket);
    const rest = readToEnd(socket);
    socket.write('what is this?\r\n\r\n');
    socket.write('and this?\r\n\r\n');
    await appender.send('two');
    await appender.finish();
    const text = (await rest).toString();
    expect(text).toContain('two');
    expect(text).not.toContain('HTTP/1.1');
    await allGone(server);
  });
});

describe('a malformed chunk', () => {
  const head = (target: string) => `POST ${target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n`;

  it.each([
    ['an append', '/f?verb=APPEND', ''],
    ['an append with a token', '/f?verb=APPEND&session=aaaaaaaaaaaaaaaaaaaa', ''],
    ['a compressed append', '/f?verb=APPEND', 'Content-Encoding: br\r\n'],
  ])('ends %s at once, which says so, and the next appender is let in', async (_what, target, more) => {
    const server = await startStandalone();
    const socket = await openStubborn(server.port);
    socket.write(`${head(target)}${more}\r\n`);
    await waitFor(() => readFile(path.join(server.root, 'f')).then(Boolean, () => false), 'the file');
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
    const answer = readToEnd(socket);
    socket.write('ZZ\r\n');
    await waitFor(() => follower.closeCode !== undefined, 'the end');
    expect(follower.closeCode).toBe(1011);
    const next = await rawRequest(server.port, 'POST /f?verb=APPEND HTTP/1.1', ['Content-Length: 0']);
    expect(next.status).toBe(200);
    expect(parseAnswer(await answer).status).toBe(400);
    await allGone(server);
  });

  it.each([
    ['a POST to a stream', 'POST /stream HTTP/1.1', ['Content-Type: text/plain']],
    ['a PUT that stores a file', 'PUT /g HTTP/1.1', []],
    ['a form', 'POST /d/?verb=APPEND HTTP/1.1', ['Content-Type: multipart/form-data; boundary=b']],
  ])('refuses %s', async (_what, requestLine, headers) => {
    const server = await startStandalone();
    await fetch(server.url('/stream'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    const socket = await openStubborn(server.port);
    const answer = readToEnd(socket);
    writeHead(socket, requestLine, [...headers, 'Transfer-Encoding: chunked']);
    socket.write('4\r\nsome\r\nZZ\r\n');
    expect(parseAnswer(await answer).status).toBe(400);
    expect(await (await fetch(server.url('/stream'))).text()).toBe('');
  });
});
