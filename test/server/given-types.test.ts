import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { runServer } from '../../src/cli/server/run-server.ts';
import { append, follow, openAppend } from '../../src/client/index.ts';
import { StreamStore } from '../../src/core/streams/stream-store.ts';
import { storageFailure } from '../../src/storage/storage-failure.ts';
import { systemError } from '../support/disk/small-disk.ts';
import { get, head, send, upload } from '../support/http/request.ts';
import { NEVER_MS } from '../support/patience.ts';
import { runHere } from '../support/programs/command.ts';
import { InProcessServer } from '../support/server/restartable-server.ts';
import { startServer, temporaryDirectory } from '../support/server/server.ts';
import { serverForAll } from '../support/server/server-for-all.ts';
import { ServerProcess } from '../support/server/server-process.ts';
import { SseReader } from '../support/streams/sse-reader.ts';
import { refusalOf, sessionOf, V2Peer } from '../support/websocket/v2-peer.ts';

const common = serverForAll();

/** `HTTPFSTREAM_SOAK=1` kills servers with both durabilities, `npm test` with the one that does more. */
const KILLED = process.env.HTTPFSTREAM_SOAK ? ['disk', 'os'] : ['disk'];

const EVENTS = 'data: {"text":"hello"}\n\n';
const DOCUMENT = '{\n  "a": [1, 2]\n}';
const TYPE = { 'content-type': 'text/event-stream' };

const typeOf = async (url: string) => (await head(url)).headers['content-type'];

/** What a client says of the type of its bytes in a text message. */
async function tell(appender: V2Peer, text: string): Promise<void> {
  await new Promise((resolve) => appender.websocket.send(text, { binary: false }, resolve));
}

const telling = (contentType: unknown) => JSON.stringify({ type: 'type', contentType });

describe.each([
  ['/said', EVENTS, 'text/event-stream'],
  ['/said.json', DOCUMENT, 'application/json'],
  ['/said.txt', DOCUMENT, 'application/json; charset=utf-8'],
])('%s, a file that an append has given the type of', (name, text, contentType) => {
  test('is served with it, byte by byte as it was, however it is read', async () => {
    const server = await common.guest();
    const url = server.url(name);
    await append(url, text, { contentType });
    for (const answer of [
      await get(url),
      await get(url, { accept: 'application/json' }),
      await get(url, { 'x-verb': 'FOLLOW' }),
      await get(`${url}?offset=-1`),
      await get(`${url}?offset=-1&live=long-poll`),
    ]) {
      expect([answer.status, answer.headers['content-type'], answer.text]).toEqual([200, contentType, text]);
      expect(answer.headers['content-security-policy']).toContain('sandbox');
    }
    const part = await get(url, { range: 'bytes=1-3' });
    expect([part.status, part.headers['content-type'], part.text]).toEqual([
      206,
      contentType,
      text.slice(1, 4),
    ]);
    const parts = await get(url, { range: 'bytes=0-1,4-5' });
    expect(parts.text).toContain(`Content-Type: ${contentType}\r\n`);
    expect([await typeOf(url), await typeOf(`${url}?offset=-1`)]).toEqual([contentType, contentType]);
    const events = await SseReader.open(url);
    await events.waitUntilUpToDate();
    expect(events.data).toBe(text);
    const within = (await get(`${url}?offset=-1`)).nextOffset.replace(/\d{16}$/, '0000000000000003');
    const later = await SseReader.open(url, within);
    await later.waitUntilUpToDate();
    expect(later.data).toBe(text.slice(3));
  });

  test('is no stream: who follows it gets what is there, and its end', async () => {
    const server = await common.guest();
    await append(server.url(name), text, { contentType });
    const follower = await V2Peer.follow(server.url(name));
    await follower.closed();
    expect(follower.ending).toEqual(['finished', 1000]);
    expect(follower.open).toMatchObject({ contentType, live: false });
    expect(follower.open).not.toHaveProperty('stream');
    await append(server.url(name), 'more');
    expect(await readFile(path.join(server.root, name), 'utf8')).toBe(`${text}more`);
  });
});

describe('the type that an append has given', () => {
  test('stays over restarts', async () => {
    const server = await InProcessServer.start();
    await append(server.url('/a'), EVENTS, { contentType: TYPE['content-type'] });
    await server.restart();
    expect(await typeOf(server.url('/a'))).toBe('text/event-stream');
    await append(server.url('/a'), EVENTS);
    await server.restart();
    expect(await get(server.url('/a'))).toMatchObject({ headers: TYPE, text: EVENTS + EVENTS });
  });

  test.each(KILLED)('stays when the server is killed (%s), and comes again when it must', async (how) => {
    const server = await ServerProcess.start(await temporaryDirectory(), ['-durability', how]);
    const query = { session: sessionOf('a'), 'content-type': 'text/event-stream' };
    const early = await V2Peer.append(server.url('/early'), query);
    expect(early.open?.contentType).toBe('text/event-stream');
    const late = await V2Peer.append(server.url('/late'), { session: query.session });
    expect(late.open?.contentType).toBeNull();
    await tell(late, telling('text/csv'));
    await late.append('one', 3);
    await late.append('two', 6);
    await server.restart();
    expect(await typeOf(server.url('/early'))).toBe('text/event-stream');
    const again = await V2Peer.append(server.url('/late'), {
      ...query,
      'content-type': 'text/csv',
      expect: '0',
    });
    expect(again.open).toMatchObject({ position: 6, contentType: 'text/csv' });
    await again.finish();
    expect(await typeOf(server.url('/late'))).toBe('text/csv');
    await server.stop();
  });

  test('is nothing that a check has to put right', async () => {
    const server = await InProcessServer.start();
    await append(server.url('/a'), EVENTS, { contentType: 'text/event-stream' });
    await append(server.url('/empty'), '', { contentType: 'text/csv' });
    await server.stop();
    const check = await runHere(runServer, ['--check', `-root=${server.root}`]);
    expect(check).toMatchObject({ exit: 0, stdout: expect.not.stringContaining('repaired') });
    await server.start();
    expect(await typeOf(server.url('/a'))).toBe('text/event-stream');
    expect(await typeOf(server.url('/empty'))).toBe('text/csv');
  });

  test('that cannot be remembered is refused, or ends its append', async () => {
    const server = await startServer({ graceMs: NEVER_MS });
    const appender = await V2Peer.append(server.url('/a'), { session: sessionOf('a') });
    const full = vi.spyOn(StreamStore.prototype, 'saveFileType').mockImplementation(async () => {
      throw storageFailure(systemError('ENOSPC'));
    });
    onTestFinished(() => full.mockRestore());
    const refusal = await refusalOf(server.url('/b'), 'APPEND', { 'content-type': 'text/csv' });
    expect(refusal).toEqual([507, 'HFS_STORAGE_FULL']);
    await tell(appender, telling('text/csv'));
    await appender.closed();
    expect(appender.ending).toEqual(['interrupted', 1011]);
    full.mockRestore();
    for (const name of ['/a', '/b']) {
      await append(server.url(name), 'text', { contentType: 'text/html' });
      expect(await typeOf(server.url(name))).toBe('text/html');
    }
  });

  test('is that of the append with which the file begins: no later one changes it', async () => {
    const server = await common.guest();
    const url = server.url('/a');
    await append(url, EVENTS, { contentType: 'text/event-stream' });
    const again = await V2Peer.append(url, { 'content-type': 'text/html' });
    expect(again.open?.contentType).toBe('text/event-stream');
    await tell(again, telling('text/html'));
    await again.finish();
    expect(await typeOf(url)).toBe('text/event-stream');
    await append(server.url('/b'), 'text');
    const late = await V2Peer.append(server.url('/b'), { 'content-type': 'text/html' });
    expect(late.open?.contentType).toBeNull();
    await tell(late, telling('text/html'));
    await late.finish();
    expect(await typeOf(server.url('/b'))).toBe('text/plain; charset=utf-8');
  });

  test('is given to a file that is there and empty, and has none', async () => {
    const server = await common.guest();
    await append(server.url('/a'), '');
    await append(server.url('/a'), EVENTS, { contentType: 'text/event-stream' });
    expect(await typeOf(server.url('/a'))).toBe('text/event-stream');
  });

  test('is nothing to a stream, which has its own', async () => {
    const server = await common.guest();
    await send('PUT', server.url('/a'), { headers: { 'content-type': 'text/plain' } });
    const appender = await V2Peer.append(server.url('/a'), { 'content-type': 'text/html' });
    expect(appender.open?.contentType).toBe('text/plain');
    await appender.finish();
    expect(await typeOf(server.url('/a'))).toBe('text/plain');
  });

  test('goes with the file, and is not that of the next one at its path', async () => {
    const server = await common.guest();
    const url = server.url('/a');
    await append(url, EVENTS, { contentType: 'text/event-stream' });
    await send('DELETE', url);
    await append(url, 'text');
    expect(await typeOf(url)).toBe('text/plain; charset=utf-8');
  });

  test('is that of its forks, too', async () => {
    const server = await InProcessServer.start();
    await append(server.url('/a'), EVENTS, { contentType: 'text/event-stream' });
    const fork = (headers: Record<string, string>) =>
      send('PUT', server.url('/fork'), { headers: { 'stream-forked-from': '/a', ...headers } });
    expect(await fork({ 'content-type': 'text/html' })).toMatchObject({ status: 409 });
    expect(await fork({})).toMatchObject({ status: 201, headers: TYPE });
    await server.restart();
    expect(await get(server.url('/fork'))).toMatchObject({ headers: TYPE, text: EVENTS });
  });

  test('is what a POST and a PUT must say, in place of what the name says', async () => {
    const server = await common.guest();
    const url = server.url('/a.txt');
    const say = (method: string, type: string) =>
      upload(url, method === 'PUT' ? '' : 'x', { method, headers: { 'content-type': type } });
    await append(url, EVENTS, { contentType: 'text/event-stream' });
    expect(await say('POST', 'text/plain')).toMatchObject({ status: 409 });
    expect(await say('POST', 'text/event-stream')).toMatchObject({ status: 204 });
    expect(await say('PUT', 'text/plain')).toMatchObject({ status: 409 });
    expect(await say('PUT', 'text/event-stream')).toMatchObject({ status: 200, headers: TYPE });
    expect(await get(url)).toMatchObject({ headers: TYPE, text: `${EVENTS}x` });
  });

  test.each([
    ['/a', { contentType: 'application/json' }],
    ['/a.json', {}],
    ['/a', {}],
  ])(
    'does not make values of a document: %s with %j is no JSON stream, nor is a fork of it',
    async (name, options) => {
      const server = await common.guest();
      const source = { 'stream-forked-from': server.path(name) };
      await append(server.url(name), DOCUMENT, options);
      const put = (to: string, headers = {}) =>
        upload(server.url(to), '', {
          method: 'PUT',
          headers: { 'content-type': 'application/json', ...headers },
        });
      expect(await put(name)).toMatchObject({ status: 409 });
      expect(await put('/fork', source)).toMatchObject({ status: 409 });
      const empty = { ...source, 'stream-fork-offset': '-1' };
      expect(await put('/empty', empty)).toMatchObject({ status: 201 });
      expect(await get(server.url('/empty'))).toMatchObject({ text: '[]\n' });
      expect(await get(server.url('/fork'))).toMatchObject({ status: 404 });
    },
  );

  test('may come with an append over plain HTTP, whose header means nothing', async () => {
    const server = await common.guest();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    await upload(server.url('/a?verb=APPEND&content-type=text/csv'), 'a,b', { headers });
    await upload(server.url('/b?verb=APPEND'), 'a,b', { headers });
    expect(await typeOf(server.url('/a'))).toBe('text/csv');
    expect(await typeOf(server.url('/b'))).toBe('text/plain; charset=utf-8');
  });
});

describe('a type that comes after the lease', () => {
  test('is told to those who follow already, and to those who come', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/a'));
    const early = await V2Peer.follow(server.url('/a'));
    await early.until(() => early.open !== undefined, 'the beginning');
    expect(early.open).not.toHaveProperty('contentType');
    await tell(appender, telling('text/csv'));
    await appender.append('a,b', 3);
    await early.until(() => early.story.includes('bytes'), 'the bytes');
    expect(early.story).toEqual(['open', 'type', 'bytes']);
    const late = follow(server.url('/a'));
    const opening = await new Promise((resolve) => late.once('open', resolve));
    expect(opening).toMatchObject({ contentType: 'text/csv' });
    expect(late.contentType).toBe('text/csv');
    await appender.finish();
    late.destroy();
  });

  test('is told to who follows with the library', async () => {
    const server = await common.guest();
    let contentType: string | undefined;
    const writable = openAppend(server.url('/a'), { contentType: () => contentType });
    await new Promise<void>((resolve) => writable.once('open', resolve));
    const reader = follow(server.url('/a'));
    await new Promise((resolve) => reader.once('open', resolve));
    const told = new Promise((resolve) => reader.once('type', resolve));
    contentType = 'text/csv';
    writable.write('a,b');
    expect([await told, reader.contentType]).toEqual(['text/csv', 'text/csv']);
    await writable.close();
    expect(await typeOf(server.url('/a'))).toBe('text/csv');
    reader.destroy();
  });

  test.each([
    ['no JSON', 'text'],
    ['no object', '"type"'],
    ['another message', '{"type":"open"}'],
    ['no type', telling(7)],
    ['a malformed one', telling('html')],
    ['one that ends a header', telling('text/html\r\nx: y')],
    ['one that no header can have', telling('text/html; x=\u{1f600}')],
    ['one that is too long', telling(`text/html; x=${'x'.repeat(1024)}`)],
  ])('is refused with 1003 when it is %s', async (_how, text) => {
    const server = await startServer({ graceMs: NEVER_MS });
    const appender = await V2Peer.append(server.url('/a'), { session: sessionOf('a') });
    await tell(appender, text);
    await appender.closed();
    expect(appender.closeCode).toBe(1003);
    expect(await get(server.url('/a'))).toMatchObject({ status: 200, text: '' });
  });
});

test.each(['html', '', 'text/html\r\nx: y', 'text/html; x=\u{1f600}', `text/html; x=${'x'.repeat(1024)}`])(
  'a handshake with the malformed type %j is refused, and makes nothing',
  async (contentType) => {
    const server = await common.guest();
    const refusal = await refusalOf(server.url('/a'), 'APPEND', { 'content-type': contentType });
    expect(refusal).toEqual([400, 'HFS_INVALID_REQUEST']);
    expect(await get(server.url('/a'))).toMatchObject({ status: 404 });
  },
);

test('a type does not go with a form, nor with what is read', async () => {
  const server = await common.guest();
  const form = { 'content-type': 'multipart/form-data; boundary=x' };
  const query = 'verb=APPEND&content-type=text/csv';
  expect(
    await upload(server.url(`/?${query}`), '--x--\r\n', { method: 'POST', headers: form }),
  ).toMatchObject({
    status: 400,
  });
  expect(await get(server.url('/?content-type=text/csv'))).toMatchObject({ status: 400 });
});
