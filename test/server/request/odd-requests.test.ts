import { readFile, rm, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  HANDSHAKE,
  openSocket,
  parseAnswer,
  rawRequest,
  readHead,
  readToEnd,
  writeHead,
} from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { makeDirectory } from '../../support/server/reserves.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';

const KIB = 1024;

let server: InProcessServer;

beforeAll(async () => {
  server = new InProcessServer(await makeDirectory('quick'), {});
  await server.start();
  await writeFile(path.join(server.root, 'f.txt'), 'content');
});

afterAll(async () => {
  await server.stop();
  await rm(server.root, { recursive: true, force: true });
});

/** Sends a request with a body as it stands here, and reads the answer to the end of the connection. */
async function exchange(requestLine: string, headers: readonly string[], body = 'abc', length = true) {
  const socket = await openSocket(server.port);
  writeHead(socket, requestLine, [
    ...headers,
    ...(length ? [`Content-Length: ${body.length}`] : []),
    'Connection: close',
  ]);
  socket.write(body);
  return parseAnswer(await readToEnd(socket));
}

describe.each([
  ['none', []],
  ['an empty one', ['Content-Type:']],
  ['a semicolon', ['Content-Type: ;']],
  ['a word', ['Content-Type: text']],
  ['half of one', ['Content-Type: text/']],
  ['too much of one', ['Content-Type: a/b/c']],
  ['two', ['Content-Type: text/plain, text/html']],
  ['what curl says by itself', ['Content-Type: application/x-www-form-urlencoded']],
])('a Content-Type that is %s', (name, headers) => {
  const file = name.replaceAll(' ', '-');

  it.each(['PUT', 'POST'])('does not matter for %s with verb APPEND', async (method) => {
    const answer = await exchange(`${method} /${method}-${file}?verb=APPEND HTTP/1.1`, headers);
    expect(answer.status).toBe(201);
    expect(await readFile(path.join(server.root, `${method}-${file}`), 'utf8')).toBe('abc');
  });

  it('does not matter for GET, HEAD, OPTIONS and DELETE, which may have a body', async () => {
    for (const [method, status] of [
      ['GET', 200],
      ['HEAD', 200],
      ['OPTIONS', 204],
      ['PATCH', 405],
    ] as const) {
      const answer = await exchange(`${method} /f.txt HTTP/1.1`, headers);
      expect([method, answer.status]).toEqual([method, status]);
    }
    await writeFile(path.join(server.root, `deleted-${file}`), 'content');
    expect((await exchange(`DELETE /deleted-${file} HTTP/1.1`, headers)).status).toBe(204);
  });

  it('is refused in words of this server where a stream is to be made or appended to, unless it is left out', async () => {
    const isMissing = headers.length === 0 || headers[0] === 'Content-Type:';
    const isOne = headers[0]?.includes('x-www-form') === true;
    const made = await exchange(`PUT /made-${file} HTTP/1.1`, headers);
    expect(made.status).toBe(isMissing || isOne ? 201 : 400);
    await send('PUT', server.url(`/stream-${file}`), { headers: { 'content-type': 'text/plain' } });
    const appended = await exchange(`POST /stream-${file} HTTP/1.1`, headers);
    expect([400, 409]).toContain(appended.status);
    expect(JSON.parse(appended.body).detail).toContain('?verb=APPEND');
    const closed = await exchange(`POST /stream-${file} HTTP/1.1`, [...headers, 'Stream-Closed: true'], '');
    expect(closed.status).toBe(204);
  });
});

describe('a request', () => {
  it.each([
    ['100-continue', 100],
    ['100-CONTINUE', 100],
    ['200-ok', 417],
    ['the unexpected', 417],
  ])('that expects %s is answered %d first', async (expectation, status) => {
    const socket = await openSocket(server.port);
    const name = encodeURIComponent(expectation);
    writeHead(socket, `PUT /expect-${name}?verb=APPEND HTTP/1.1`, [
      `Expect: ${expectation}`,
      'Content-Length: 3',
    ]);
    const first = parseAnswer(await readHead(socket));
    expect(first.status).toBe(status);
    if (status === 417) expect(JSON.parse(first.body).code).toBe('HFS_EXPECTATION_FAILED');
    else socket.write('abc');
  });

  it.each([
    ['GET http://host/f.txt', 200],
    ['GET HTTP://host:81/f.txt?x=1', 200],
    ['HEAD http://host/f.txt', 200],
    ['GET http://host', 200],
    ['GET http://host/d/..?x=1', 301],
    ['GET http:///f.txt', 400],
    ['PUT file://host/f', 400],
    ['GET ws://host/f.txt', 400],
    ['GET /f.txt#top', 400],
    ['GET /f.txt#verb=FOLLOW', 400],
    ['GET http://host#x/f.txt', 400],
    ['PUT /new#verb=APPEND', 400],
    ['GET f.txt', 400],
    ['GET *', 400],
    ['PUT *', 400],
    ['OPTIONS *', 204],
    ['OPTIONS http://host/f.txt', 204],
    ['TRACE /f.txt', 405],
    ['GET /f.txt?%zz=%', 200],
    [`GET /f.txt?${'x'.repeat(30 * KIB)}`, 200],
    [`GET /f.txt?${'x=1&'.repeat(5 * KIB)}`, 200],
    [`GET /${'%C3%A9'.repeat(127)}`, 404],
    ['GET /F.TXT', 404],
  ])('%s is answered %d', async (line, status) => {
    const answer = await rawRequest(server.port, `${line} HTTP/1.1`);
    expect(answer.status).toBe(status);
    if (status >= 400) expect(answer.headers['content-type']).toBe('application/problem+json');
  });

  it('in absolute form waits with its body, too, until it is known to be possible', async () => {
    const socket = await openSocket(server.port);
    const headers = ['Expect: 100-continue', 'Content-Encoding: zstd', 'Content-Length: 3'];
    writeHead(socket, 'PUT http://host/new?verb=APPEND HTTP/1.1', headers);
    expect(parseAnswer(await readHead(socket)).status).toBe(415);
  });

  it.each([
    ['gzip, chunked', 501],
    ['x, chunked', 501],
    ['CHUNKED', 201],
  ])('whose body has the Transfer-Encoding %s is answered %d', async (coding, status) => {
    const name = coding.replaceAll(/\W/g, '');
    const body = '3\r\nabc\r\n0\r\n\r\n';
    const headers = [`Transfer-Encoding: ${coding}`];
    const appended = await exchange(`PUT /${name}?verb=APPEND HTTP/1.1`, headers, body, false);
    expect(appended.status).toBe(status);
    const made = await exchange(`PUT /made-${name} HTTP/1.1`, headers, body, false);
    expect(made.status).toBe(status);
  });

  it.each([
    ['IDENTITY', 201],
    ['', 201],
    ['identity, identity', 415],
    ['gzip, gzip', 415],
    ['gzip, br', 415],
    ['zstd', 415],
  ])('whose body has the Content-Encoding %s is answered %d', async (encoding, status) => {
    const name = encodeURIComponent(encoding.replaceAll(' ', ''));
    const answer = await exchange(`PUT /encoded-${name}?verb=APPEND HTTP/1.1`, [
      `Content-Encoding: ${encoding}`,
    ]);
    expect(answer.status).toBe(status);
  });

  it('of HTTP/1.0 keeps its connection if it asks for that', async () => {
    const socket = await openSocket(server.port);
    writeHead(socket, 'GET /f.txt HTTP/1.0', ['Connection: keep-alive']);
    expect(parseAnswer(await readHead(socket)).headers.connection).toBe('keep-alive');
    writeHead(socket, 'GET /f.txt HTTP/1.0');
    expect(parseAnswer(await readToEnd(socket))).toMatchObject({ status: 200, body: 'content' });
  });

  it('may bring 32 KiB of headers, over whatever transport, and no more than 64', async () => {
    const cookies = Array.from({ length: 4 }, (_, i) => `Cookie: c${i}=${'x'.repeat(8 * KIB)}`);
    const one = [`Cookie: ${'x'.repeat(32 * KIB)}`];
    for (const headers of [cookies, one]) {
      expect((await rawRequest(server.port, 'GET /f.txt HTTP/1.1', headers)).status).toBe(200);
      expect((await exchange('PUT /cookies?verb=APPEND HTTP/1.1', headers)).status).toBeLessThan(300);
      const socket = await openSocket(server.port);
      writeHead(socket, 'GET /cookies-ws?verb=APPEND HTTP/1.1', [...HANDSHAKE, ...headers]);
      expect(parseAnswer(await readHead(socket)).status).toBe(101);
      socket.destroy();
    }
    const answer = await rawRequest(server.port, 'GET /f.txt HTTP/1.1', [`Cookie: ${'x'.repeat(80 * KIB)}`]);
    expect([answer.status, JSON.parse(answer.body).status]).toEqual([431, 431]);
  });
});

describe('a request that is to change something under a condition', () => {
  it('does so only if the condition holds', async () => {
    const url = server.url('/conditional');
    const statusIf = async (method: string, headers: http.OutgoingHttpHeaders, query = '') =>
      (await send(method, url + query, { headers: { 'content-type': 'text/plain', ...headers }, body: 'x' }))
        .status;
    expect(await statusIf('PUT', { 'if-match': '*' })).toBe(412);
    expect(await statusIf('PUT', { 'if-none-match': '*' })).toBe(201);
    expect(await statusIf('PUT', { 'if-none-match': '*' })).toBe(412);
    const old = (await send('GET', url)).headers.etag;
    expect(await statusIf('POST', { 'if-match': old })).toBe(204);
    for (const method of ['PUT', 'POST', 'DELETE']) {
      expect([method, await statusIf(method, { 'if-match': old })]).toEqual([method, 412]);
      const longAgo = { 'if-unmodified-since': new Date(0).toUTCString() };
      expect([method, await statusIf(method, longAgo)]).toEqual([method, 412]);
    }
    expect(await statusIf('PUT', { 'if-match': old }, '?verb=APPEND')).toBe(412);
    expect((await send('GET', url)).text).toBe('xx');
    const { etag } = (await send('GET', `${url}?offset=-1`)).headers;
    expect(await statusIf('DELETE', { 'if-match': `"other", ${etag}` })).toBe(204);
  });
});
