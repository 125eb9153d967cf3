import { createHash, randomBytes } from 'node:crypto';
import { appendFile, mkdir, utimes, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { partsOf } from '../../support/http/multipart.ts';
import { openSocket, readToEnd, writeHead } from '../../support/http/raw.ts';
import { type Answer, get, head } from '../../support/http/request.ts';
import { startServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openAppender } from '../../support/websocket/appends.ts';

const common = serverForAll();

const DIGITS = '0123456789abcdefghij';

/** A server with one file. */
async function serve(content: string | Buffer, name = 'f.txt') {
  const server = await common.guest();
  await mkdir(path.dirname(path.join(server.root, name)), { recursive: true });
  await writeFile(path.join(server.root, name), content);
  return { ...server, file: server.url(`/${name}`), ageTo: ageing(path.join(server.root, name)) };
}

/** Sets when the last change of a file was, in seconds before now. Resolves to that time in milliseconds. */
function ageing(file: string) {
  return async (seconds: number): Promise<number> => {
    const changedMs = Date.now() - seconds * 1000;
    await utimes(file, changedMs / 1000, changedMs / 1000);
    return changedMs;
  };
}

const httpDate = (timeMs: number) => new Date(timeMs).toUTCString();

/** A server with one file that somebody appends to: what is asked for is the same. */
async function serveLive(content: string, name = 'f.txt') {
  const server = await common.guest();
  const appender = await openAppender(server, `/${name}`, content);
  return {
    ...server,
    file: server.url(`/${name}`),
    appender,
    ageTo: ageing(path.join(server.root, name)),
  };
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const textOf = (answer: Answer) => answer.body.toString();

/** What GET and HEAD must agree on. A refusal's body has a length that HEAD need not tell. */
function comparableHeaders({ status, headers }: Answer) {
  const { date: _date, 'content-length': contentLength, ...others } = headers;
  return { status, ...others, ...(status < 300 && { contentLength }) };
}

describe('a whole file', () => {
  it('comes with its length, its validators and nosniff', async () => {
    const { file, root } = await serve('hello');
    const answer = await get(file);
    expect(answer.status).toBe(200);
    expect(textOf(answer)).toBe('hello');
    expect(answer.headers).toMatchObject({
      'content-length': '5',
      'content-type': 'text/plain; charset=utf-8',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
    });
    await utimes(path.join(root, 'f.txt'), 1000, 1000.9);
    expect((await get(file)).headers['last-modified']).toBe(new Date(1_000_000).toUTCString());
    expect(answer.headers.etag).toMatch(/^"[!#-~]+"$/);
    expect(answer.headers).not.toHaveProperty('content-range');
    expect(answer.headers).not.toHaveProperty('transfer-encoding');
  });

  it('has another entity tag when the content changed within the same second and length', async () => {
    const { file, root } = await serve('one');
    const name = path.join(root, 'f.txt');
    await utimes(name, 1000, 1000);
    const { etag } = (await get(file)).headers;
    await writeFile(name, 'two');
    await utimes(name, 1000, 1000.5);
    expect((await get(file)).headers.etag).not.toBe(etag);
  });

  it.each([
    ['a.html', 'text/html; charset=utf-8'],
    ['a.json', 'application/json; charset=utf-8'],
    ['a.css', 'text/css; charset=utf-8'],
    ['a.png', 'image/png'],
    ['a.PNG', 'image/png'],
    ['a.log', 'text/plain; charset=utf-8'],
    ['a.mp4', 'video/mp4'],
    ['a.tar.gz', 'application/gzip'],
  ])('has the type of its extension: %s', async (name, expected) => {
    const { file } = await serve('\0binary', name);
    expect((await get(file)).headers['content-type']).toBe(expected);
  });

  it.each([
    ['text', 'hello', 'text/plain; charset=utf-8'],
    ['nothing', '', 'text/plain; charset=utf-8'],
    ['text in colour', '\u001b[31mred\u001b[0m\r\n\ttab', 'text/plain; charset=utf-8'],
    ['UTF-8', 'é日本🙂', 'text/plain; charset=utf-8'],
    ['HTML, which must not become a page', '<html><script>alert(1)</script>', 'text/plain; charset=utf-8'],
    ['binary data', Buffer.of(0x7f, 0x45, 0x4c, 0x46, 0, 1), 'application/octet-stream'],
    ['binary data after 512 bytes of text', `${'x'.repeat(512)}\0`, 'text/plain; charset=utf-8'],
  ])('without an extension is told by its bytes: %s', async (_what, content, expected) => {
    for (const name of ['README', '.hidden', 'odd.unknownextension']) {
      const { file } = await serve(content, name);
      expect((await get(file)).headers['content-type']).toBe(expected);
    }
  });

  it('keeps its type when only a part of it is asked for', async () => {
    const { file } = await serve(`\0${DIGITS}`, 'data');
    const { headers } = await get(file, { range: 'bytes=5-9' });
    expect(headers['content-type']).toBe('application/octet-stream');
  });

  it('of 8 MiB arrives byte for byte', async () => {
    const content = randomBytes(8 * 1024 * 1024);
    const { file } = await serve(content);
    const answer = await get(file);
    expect(answer.headers['content-length']).toBe(String(content.length));
    expect(sha256(answer.body)).toBe(sha256(content));
    const start = 2_345_678;
    const part = await get(file, { range: `bytes=${start}-` });
    expect(sha256(part.body)).toBe(sha256(content.subarray(start)));
  });

  it('of 8 MiB arrives byte for byte as the answer to an upgrade that is not taken', async () => {
    const content = randomBytes(8 * 1024 * 1024);
    const { port, path: pathOf } = await serve(content);
    for (const [upgrade, connection] of [
      ['h2c', 'Upgrade, close'],
      ['websocket', 'Upgrade'],
    ]) {
      const socket = await openSocket(port);
      writeHead(socket, `GET ${pathOf('/f.txt')} HTTP/1.1`, [
        `Upgrade: ${upgrade}`,
        `Connection: ${connection}`,
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ]);
      const bytes = await readToEnd(socket);
      expect(bytes.toString('latin1', 0, 12)).toBe('HTTP/1.1 200');
      expect(sha256(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4))).toBe(sha256(content));
    }
  });
});

describe.each([
  ['that nobody appends to', serve],
  ['that is being appended', serveLive],
])('a file %s', (_what, start) => {
  it('has the same headers for HEAD as for GET, and no body', async () => {
    const { file, ageTo } = await start(DIGITS);
    await ageTo(3600);
    for (const headers of [
      {},
      { range: 'bytes=2-5' },
      { range: 'bytes=99-' },
      { 'if-none-match': '*' },
      { accept: 'application/json' },
    ]) {
      const [whole, headOnly] = [await get(file, headers), await head(file, headers)];
      // What HEAD tells is old at once: it is asked for the size of what grows.
      expect(comparableHeaders(headOnly)).toEqual({
        ...comparableHeaders(whole),
        'cache-control': 'no-store',
      });
      expect(headOnly.body).toHaveLength(0);
    }
  });

  it('is not sent again to who names its entity tag', async () => {
    const { file } = await start(DIGITS);
    const { etag } = (await get(file)).headers;
    for (const value of [etag, `W/${etag}`, '*', `"x", ${etag}`, `"x",W/"y",${etag},"z"`]) {
      const answer = await get(file, { 'if-none-match': value });
      expect([value, answer.status]).toEqual([value, 304]);
      expect(answer.body).toHaveLength(0);
      expect(answer.headers.etag).toBe(etag);
    }
    expect((await get(file, { 'if-none-match': '"x", "y"' })).status).toBe(200);
  });

  it('is not sent again to who has it since its last change', async () => {
    const { file, ageTo } = await start(DIGITS);
    const changedMs = await ageTo(3600);
    const lastModified = (await get(file)).headers['last-modified'] as string;
    expect(lastModified).toBe(httpDate(changedMs));
    const statusSince = async (value: string) => (await get(file, { 'if-modified-since': value })).status;
    expect(await statusSince(lastModified)).toBe(304);
    expect(await statusSince(httpDate(changedMs + 60_000))).toBe(304);
    expect(await statusSince(httpDate(changedMs - 1000))).toBe(200);
    expect(await statusSince('yesterday')).toBe(200);
    // In that second it may yet change.
    expect(await statusSince(httpDate(Date.now()))).toBe(200);
    expect(await statusSince(httpDate(Date.now() + 60_000))).toBe(200);
  });

  it('is told under a date that no later state has, in the second in which it was changed', async () => {
    const { file, ageTo } = await start(DIGITS);
    // Long enough for that second not to be over meanwhile.
    for (const ageSeconds of [-60, -3600]) {
      const changedMs = await ageTo(ageSeconds);
      const answer = await get(file);
      const toldMs = Date.parse(answer.headers['last-modified'] as string);
      expect(toldMs).toBeLessThan(Math.floor(changedMs / 1000) * 1000);
      // Not the Date header: Node has it anew by a timer, which may be late.
      expect(toldMs).toBeLessThan(Math.floor(Date.now() / 1000) * 1000);
      for (const since of [toldMs, changedMs]) {
        const conditional = { 'if-modified-since': httpDate(since) };
        expect((await get(file, conditional)).status).toBe(200);
        expect((await head(file, conditional)).status).toBe(200);
      }
    }
    // As if that second was over, and the file has grown in it.
    const told = (await get(file)).headers['last-modified'] as string;
    await ageTo(0);
    expect((await get(file, { 'if-modified-since': told })).status).toBe(200);
  });

  it('is sent to nobody who means another one', async () => {
    const { file, ageTo } = await start(DIGITS);
    const changedMs = await ageTo(3600);
    const { etag } = (await get(file)).headers;
    const statusIf = async (headers: http.OutgoingHttpHeaders) => {
      const { status } = await get(file, headers);
      expect((await head(file, headers)).status).toBe(status);
      return status;
    };
    for (const same of [etag, '*', `"x", ${etag}`]) expect(await statusIf({ 'if-match': same })).toBe(200);
    for (const other of ['"x"', `W/${etag}`, `"x${etag}`]) {
      expect([other, await statusIf({ 'if-match': other })]).toEqual([other, 412]);
    }
    expect(await statusIf({ 'if-unmodified-since': httpDate(changedMs) })).toBe(200);
    expect(await statusIf({ 'if-unmodified-since': httpDate(changedMs - 1000) })).toBe(412);
    expect(await statusIf({ 'if-unmodified-since': httpDate(Date.now() + 3_600_000) })).toBe(200);
    expect(await statusIf({ 'if-unmodified-since': 'yesterday' })).toBe(200);
    // The tag counts, and it comes before what is sent only if it is another one.
    expect(await statusIf({ 'if-match': etag, 'if-unmodified-since': httpDate(0) })).toBe(200);
    expect(await statusIf({ 'if-match': '"x"', 'if-none-match': etag })).toBe(412);
    expect(await statusIf({ 'if-match': etag, 'if-none-match': etag })).toBe(304);
  });

  it('is told by its entity tag rather than its date when both are named', async () => {
    const { file } = await start(DIGITS);
    const { etag, 'last-modified': lastModified } = (await get(file)).headers;
    expect((await get(file, { 'if-none-match': '"x"', 'if-modified-since': lastModified })).status).toBe(200);
    expect(
      (await get(file, { 'if-none-match': etag, 'if-modified-since': new Date(0).toUTCString() })).status,
    ).toBe(304);
  });

  it.each([
    ['a range', 'bytes=2-5', '2345', '2-5'],
    ['the first byte', 'bytes=0-0', '0', '0-0'],
    ['the last byte', 'bytes=19-19', 'j', '19-19'],
    ['everything', 'bytes=0-19', DIGITS, '0-19'],
    ['an open range', 'bytes=15-', 'fghij', '15-19'],
    ['an open range from the start', 'bytes=0-', DIGITS, '0-19'],
    ['a range over the end', 'bytes=15-99999', 'fghij', '15-19'],
    ['a range far over the end', 'bytes=15-99999999999999999999999', 'fghij', '15-19'],
    ['a suffix', 'bytes=-3', 'hij', '17-19'],
    ['a suffix of everything', 'bytes=-20', DIGITS, '0-19'],
    ['a suffix longer than the file', 'bytes=-21', DIGITS, '0-19'],
    ['a suffix much longer than the file', 'bytes=-1000000', DIGITS, '0-19'],
    ['adjacent ranges', 'bytes=2-3,4-5', '2345', '2-5'],
    ['overlapping ranges', 'bytes=2-4, 3-5', '2345', '2-5'],
    ['a range and one that is not there', 'bytes=2-5,50-60', '2345', '2-5'],
    ['a suffix longer than the file, beside a range in it', 'bytes=1-2,-30', DIGITS, '0-19'],
  ])('sends %s', async (_range, range, body, contentRange) => {
    const { file } = await start(DIGITS);
    const answer = await get(file, { range });
    expect(answer.status).toBe(206);
    expect(textOf(answer)).toBe(body);
    expect(answer.headers).toMatchObject({
      'content-range': `bytes ${contentRange}/20`,
      'content-length': String(body.length),
      'content-type': 'text/plain; charset=utf-8',
    });
    expect(answer.headers.etag).toBe((await get(file)).headers.etag);
  });

  it('sends several ranges as parts, in the order asked for', async () => {
    const { file } = await start(DIGITS);
    const answer = await get(file, { range: 'bytes=10-12, 0-1,-2' });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(answer.headers).not.toHaveProperty('content-range');
    const parts = partsOf(answer).map(({ headers, body }) => ({ ...headers, body: body.toString() }));
    const type = { 'content-type': 'text/plain; charset=utf-8' };
    expect(parts).toEqual([
      { ...type, 'content-range': 'bytes 10-12/20', body: 'abc' },
      { ...type, 'content-range': 'bytes 0-1/20', body: '01' },
      { ...type, 'content-range': 'bytes 18-19/20', body: 'ij' },
    ]);
  });

  it.each(['bytes=20-', 'bytes=20-30', 'bytes=99999999999999999999-', 'bytes=-0', 'bytes=30-40,50-'])(
    'cannot satisfy %s, and says how long it is',
    async (range) => {
      const { file } = await start(DIGITS);
      const answer = await get(file, { range });
      expect(answer.status).toBe(416);
      expect(answer.headers['content-range']).toBe('bytes */20');
      expect(textOf(answer)).not.toContain(DIGITS);
    },
  );

  it.each([
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1',
    'bytes=--1',
    'bytes=1-2-3',
    'bytes=0x1-0x2',
    'bytes=1.5-2',
    'bytes=2-5,x',
    'lines=1-2',
    'garbage',
  ])('is sent whole when the range makes no sense: %s', async (range) => {
    const { file } = await start(DIGITS);
    const answer = await get(file, { range });
    expect(answer.status).toBe(200);
    expect(textOf(answer)).toBe(DIGITS);
  });

  it('takes the unit of a range in any case', async () => {
    const { file } = await start(DIGITS);
    expect(textOf(await get(file, { range: 'Bytes=2-5' }))).toBe('2345');
  });

  it('sends a range only if the validator is still right', async () => {
    const { file, ageTo } = await start(DIGITS);
    await ageTo(3600);
    const { etag, 'last-modified': lastModified } = (await get(file)).headers;
    const bodyIf = async (value?: string) =>
      textOf(await get(file, { range: 'bytes=2-5', 'if-range': value }));
    expect(await bodyIf(etag)).toBe('2345');
    expect(await bodyIf(lastModified)).toBe('2345');
    for (const stale of ['"x"', `W/${etag}`, 'Thu, 01 Jan 1970 00:00:00 GMT', 'garbage']) {
      expect(await bodyIf(stale)).toBe(DIGITS);
    }
  });

  it('sends a range under a date only if that is a minute old', async () => {
    const { file, ageTo } = await start(DIGITS);
    for (const [ageSeconds, body] of [
      [62, '2345'],
      [58, DIGITS],
      [0, DIGITS],
    ] as const) {
      await ageTo(ageSeconds);
      const lastModified = (await get(file)).headers['last-modified'];
      const answer = await get(file, { range: 'bytes=2-5', 'if-range': lastModified });
      expect([ageSeconds, textOf(answer)]).toEqual([ageSeconds, body]);
    }
  });

  it('answers 304 before it looks at a range', async () => {
    const { file } = await start(DIGITS);
    const { etag } = (await get(file)).headers;
    expect((await get(file, { 'if-none-match': etag, range: 'bytes=0-1' })).status).toBe(304);
  });
});

describe('many ranges', () => {
  it('of large parts are exact', async () => {
    const content = randomBytes(3 * 1024 * 1024);
    const { file } = await serve(content);
    const ranges = Array.from({ length: 50 }, (_, i) => [i * 60_000, i * 60_000 + 50_000] as const);
    const answer = await get(file, { range: `bytes=${ranges.map((range) => range.join('-')).join(',')}` });
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    const parts = partsOf(answer);
    expect(parts).toHaveLength(50);
    for (const [i, [start, end]] of ranges.entries()) {
      expect(parts[i]?.body.equals(content.subarray(start, end + 1))).toBe(true);
    }
  });

  it('are too many from some number on: the file is sent whole', async () => {
    const { file } = await serve('x'.repeat(1000));
    const range = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join(',')}`;
    expect((await get(file, { range: range(100) })).status).toBe(206);
    const answer = await get(file, { range: range(400) });
    expect(answer.status).toBe(200);
    expect(answer.body).toHaveLength(1000);
  });

  it('that say the same again and again do not make a longer answer', async () => {
    const { file } = await serve('x'.repeat(1000));
    const answer = await get(file, { range: `bytes=${'0-,'.repeat(99)}0-` });
    expect(answer.body).toHaveLength(1000);
  });
});

describe('an empty file', () => {
  it.each([undefined, 'bytes=0-', 'bytes=0-0', 'bytes=-5'])(
    'is sent as it is, range or not: %s',
    async (range) => {
      const { file } = await serve('');
      const answer = await get(file, range === undefined ? {} : { range });
      expect(answer.status).toBe(200);
      expect(answer.headers['content-length']).toBe('0');
      expect(answer.body).toHaveLength(0);
    },
  );
});

describe('a growing file', () => {
  it('is sent as far as it is committed, and its validators move on', async () => {
    const { file, appender } = await serveLive('hello');
    const before = await get(file);
    expect([textOf(before), before.headers['content-length']]).toEqual(['hello', '5']);
    await appender.send(' world');
    await waitFor(async () => textOf(await get(file)) === 'hello world', 'the second append');
    const after = await get(file, { 'if-none-match': before.headers.etag });
    expect(after.status).toBe(200);
    expect(after.headers['content-length']).toBe('11');
    expect((await get(file, { range: 'bytes=5-', 'if-range': before.headers.etag })).status).toBe(200);
    expect(textOf(await get(file, { range: 'bytes=5-' }))).toBe(' world');
  });

  it('is sent only as far as it is committed, whatever else is in the file', async () => {
    const { file, root } = await serveLive('hello');
    await appendFile(path.join(root, 'f.txt'), ' not committed');
    for (const [range, body] of [
      [undefined, 'hello'],
      ['bytes=3-', 'lo'],
      ['bytes=-2', 'lo'],
      ['bytes=0-99', 'hello'],
    ] as const) {
      const answer = await get(file, range === undefined ? {} : { range });
      expect([range, textOf(answer), answer.headers['content-length']]).toEqual([
        range,
        body,
        `${body.length}`,
      ]);
    }
    expect((await get(file, { range: 'bytes=5-' })).headers['content-range']).toBe('bytes */5');
    expect((await head(file)).headers['content-length']).toBe('5');
  });

  it('keeps its entity tag when its append ends', async () => {
    const { file, appender } = await serveLive('hello');
    const { etag } = (await get(file)).headers;
    await appender.finish();
    const after = await get(file, { 'if-none-match': etag });
    expect([after.status, after.headers.etag]).toEqual([304, etag]);
  });

  it('is a prefix of what is being written in every answer, whole or in parts', async () => {
    const server = await startServer();
    const content = randomBytes(4 * 1024 * 1024);
    const appender = await openAppender(server, '/f.bin');
    let writing = true;
    const written = (async () => {
      for (let at = 0; at < content.length; at += 10_000) {
        appender.websocket.send(content.subarray(at, at + 10_000));
        if (at % 100_000 === 0) await nextTurn();
      }
      writing = false;
    })();
    const file = server.url('/f.bin');
    const check = ({ status, headers, body }: Answer, expected: Buffer) => {
      expect(headers['content-length']).toBe(String(body.length));
      expect([status, body.equals(expected)]).toEqual([status, true]);
    };
    let answers = 0;
    for (; writing || answers < 20; answers++) {
      const whole = await get(file);
      check(whole, content.subarray(0, whole.body.length));
      if (whole.body.length < 1000) continue;
      const tail = await get(file, { range: 'bytes=-1000' });
      const [, start = '', size = ''] =
        /^bytes (\d+)-\d+\/(\d+)$/.exec(tail.headers['content-range'] ?? '') ?? [];
      check(tail, content.subarray(Number(start), Number(size)));
      expect(Number(size)).toBeGreaterThanOrEqual(whole.body.length);
    }
    await written;
    await waitFor(
      async () => (await head(file)).headers['content-length'] === String(content.length),
      'the whole content to be committed',
    );
    check(await get(file), content);
  });
});
