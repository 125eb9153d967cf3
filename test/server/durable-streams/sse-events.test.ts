import { appendFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Feed } from '../../../src/core/readers/feed.ts';
import { SseConnection } from '../../../src/server/durable-streams/sse-connection.ts';
import { SocketSink } from '../../../src/server/response/socket-sink.ts';
import { StoredFile } from '../../../src/storage/stored-file.ts';
import { openSocket, parseAnswer, readToEnd, writeHead } from '../../support/http/raw.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { parseEvents, SseReader } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const common = serverForAll();

const KIB = 1024;

/** Much more than a piece, and no multiple of one. */
const VALUE = JSON.stringify('abcdefg'.repeat(150_001));

/** A cursor that no interval has reached: the answer's is above it. */
const AHEAD = 10 ** 9;

/** How many bytes the server has read of files, and at most at a time. */
class ReadCount {
  bytes = 0;
  largest = 0;

  constructor() {
    const count = this;
    const read = StoredFile.prototype.read;
    const spy = vi.spyOn(StoredFile.prototype, 'read').mockImplementation(function (
      this: StoredFile,
      position,
      length,
    ) {
      count.bytes += length;
      count.largest = Math.max(count.largest, length);
      return read.call(this, position, length);
    });
    onTestFinished(() => spy.mockRestore());
  }
}

function targetOf(cursor: number): string {
  return `/j?offset=-1&live=sse&cursor=${cursor}`;
}

describe('events of one long JSON value', () => {
  let server: TestServer;
  let stream: StreamPeer;

  beforeEach(async () => {
    // However long the rest takes: nothing is cut.
    server = await startServer({ closeTimeoutMs: NEVER_MS });
    stream = new StreamPeer(server, '/j', 'application/json');
    await stream.create();
    await stream.append('[1,2]');
    await stream.append(VALUE);
    await stream.append('3');
  });

  test('have it whole, and what comes before and after it', async () => {
    const reader = await SseReader.open(server.url('/j'));
    await reader.waitUntilUpToDate();
    const values = reader.events
      .filter(({ event }) => event === 'data')
      .flatMap(({ data }) => JSON.parse(data));
    expect(values).toEqual([1, 2, JSON.parse(VALUE), 3]);
    // The first is whole, the second is the long one alone.
    expect(reader.controls.map(({ upToDate }) => upToDate)).toEqual([undefined, undefined, true]);
  });

  test('are read piece by piece, and its end is looked for once, whatever the cursors of its readers', async () => {
    await stream.close();
    const count = new ReadCount();
    const READERS = 8;
    const cursors = Array.from({ length: READERS }, (_, i) => AHEAD + i * 100);
    const bodies = await Promise.all(
      cursors.map(async (cursor) => {
        const socket = await openSocket(server.port);
        writeHead(socket, `GET ${targetOf(cursor)} HTTP/1.1`, ['Connection: close']);
        return parseAnswer(await readToEnd(socket)).body;
      }),
    );
    for (const [i, body] of bodies.entries()) {
      const events = parseEvents(body);
      const data = events.filter(({ event }) => event === 'data').flatMap((event) => JSON.parse(event.data));
      expect(data).toEqual([1, 2, JSON.parse(VALUE), 3]);
      const control = events.find(({ event }) => event === 'control');
      expect(Number(JSON.parse(control?.data ?? '').streamCursor)).toBeGreaterThan(cursors[i] as number);
    }
    expect(count.largest).toBeLessThanOrEqual(64 * KIB);
    // Once by each, at worst, and once to find its end; it was each of these for each, and again at each doubling.
    expect(count.bytes).toBeLessThan((READERS + 2) * VALUE.length);
  });

  test('are given to its socket in pieces', async () => {
    let largest = 0;
    server.app.server.once('connection', (socket) => {
      const write = vi.spyOn(socket, 'write');
      socket.once('close', () => {
        largest = Math.max(...write.mock.calls.map(([chunk]) => chunk.length));
      });
    });
    const reader = await SseReader.open(server.url('/j'));
    await reader.waitUntilUpToDate();
    reader.destroy();
    await waitFor(() => largest > 0, 'the connection to be over');
    expect(largest).toBeLessThan(80 * KIB);
  });

  test('are not ended in the middle when the server closes', async () => {
    const shutDown = vi.spyOn(SseConnection.prototype, 'shutDown');
    const read = StoredFile.prototype.read;
    let closing: Promise<void> | undefined;
    const reading = vi.spyOn(StoredFile.prototype, 'read').mockImplementation(async function (
      this: StoredFile,
      position,
      length,
    ) {
      if (position > 64 * KIB && length === 64 * KIB && closing === undefined) {
        closing = server.app.close();
        await waitFor(() => shutDown.mock.calls.length > 0, 'the events to be told that the server closes');
      }
      return read.call(this, position, length);
    });
    onTestFinished(() => {
      shutDown.mockRestore();
      reading.mockRestore();
    });
    const reader = await SseReader.open(server.url('/j'));
    await reader.waitForClose();
    await closing;
    expect(reader.isEnded).toBe(true);
    const values = reader.events
      .filter(({ event }) => event === 'data')
      .flatMap(({ data }) => JSON.parse(data));
    expect(values).toEqual([1, 2, JSON.parse(VALUE)]);
    expect(reader.bytes.toString().endsWith('\n\n')).toBe(true);
  });
});

test('a text of nothing but line ends becomes events that are not much longer than others', async () => {
  const server = await common.guest();
  const text = '\n'.repeat(200_000);
  writeFileSync(path.join(server.root, 't.txt'), text);
  const reader = await SseReader.open(server.url('/t.txt'));
  await reader.waitUntilUpToDate();
  const data = reader.events.filter(({ event }) => event === 'data');
  expect(data.map((event) => event.data).join('')).toBe(text);
  for (const event of data) expect(event.data.length * 'data:\n'.length).toBeLessThan(140 * KIB);
});

describe.each([
  ['text/plain', 'line\n', 'line\n'],
  ['application/json', '{"a":1}', '[{"a":1}]'],
  ['application/octet-stream', 'bytes', Buffer.from('bytes').toString('base64')],
])('what is appended to a stream of %s', (type, body, data) => {
  test('reaches those who read along from memory, laid out once for all', async () => {
    const server = await startServer();
    const stream = new StreamPeer(server, '/s', type);
    const { nextOffset } = await stream.create();
    const joins = vi.spyOn(Feed.prototype, 'join');
    onTestFinished(() => joins.mockRestore());
    const readers = await Promise.all([1, 2, 3].map(() => SseReader.open(stream.url)));
    for (const reader of readers) await reader.waitUntilUpToDate();
    const polls = [1, 2, 3].map(() => stream.longPoll(nextOffset));
    await waitFor(() => joins.mock.calls.length === 6, 'the long-polls to wait');
    const count = new ReadCount();
    const writes = vi.spyOn(SocketSink.prototype, 'write');
    onTestFinished(() => writes.mockRestore());
    await stream.append(body);
    for (const reader of readers) await waitFor(() => reader.events.length === 3, 'the event');
    for (const { events } of readers) expect(events[1]).toMatchObject({ event: 'data', data });
    for (const poll of polls) expect((await poll).status).toBe(200);
    expect(count.bytes).toBe(0);
    const written = writes.mock.calls.map(([[buffer]]) => buffer);
    expect(written).toHaveLength(readers.length);
    expect(new Set(written).size).toBe(1);
  });
});

test('the last line of a file of JSON values is held back until it is whole, however long', async () => {
  const server = await common.guest();
  const stream = new StreamPeer(server, '/v', 'application/json');
  await stream.create();
  // As other programs append.
  const append = (text: string) => appendFileSync(path.join(server.root, 'v'), text);
  append(`1\n${VALUE.slice(0, 200_000)}`);
  const reader = await SseReader.open(stream.url);
  await reader.waitForData('[1]');
  const late = await SseReader.open(stream.url);
  await late.waitForData('[1]');
  append(`${VALUE.slice(200_000)}\n2`);
  for (const each of [reader, late]) {
    await each.waitForData(VALUE.slice(-20));
    expect(each.data).toBe(`[1][${VALUE}]`);
  }
  append('3\n');
  await reader.waitForData('[23]');
  expect(reader.data).toBe(`[1][${VALUE}][23]`);
});

test.each([
  ['the server closes', (server: TestServer) => server.app.close()],
  ['the stream is deleted', (_: TestServer, stream: StreamPeer) => stream.delete()],
])('a character that is cut when %s is not given out', async (_, end) => {
  const server = await startServer();
  const stream = new StreamPeer(server, '/s', 'text/plain');
  await stream.create({}, 'a');
  const reader = await SseReader.open(stream.url);
  await reader.waitForData('a');
  await stream.append(Buffer.from('😀').subarray(0, 2));
  await end(server, stream);
  await reader.waitForClose();
  expect(reader.isEnded).toBe(true);
  expect(reader.data).toBe('a');
});

describe('what another program does to a file that is read live', () => {
  async function startReaders() {
    const server = await startServer({ longPollMs: NEVER_MS });
    const file = path.join(server.root, 't.txt');
    writeFileSync(file, 'text');
    const stream = new StreamPeer(server, '/t.txt');
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    const polled = stream.longPoll('now');
    const { nextOffset } = await stream.read();
    return { file, stream, reader, polled, nextOffset };
  }

  test('ends events and long-polls when it deletes it', async () => {
    const { file, reader, polled } = await startReaders();
    rmSync(file);
    await reader.waitForClose();
    expect(reader.isEnded).toBe(true);
    expect(reader.controls.every(({ streamClosed }) => streamClosed === undefined)).toBe(true);
    expect((await polled).status).toBe(404);
  });

  test('breaks them off when it cuts it: what was sent is not there', async () => {
    const { file, stream, reader, polled, nextOffset } = await startReaders();
    truncateSync(file, 1);
    await reader.waitForClose();
    expect(reader.isEnded).toBe(false);
    expect((await polled).status).toBe(410);
    expect((await stream.longPoll(nextOffset)).status).toBe(410);
  });
});

test('a line end of two characters is one, wherever text is cut into events', async () => {
  const server = await common.guest();
  const lines = `${'x'.repeat(64 * KIB - 1)}\r\nsecond line\r\n`;
  writeFileSync(path.join(server.root, 'crlf.txt'), lines);
  const reader = await SseReader.open(server.url('/crlf.txt'));
  await reader.waitUntilUpToDate();
  expect(reader.data).toBe(lines.replaceAll('\r\n', '\n'));
  reader.destroy();
});

test('a line end of two characters is one when its halves come in two appends, whoever is there or comes back between them', async () => {
  const server = await common.guest();
  const stream = new StreamPeer(server, '/crlf');
  const { nextOffset } = await stream.create();
  const offsets = [nextOffset];
  const readers = [await SseReader.open(stream.url)];
  await readers[0]?.waitUntilUpToDate();
  const raw = ['a\r', '\nb\r', '\n', '\n', 'c\r', '\r', '\nd\r\n', '\ne\r'];
  for (const text of raw) {
    offsets.push((await stream.append(text)).nextOffset);
    for (const reader of readers) {
      await waitFor(() => reader.controls.at(-1)?.streamNextOffset === offsets.at(-1), 'the event');
    }
    const joined = await SseReader.open(stream.url, '-1', { 'last-event-id': offsets.at(-1) });
    await joined.waitUntilUpToDate();
    readers.push(joined);
  }
  const texts = ['a\n', 'b\n', '', '\n', 'c\n', '\n', 'd\n', '\ne\n'];
  expect(readers.map(({ data }) => data)).toEqual(readers.map((_, k) => texts.slice(k).join('')));
  for (const [k, offset] of offsets.entries()) {
    const late = await SseReader.open(stream.url, '-1', { 'last-event-id': offset });
    await late.waitUntilUpToDate();
    expect(late.data).toBe(texts.slice(k).join(''));
    // Who has read the bytes before has that CR, and not the LF.
    const reading = await SseReader.open(stream.url, offset);
    await reading.waitUntilUpToDate();
    expect(reading.data).toBe(raw.slice(k).join('').replace(/\r\n?/g, '\n'));
  }
});
