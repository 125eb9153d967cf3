import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { requestResource } from '../../../src/cli/resource-request.ts';
import { cannotConnect } from '../../../src/client/connection/cannot-connect.ts';
import { follow } from '../../../src/client/index.ts';
import { ConnectionError } from '../../../src/wire/errors.ts';

/** Runs a server until the test is over, and returns its host and port. */
async function start(server: Server): Promise<string> {
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that says `text` to everybody. */
const saying = (text: string | Buffer) => createServer((socket) => void socket.write(text));

/** Speaks TLS; it needs no certificate to be asked for something else. */
const tls = () => createTlsServer({}).on('tlsClientError', () => undefined);

const BAD_HANDSHAKE =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n';

const HEAD = 'HTTP/1.1 200 OK\r\n';

const NO_TLS = /^the server does not speak TLS at this port \(http:\/\/ in place of https:\/\/\?\): /;
const HUNG_UP = /^the server hung up before its answer \((https?):\/\/ in place of (?!\1:)https?:\/\/\?\): /;
const TLS = /^the server speaks TLS at this port \(https:\/\/ in place of http:\/\/\?\): /;
const NO_HTTP = /^the server does not speak HTTP at this port: /;

test.each([
  ['https to a server of HTTP', 'https', () => createHttpServer(), NO_TLS],
  ['https to one that hangs up', 'https', () => createServer((socket) => void socket.end()), HUNG_UP],
  ['https to another one', 'https', () => saying('SSH-2.0-OpenSSH_9\r\n'), NO_TLS],
  ['http to a server of TLS', 'http', tls, HUNG_UP],
  ['http to one that answers with an alert', 'http', () => saying(Buffer.from('15030300020250', 'hex')), TLS],
  ['http to another one', 'http', () => saying('SSH-2.0-OpenSSH_9\r\n'), NO_HTTP],
  [
    'http to one with a header too large',
    'http',
    () => saying(`${HEAD}X: ${'a'.repeat(100_000)}\r\n\r\n`),
    /^the head of the answer is too large: /,
  ],
  [
    'http to one with a broken header',
    'http',
    () => saying(`${HEAD}X y: a\r\n\r\n`),
    /^a header of the answer is malformed: /,
  ],
  [
    'http to one with a header that has a control character',
    'http',
    () => saying(`${HEAD}X: a\x01\r\n\r\n`),
    /^a header of the answer is malformed: /,
  ],
  [
    'http to one with two lengths',
    'http',
    () => saying(`${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`),
    /^the answer has a length twice, or one beside Transfer-Encoding: /,
  ],
  [
    'http to one with a length that is none',
    'http',
    () => saying(`${HEAD}Content-Length: five\r\n\r\n`),
    /^the answer has a length that is malformed/,
  ],
  [
    'http to one with two ways to tell the end',
    'http',
    () => saying(`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`),
    /^the answer has a (length|Transfer-Encoding)/,
  ],
  ['http to a server that knows HTTP/2 only', 'http', () => createHttp2Server(), NO_HTTP],
])('%s is told in words, to followers and to those who ask for a size', async (_, scheme, serve, words) => {
  const url = `${scheme}://${await start(serve() as Server)}/f`;
  const [[followed], asked] = await Promise.all([
    once(follow(url), 'close').then(
      () => [undefined],
      (error) => [error],
    ),
    requestResource(url, { method: 'HEAD', headers: {} }).catch((error) => error),
  ]);
  for (const error of [followed, asked]) {
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toMatch(words);
    expect(error.message).not.toContain('\n');
    expect(error.cause).toBeInstanceOf(Error);
  }
});

test('a server that answers as none of WebSocket is told', async () => {
  const [error] = await once(follow(`http://${await start(saying(BAD_HANDSHAKE))}/f`), 'close').catch((e) => [
    e,
  ]);
  expect(error.message).toMatch(/^this is no WebSocket server: /);
});

describe('words for', () => {
  test.each([
    ['ECONNREFUSED', 'nobody listens there: what the system says'],
    ['ENOTFOUND', 'nobody knows this host: what the system says'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', /NODE_EXTRA_CA_CERTS names more\): what the system says$/],
    ['CERT_HAS_EXPIRED', 'its certificate is out of date: what the system says'],
    ['ENOSPC', 'what the system says'],
  ])('%s', (code, words) => {
    const error = Object.assign(new Error('what the system says'), { code });
    expect(cannotConnect(error, new URL('wss://example.com/')).message).toMatch(words);
  });

  test('an error that has nothing but a code', () => {
    const error = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
    expect(cannotConnect(error, new URL('ws://example.com/')).message).toBe(
      'nobody listens there: ECONNREFUSED',
    );
  });
});
