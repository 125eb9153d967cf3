import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { openSocket, parseAnswer, type RawAnswer, readToEnd, writeHead } from '../../support/http/raw.ts';
import { send } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import type { UrlSource } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const TEXT = 'Content-Type: text/plain';
const JSON_TYPE = 'Content-Type: application/json';

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

let server: UrlSource & { port: number; root: string; path(urlPath: string): string };

/** Where there are a stream of text and one of values: as a guest, or with options, on a server of its own. */
async function start(options?: Parameters<typeof InProcessServer.start>[0]): Promise<void> {
  if (options === undefined) {
    server = await common.guest();
    await makeStreams();
  } else await startAlone(options);
}

/** The same on a server of its own, which can be started again. */
async function startAlone(options: Parameters<typeof InProcessServer.start>[0] = {}) {
  const alone = await InProcessServer.start(options);
  const own = (urlPath: string) => urlPath;
  server = { root: alone.root, port: alone.port, path: own, url: (urlPath) => alone.url(urlPath) };
  await makeStreams();
  return {
    restart: async () => {
      await alone.restart();
      server.port = alone.port;
    },
  };
}

async function makeStreams(): Promise<void> {
  expect((await new StreamPeer(server, '/text').create({}, 'bytes')).status).toBe(201);
  expect((await new StreamPeer(server, '/values', 'application/json').create()).status).toBe(201);
}

/** Writes a request head, with a path in the whole server. */
function begin(socket: Socket, requestLine: string, headers: readonly string[]): void {
  const [method, target = ''] = requestLine.split(' ');
  writeHead(socket, `${method} ${server.path(target)} HTTP/1.1`, headers);
}

/** Sends a request as it stands here, and reads to the end of the connection. */
async function exchange(
  requestLine: string,
  headers: readonly string[],
  body: string | Buffer = '',
): Promise<RawAnswer> {
  const socket = await openSocket(server.port);
  begin(socket, requestLine, ['Connection: close', ...headers]);
  socket.write(body);
  return parseAnswer(await readToEnd(socket));
}

/** A request with the length of its body. */
function exchangeWhole(requestLine: string, headers: readonly string[], body: string | Buffer = '') {
  return exchange(requestLine, [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body);
}

function codeOf(answer: RawAnswer): string | undefined {
  const isProblem = answer.headers['content-type']?.startsWith('application/problem+json') === true;
  return isProblem ? (JSON.parse(answer.body).code as string) : undefined;
}

function expectProblem(what: string, answer: RawAnswer, status: number, code: string): void {
  expect([what, answer.status, codeOf(answer)]).toEqual([what, status, code]);
  expect(answer.headers['x-content-type-options']).toBe('nosniff');
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  expect(problem).toMatchObject({ status, code, title: expect.any(String), type: expect.any(String) });
  expect(String(problem.detail)).not.toBe('');
  for (const { root } of [server, common.whole]) expect(answer.body).not.toContain(root);
}

/** Whatever was sent to it, the server is there and the stream has what it had. */
afterEach(async () => {
  const text = new StreamPeer(server, '/text');
  expect((await text.read()).text.startsWith('bytes')).toBe(true);
  expect((await text.append('!')).status).toBe(204);
  expect((await text.read()).text.endsWith('!')).toBe(true);
});

describe('a header that is malformed is 400, and nothing is made or appended:', () => {
  const TOO_LARGE = '9007199254740993';

  test('Stream-TTL and Stream-Expires-At', async () => {
    await start();
    const values = [
      '-1',
      '1.5',
      '01',
      '+1',
      '1e3',
      'abc',
      '0x10',
      '1 2',
      '1,2',
      '99999999999999999999',
      'Infinity',
      '\xb3',
    ];
    for (const value of values) {
      const answer = await exchangeWhole('PUT /new', [TEXT, `Stream-TTL: ${value}`]);
      expectProblem(`TTL ${value}`, answer, 400, 'HFS_INVALID_REQUEST');
    }
    const times = [
      'tomorrow',
      '2026-13-01T00:00:00Z',
      '2026-01-01T25:00:00Z',
      '2099-01-01T24:00:00Z',
      '2099-02-29T00:00:00Z',
      '2096-02-31T00:00:00Z',
      '2099-04-31T00:00:00+01:00',
      '2099-01-01T00:00:00+24:00',
      '1790000000',
      '2099-01-01T00:00:00',
      '\xe9',
    ];
    for (const value of times) {
      const answer = await exchangeWhole('PUT /new', [TEXT, `Stream-Expires-At: ${value}`]);
      expectProblem(`Expires-At ${value}`, answer, 400, 'HFS_INVALID_REQUEST');
    }
    const both = ['Stream-TTL: 60', 'Stream-Expires-At: 2099-01-01T00:00:00Z'];
    expectProblem('both', await exchangeWhole('PUT /new', [TEXT, ...both]), 400, 'HFS_INVALID_REQUEST');
    const twice = ['Stream-TTL: 60', 'Stream-TTL: 61'];
    expectProblem('twice', await exchangeWhole('PUT /new', [TEXT, ...twice]), 400, 'HFS_INVALID_REQUEST');
    expect((await new StreamPeer(server, '/new').head()).status).toBe(404);
  });

  test('Producer-Id, Producer-Epoch and Producer-Seq', async () => {
    await start();
    const good: Record<string, string> = { Id: 'p', Epoch: '0', Seq: '0' };
    const headersOf = (values: Record<string, string>) =>
      Object.entries(values).map(([name, value]) => `Producer-${name}: ${value}`);
    for (const name of ['Epoch', 'Seq']) {
      for (const value of ['-1', '1.5', 'abc', '', ' ', '1e3', '0x1', TOO_LARGE, '1 2', '\xb2', 'NaN']) {
        const headers = headersOf({ ...good, [name]: value });
        const answer = await exchangeWhole('POST /text', [TEXT, ...headers], 'x');
        expectProblem(`${name} ${value}`, answer, 400, 'HFS_INVALID_REQUEST');
      }
    }
    const empty = await exchangeWhole('POST /text', [TEXT, ...headersOf({ ...good, Id: '' })], 'x');
    expectProblem('no id', empty, 400, 'HFS_INVALID_REQUEST');
    for (const missing of ['Id', 'Epoch', 'Seq']) {
      const { [missing]: _, ...rest } = good;
      const answer = await exchangeWhole('POST /text', [TEXT, ...headersOf(rest)], 'x');
      expectProblem(`without ${missing}`, answer, 400, 'HFS_INVALID_REQUEST');
    }
    const later = await exchangeWhole('POST /text', [TEXT, ...headersOf({ ...good, Seq: '5' })], 'x');
    expect([400, 409]).toContain(later.status);
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
  });

  test('those of a fork', async () => {
    await start();
    const from = `Stream-Forked-From: ${server.path('/text')}`;
    const wrong = [
      [from, 'Stream-Fork-Offset: x'],
      [from, 'Stream-Fork-Offset: 9999999999999999_9999999999999999'],
      [from, 'Stream-Fork-Offset: 0000000000000000_0000000000000000', 'Stream-Fork-Sub-Offset: -1'],
      [from, 'Stream-Fork-Offset: 0000000000000000_0000000000000000', 'Stream-Fork-Sub-Offset: 1.5'],
      [from, 'Stream-Fork-Offset: 0000000000000000_0000000000000000', `Stream-Fork-Sub-Offset: ${TOO_LARGE}`],
      ['Stream-Fork-Sub-Offset: 0'],
      ['Stream-Forked-From: /%zz'],
    ];
    for (const headers of wrong) {
      const answer = await exchangeWhole('PUT /fork', headers);
      expectProblem(headers.join(), answer, 400, 'HFS_INVALID_REQUEST');
    }
    const nowhere = [
      '/missing',
      '/%00',
      server.path('/text/below'),
      '/../../etc/passwd',
      '',
      'http://elsewhere/text',
      '/.httpfstream/x',
      '/',
    ];
    for (const source of nowhere) {
      const answer = await exchangeWhole('PUT /fork', [`Stream-Forked-From: ${source}`]);
      expect([source, answer.status >= 400 && answer.status < 500]).toEqual([source, true]);
      expect(codeOf(answer)).toMatch(/^HFS_/);
    }
    expect((await exchangeWhole('PUT /text', [from])).status).toBe(409);
    expect((await new StreamPeer(server, '/fork').head()).status).toBe(404);
  });

  test('Content-Encoding and what it promises', async () => {
    await start();
    const gzipped = gzipSync('packed');
    const as = (encoding: string, body: string | Buffer) =>
      exchangeWhole('POST /text', [TEXT, `Content-Encoding: ${encoding}`], body);
    expectProblem('unknown', await as('zstd-x', 'x'), 415, 'HFS_UNSUPPORTED_ENCODING');
    expectProblem('not gzip', await as('gzip', 'plain'), 400, 'HFS_INVALID_REQUEST');
    expectProblem('half', await as('gzip', gzipped.subarray(0, 12)), 400, 'HFS_INVALID_REQUEST');
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
    expect((await as('gzip', gzipped)).status).toBe(204);
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytespacked');
  });

  test('a small body that unpacks to more than the limit is 413', async () => {
    await start();
    const bomb = gzipSync(Buffer.alloc(17 * 1024 * 1024), { level: 1 });
    const answer = await exchangeWhole('POST /text', [TEXT, 'Content-Encoding: gzip'], bomb);
    expectProblem('bomb', answer, 413, 'HFS_PAYLOAD_TOO_LARGE');
  });
});

describe('a header that is odd', () => {
  test('is compared byte by byte: Stream-Seq', async () => {
    const { restart } = await startAlone();
    const seq = async (value: string) =>
      (await exchangeWhole('POST /text', [TEXT, `Stream-Seq: ${value}`], 'x')).status;
    const grows = [
      '!',
      '0',
      '09',
      '1',
      '10',
      '2',
      'A',
      'Z',
      'a',
      'a b',
      'z',
      '~',
      '\x80',
      '\xc3\xa9',
      '\xe9',
      '\xff',
      '\xff\xff',
    ];
    for (const value of grows) expect([value, await seq(value)]).toEqual([value, 204]);
    for (const value of [...grows].reverse()) expect([value, await seq(value)]).toEqual([value, 409]);
    await restart();
    expect(await seq('\xff\xff')).toBe(409);
    expect(await seq('\xff\xff\x80')).toBe(204);
  });

  test('is kept as it is: Producer-Id', async () => {
    const { restart } = await startAlone();
    const produce = async (id: string) =>
      (
        await exchangeWhole(
          'POST /text',
          [TEXT, `Producer-Id: ${id}`, 'Producer-Epoch: 0', 'Producer-Seq: 0'],
          'x',
        )
      ).status;
    const ids = [
      '\xff',
      '\xc3\xa9',
      '\xe9',
      '__proto__',
      'constructor',
      'toString',
      '"{}[],',
      'a b',
      'x'.repeat(1000),
    ];
    for (const id of ids) expect([id, await produce(id)]).toEqual([id, 200]);
    await restart();
    for (const id of ids) expect([id, await produce(id)]).toEqual([id, 204]);
  });

  test('is no value of Stream-Closed, and is passed over', async () => {
    await start();
    for (const value of ['false', 'yes', '1', '', 'true, true', 'truex']) {
      const answer = await exchangeWhole('POST /text', [TEXT, `Stream-Closed: ${value}`], 'x');
      expect([value, answer.status, answer.headers['stream-closed']]).toEqual([value, 204, undefined]);
    }
    const upperCase = new StreamPeer(server, '/closed');
    expect((await upperCase.create({ 'stream-closed': 'TRUE' })).headers['stream-closed']).toBe('true');
  });

  test('may be any Content-Type: it comes back, or is refused', async () => {
    await start();
    const types = [
      'x',
      'text/plain; charset="',
      'a/b;c=d;;',
      '\xe9/\xff',
      'text/plain,text/html',
      'x'.repeat(5000),
      '*/*',
    ];
    for (const [index, type] of types.entries()) {
      const made = await exchangeWhole(`PUT /typed/${index}`, [`Content-Type: ${type}`], 'x');
      expect([type.slice(0, 30), [201, 400, 415].includes(made.status)]).toEqual([type.slice(0, 30), true]);
      if (made.status !== 201) {
        expect(codeOf(made)).toBeDefined();
        continue;
      }
      const read = await exchange(`GET /typed/${index}?offset=-1`, []);
      expect(read.headers['content-type']).toBe(type);
    }
  });

  test('is long: it is taken, or refused, up to 431', async () => {
    await start();
    const head = await exchangeWhole('POST /text', [TEXT, `Stream-Seq: ${'x'.repeat(8000)}`], 'x');
    expect([204, 400, 431]).toContain(head.status);
    const huge = await exchangeWhole('POST /text', [TEXT, `Stream-Seq: ${'x'.repeat(100_000)}`], 'x');
    expect(huge.status).toBe(431);
    const tags = Array.from({ length: 1000 }, (_, index) => `"${index}"`).join(', ');
    expect((await exchange('GET /text?offset=-1', [`If-None-Match: ${tags}`])).status).toBe(200);
    const commas = ','.repeat(15_000);
    expect((await exchange('GET /text?offset=-1', [`If-None-Match: ${commas}`])).status).toBe(200);
  });
});

describe('a query that is malformed', () => {
  test('is 400: live without an offset, or of no known kind', async () => {
    await start();
    const wrong = [
      'live=sse',
      'live=long-poll',
      'offset=-1&live=',
      'offset=-1&live=SSE',
      'offset=-1&live=x',
      'offset=now&live=sse&live=sse',
    ];
    for (const query of wrong) {
      expectProblem(query, await exchange(`GET /text?${query}`, []), 400, 'HFS_INVALID_REQUEST');
    }
  });

  test('is an escape that none is: 400', async () => {
    await start();
    for (const query of [
      'offset=%zz',
      'offset=%',
      'offset=%ff',
      'offset=%00',
      `offset=${'9'.repeat(5000)}`,
    ]) {
      expectProblem(query, await exchange(`GET /text?${query}`, []), 400, 'HFS_INVALID_REQUEST');
    }
  });

  test('is a strange cursor: a number comes back all the same', async () => {
    await start();
    const cursors = ['abc', '-1', '1e400', '', '9'.repeat(400), '%00', '0x10', '9007199254740993', '1.5'];
    const answers = await Promise.all(
      cursors.map((cursor) => exchange(`GET /text?offset=now&live=long-poll&cursor=${cursor}`, [])),
    );
    for (const [index, cursor] of cursors.entries()) {
      const answer = answers[index] as RawAnswer;
      expect([cursor.slice(0, 20), [204, 400].includes(answer.status)]).toEqual([cursor.slice(0, 20), true]);
      if (answer.status === 204) expect(answer.headers['stream-cursor']).toMatch(/^\d{1,20}$/);
    }
  });
});

describe('a body that is no JSON', () => {
  test('is 400 for a stream of values, and nothing is appended', async () => {
    await start();
    const wrong: readonly (string | Buffer)[] = [
      '{',
      '[',
      '[1',
      '[1,',
      '[1,]',
      '[,1]',
      '[1 2]',
      '{"a":1,}',
      '{"a"}',
      '{a:1}',
      "{'a':1}",
      "'a'",
      '"a',
      '"a\\',
      '"\\x41"',
      '"\\u12"',
      '"\ttab"',
      '"\0"',
      '\0',
      '1\0',
      '01',
      '.5',
      '1.',
      '+1',
      '-',
      '0x10',
      '1e',
      'NaN',
      'Infinity',
      '-Infinity',
      'undefined',
      'tru',
      'nullx',
      'True',
      '1 2',
      '[1][2]',
      '// c\n1',
      '/* c */ 1',
      '1;',
      '\u00a01',
      '\u20281',
      '\ufeff1',
      '\ufeff[1]',
      Buffer.from('[1]', 'utf16le'),
      Buffer.of(0x22, 0xff, 0x22),
      Buffer.of(0x22, 0xc3, 0x22),
      Buffer.of(0x22, 0xed, 0xa0, 0x80, 0x22),
      Buffer.of(0x22, 0xf0, 0x9f, 0x98, 0x22),
      Buffer.of(0x22, 0xc0, 0xaf, 0x22),
      Buffer.of(0x5b, 0x31, 0x80, 0x5d),
      '['.repeat(100_000),
      `${'['.repeat(100_000)}1${']'.repeat(99_999)}`,
      '{"a":'.repeat(100_000),
      `[${'1,'.repeat(100_000)}]`,
      `"${'\\'.repeat(99_999)}"`,
    ];
    for (const body of wrong) {
      const what = JSON.stringify(body.toString('latin1' as never)).slice(0, 40);
      const answer = await exchangeWhole('POST /values', [JSON_TYPE], body);
      expectProblem(what, answer, 400, 'HFS_INVALID_REQUEST');
      const made = await exchangeWhole('PUT /made', [JSON_TYPE], body);
      expectProblem(`PUT ${what}`, made, 400, 'HFS_INVALID_REQUEST');
    }
    expect((await new StreamPeer(server, '/values').read()).text.trim()).toBe('[]');
    expect((await new StreamPeer(server, '/made').head()).status).toBe(404);
  });

  test('but only deep is stored and comes back, or is refused', async () => {
    await start();
    for (const depth of [1000, 100_000, 1_000_000]) {
      const value = `${'['.repeat(depth)}1${']'.repeat(depth)}`;
      const answer = await exchangeWhole('POST /values', [JSON_TYPE], value);
      expect([depth, [204, 400].includes(answer.status)]).toEqual([depth, true]);
    }
    const { status, text } = await new StreamPeer(server, '/values').read();
    expect(status).toBe(200);
    expect(text.startsWith('[')).toBe(true);
  });

  test('is any bytes to a stream of text', async () => {
    await start();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    expect((await new StreamPeer(server, '/text').append(bytes)).status).toBe(204);
    expect(
      (await new StreamPeer(server, '/text').read()).body.equals(
        Buffer.concat([Buffer.from('bytes'), bytes]),
      ),
    ).toBe(true);
  });
});

describe('the framing of a body', () => {
  const CHUNKED = 'Transfer-Encoding: chunked';

  test('that breaks is 400 or the end of the connection, and nothing is appended', async () => {
    await start();
    const wrong: readonly [headers: readonly string[], body: string][] = [
      [[CHUNKED], 'zz\r\nwrong\r\n0\r\n\r\n'],
      [[CHUNKED], '\r\nwrong\r\n0\r\n\r\n'],
      [[CHUNKED], '-5\r\nwrong\r\n0\r\n\r\n'],
      [[CHUNKED], '5\r\nwrongX\r\n0\r\n\r\n'],
      [[CHUNKED], 'FFFFFFFFFFFFFFFFF\r\nwrong\r\n0\r\n\r\n'],
      [[CHUNKED], '0x5\r\nwrong\r\n0\r\n\r\n'],
      [[CHUNKED], `5;${'x'.repeat(100_000)}\r\nwrong\r\n0\r\n\r\n`],
      [[CHUNKED, 'Content-Length: 5'], '5\r\nwrong\r\n0\r\n\r\n'],
      [['Content-Length: 5', 'Content-Length: 6'], 'wrong!'],
      [['Content-Length: -5'], 'wrong'],
      [['Content-Length: 5x'], 'wrong'],
      [['Content-Length: 99999999999999999999999'], 'wrong'],
      [['Transfer-Encoding: chunked, identity'], '5\r\nwrong\r\n0\r\n\r\n'],
      [['Transfer-Encoding: gzip'], 'wrong'],
    ];
    for (const [headers, body] of wrong) {
      const socket = await openSocket(server.port);
      begin(socket, 'POST /text', [TEXT, ...headers]);
      socket.write(body);
      const bytes = await readToEnd(socket);
      if (bytes.length > 0) {
        const { status } = parseAnswer(bytes);
        const what = `${headers} ${JSON.stringify(body.slice(0, 30))}`;
        expect([what, [400, 413, 431].includes(status)]).toEqual([what, true]);
      }
    }
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
  });

  test('may have what hardly anybody uses: extensions and trailers', async () => {
    await start();
    const body = '5;name="value"\r\n;five\r\n0A\r\n;ten bytes\r\n0\r\nTrailer-Name: value\r\n\r\n';
    const answer = await exchange('POST /text', [TEXT, CHUNKED], body);
    expect(answer.status).toBe(204);
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes;five;ten bytes');
  });

  test('that is cut leaves nothing behind, wherever it is cut', async () => {
    await start();
    const whole = Buffer.from('5\r\nnever\r\n6\r\n whole\r\n0\r\n\r\n');
    for (let cut = 0; cut < whole.length; cut++) {
      const socket = await openSocket(server.port);
      begin(socket, 'POST /text', [TEXT, CHUNKED]);
      socket.write(whole.subarray(0, cut));
      if (cut % 2 === 0) socket.end();
      else await new Promise((resolve) => socket.write('', resolve));
      if (cut % 2 === 1) socket.resetAndDestroy();
      else await readToEnd(socket);
    }
    for (let cut = 0; cut < 10; cut++) {
      const socket = await openSocket(server.port);
      begin(socket, 'PUT /made', [TEXT, 'Content-Length: 10']);
      socket.end('0123456789'.slice(0, cut));
      await readToEnd(socket);
    }
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
    expect((await new StreamPeer(server, '/made').head()).status).toBe(404);
  });

  test('that claims too much is 413 before it has come', async () => {
    await start();
    const answer = await exchange('POST /text', [TEXT, 'Content-Length: 17000000000'], 'never');
    expectProblem('claims', answer, 413, 'HFS_PAYLOAD_TOO_LARGE');
  });

  test('leaves the connection usable for what is pipelined behind it', async () => {
    await start();
    const socket = await openSocket(server.port);
    for (const part of ['one', 'two', 'three']) {
      begin(socket, 'POST /text', [TEXT, `Content-Length: ${part.length}`]);
      socket.write(part);
    }
    begin(socket, 'POST /text', [JSON_TYPE, 'Content-Length: 5']);
    socket.write('wrong');
    begin(socket, 'GET /text?offset=-1', ['Connection: close']);
    const text = (await readToEnd(socket)).toString();
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 204',
      'HTTP/1.1 204',
      'HTTP/1.1 204',
      'HTTP/1.1 409',
      'HTTP/1.1 200',
    ]);
    // They may be worked on at the same time.
    const stored = (await new StreamPeer(server, '/text').read()).text;
    expect(stored.length).toBe('bytesonetwothree'.length);
    for (const part of ['bytes', 'one', 'two', 'three']) expect(stored).toContain(part);
  });
});

describe('a body that does not come', () => {
  const BODY_IDLE_MS = 400;

  /** Between two bytes of a body that is slow: all of it takes longer than a body may be idle. */
  const BYTE_PAUSE_MS = 300;

  test.each([
    ['POST', '/text', ['Content-Length: 10'], 'half '],
    ['POST', '/text', ['Content-Length: 10'], ''],
    ['POST', '/text', ['Transfer-Encoding: chunked'], '5\r\nhalf \r\n'],
    ['PUT', '/made', ['Content-Length: 10'], 'half '],
    ['PUT', '/made', ['Transfer-Encoding: chunked'], '5\r\nha'],
  ] as const)('is 408 after a while: %s %s with %s', async (method, urlPath, headers, body) => {
    await start({ bodyIdleTimeoutMs: BODY_IDLE_MS });
    const socket = await openSocket(server.port);
    begin(socket, `${method} ${urlPath}`, [TEXT, ...headers]);
    socket.write(body);
    const started = performance.now();
    // What comes late is not taken for the next request, so the connection must end.
    const answer = parseAnswer(await readToEnd(socket));
    expect(performance.now() - started).toBeGreaterThanOrEqual(BODY_IDLE_MS - 50);
    expectProblem(method, answer, 408, 'HFS_BODY_TIMEOUT');
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
    expect((await new StreamPeer(server, '/made').head()).status).toBe(404);
  });

  test('but comes byte by byte is taken, however long that lasts', async () => {
    await start({ bodyIdleTimeoutMs: 8 * BYTE_PAUSE_MS - 1 });
    const slow = (async function* () {
      for (let k = 0; k < 8; k++) {
        await new Promise((resolve) => setTimeout(resolve, BYTE_PAUSE_MS));
        yield String(k);
      }
    })();
    expect((await new StreamPeer(server, '/text').append(slow)).status).toBe(204);
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes01234567');
  });

  test('holds up nobody else, and many of them neither', async () => {
    await start({ bodyIdleTimeoutMs: NEVER_MS });
    const sockets = await Promise.all(Array.from({ length: 100 }, () => openSocket(server.port)));
    for (const socket of sockets) {
      begin(socket, 'POST /text', [TEXT, 'Content-Length: 10']);
      socket.write('half ');
    }
    for (let k = 0; k < 10; k++) expect((await new StreamPeer(server, '/text').append('x')).status).toBe(204);
    expect(sockets.some(({ readableEnded }) => readableEnded)).toBe(false);
    for (const socket of sockets) socket.destroy();
    expect((await new StreamPeer(server, '/text').read()).text).toBe(`bytes${'x'.repeat(10)}`);
  });
});

describe('a method', () => {
  test('that is not known here is 405 and says which are', async () => {
    await start();
    for (const method of ['PATCH', 'TRACE', 'PROPFIND', 'LOCK', 'PURGE', 'MKCOL']) {
      const answer = await exchangeWhole(`${method} /text`, [TEXT], 'x');
      expectProblem(method, answer, 405, 'HFS_METHOD_NOT_ALLOWED');
      for (const allowed of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) {
        expect(answer.headers.allow).toContain(allowed);
      }
    }
    expect((await exchange('BREW /text', [])).status).toBe(400);
    expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
  });

  test('that is known says what is missing', async () => {
    await start();
    expectProblem('no type', await exchangeWhole('POST /text', [], 'x'), 400, 'HFS_INVALID_REQUEST');
    expectProblem('no body', await exchangeWhole('POST /text', [TEXT], ''), 400, 'HFS_INVALID_REQUEST');
    expectProblem(
      'no stream',
      await exchangeWhole('POST /missing', [TEXT], 'x'),
      404,
      'HFS_RESOURCE_NOT_FOUND',
    );
    expectProblem('no stream', await exchange('DELETE /missing', []), 404, 'HFS_RESOURCE_NOT_FOUND');
    expectProblem(
      'other type',
      await exchangeWhole('POST /text', [JSON_TYPE], '1'),
      409,
      'HFS_CONTENT_TYPE_MISMATCH',
    );
    expectProblem(
      'other type',
      await exchangeWhole('PUT /text', [JSON_TYPE], ''),
      409,
      'HFS_STREAM_CONFLICT',
    );
    const gap = ['Producer-Id: p', 'Producer-Epoch: 0', 'Producer-Seq: 0'];
    expect((await exchangeWhole('POST /text', [TEXT, ...gap], 'x')).status).toBe(200);
    const skipped = [...gap.slice(0, 2), 'Producer-Seq: 2'];
    expectProblem('gap', await exchangeWhole('POST /text', [TEXT, ...skipped], 'x'), 409, 'HFS_PRODUCER_GAP');
    const newer = ['Producer-Id: p', 'Producer-Epoch: 1', 'Producer-Seq: 0'];
    expect((await exchangeWhole('POST /text', [TEXT, ...newer], 'x')).status).toBe(200);
    expectProblem(
      'fenced',
      await exchangeWhole('POST /text', [TEXT, ...gap], 'x'),
      403,
      'HFS_PRODUCER_FENCED',
    );
    const closed = new StreamPeer(server, '/closed');
    await closed.create({ 'stream-closed': 'true' });
    expectProblem('closed', await exchangeWhole('POST /closed', [TEXT], 'x'), 409, 'HFS_STREAM_CLOSED');
  });

  test('is answered with text when the client prefers that', async () => {
    await start();
    const answer = await exchange('GET /missing?offset=-1', ['Accept: text/plain']);
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    for (const accept of ['*/*', 'application/json', 'text/event-stream', 'application/problem+json']) {
      const problem = await exchange('GET /missing?offset=-1', [`Accept: ${accept}`]);
      expectProblem(accept, problem, 404, 'HFS_RESOURCE_NOT_FOUND');
    }
  });

  test('OPTIONS says what can be done, and is no error', async () => {
    await start();
    const answer = await send('OPTIONS', server.url('/text'));
    expect([200, 204]).toContain(answer.status);
  });
});

test('clients that go away at any moment leave no connection and no reader behind', async () => {
  await start({ longPollMs: 60_000 });
  const requests = [
    'GET /text?offset=-1&live=sse HTTP/1.1',
    'GET /text?offset=now&live=sse HTTP/1.1',
    'GET /text?offset=now&live=long-poll HTTP/1.1',
    'GET /text?offset=-1 HTTP/1.1',
    'POST /text HTTP/1.1',
    'PUT /made HTTP/1.1',
  ];
  const before = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  for (const request of requests) {
    for (let delay = 0; delay < 6; delay++) {
      const socket = await openSocket(server.port);
      writeHead(socket, request, [TEXT, 'Content-Length: 5']);
      if (delay > 3) socket.write('half');
      for (let turn = 0; turn < delay; turn++) await new Promise((resolve) => setImmediate(resolve));
      socket.resetAndDestroy();
    }
  }
  await waitFor(
    () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length <= before,
    'all connections to be gone',
  );
  expect((await new StreamPeer(server, '/text').read()).text).toBe('bytes');
});
