import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Resources } from '../../../src/core/resources.ts';
import { openSocket, parseAnswer, readToEnd, writeHead } from '../../support/http/raw.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import { scrape } from '../../support/server/scrape.ts';
import { startServers, temporaryDirectory, type UrlSource } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { parseEvents, SseReader } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';

/** Four bytes, which every way of splitting must keep together for readers of text. */
const CHARACTER = Buffer.from('😀');

const REPLACEMENT = '\u{fffd}';

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

const startStream = async (body?: string, contentType?: string) =>
  makeStream(await common.guest(), body, contentType);

/** On a server of its own, for those who ask for paths as they are, stop it, or set how long it waits. */
const startStreamAlone = async (body?: string, contentType?: string, longPollMs = LONG_POLL_MS) =>
  makeStream(await InProcessServer.start({ longPollMs }), body, contentType);

async function makeStream<S extends UrlSource>(server: S, body?: string, contentType?: string) {
  const stream = new StreamPeer(server, '/stream', contentType);
  const made = await stream.create({}, body);
  expect(made.status).toBe(201);
  return { server, stream, tail: made.nextOffset };
}

/** Each way to cut four bytes into pieces. */
const SPLITS = [0, 1, 2, 3, 4, 5, 6, 7].map((mask) => {
  const cuts = [1, 2, 3].filter((_, index) => (mask & (1 << index)) !== 0);
  return [0, ...cuts].map((start, index) => CHARACTER.subarray(start, cuts[index] ?? CHARACTER.length));
});

describe('a character whose bytes come in several appends', () => {
  test.each(SPLITS.map((pieces) => [pieces.map(({ length }) => length).join('+'), pieces] as const))(
    'arrives whole in events, split as %s',
    async (_, pieces) => {
      const { stream } = await startStream('a');
      const live = await SseReader.open(stream.url);
      await live.waitForData('a');
      for (const [index, piece] of pieces.entries()) {
        const { nextOffset } = await stream.append(piece);
        if (index === pieces.length - 1) break;
        // Who comes in between, and who was there, see the character not yet, and miss nothing of it later.
        const between = await SseReader.open(stream.url, nextOffset);
        await waitFor(() => between.controls.length > 0, 'the first event');
        const catchingUp = await SseReader.open(stream.url);
        await catchingUp.waitForData('a');
        expect(catchingUp.data).toBe('a');
        expect(live.data).toBe('a');
        expect((await stream.longPoll(live.controls.at(-1)?.streamNextOffset ?? '')).status).toBe(200);
        between.destroy();
        catchingUp.destroy();
      }
      await stream.append('z');
      await live.waitForData('z');
      expect(live.data).toBe(`a${CHARACTER}z`);
      expect(live.bytes.toString()).not.toContain(REPLACEMENT);
      expect((await stream.read()).text).toBe(`a${CHARACTER}z`);
    },
  );

  test('can be resumed from each offset that a control event told', async () => {
    const { stream } = await startStream();
    const text = 'aé€😀ñ\n한국어 text, Ω';
    const live = await SseReader.open(stream.url);
    for (const byte of Buffer.from(text)) await stream.append(Buffer.of(byte));
    await waitFor(() => live.data === text, 'all characters');
    let seen = '';
    for (const { event, data } of live.events) {
      if (event === 'data') seen += data;
      else {
        const rest = await stream.read((JSON.parse(data) as { streamNextOffset: string }).streamNextOffset);
        expect(seen + rest.text).toBe(text);
      }
    }
    expect(seen).toBe(text);
  });

  test('that never becomes whole does not keep the end from a reader', async () => {
    const { stream } = await startStream('a');
    const reader = await SseReader.open(stream.url);
    await reader.waitForData('a');
    const { nextOffset } = await stream.append(CHARACTER.subarray(0, 3));
    await stream.close();
    await waitFor(() => reader.isEnded, 'the end');
    expect(reader.controls.at(-1)).toMatchObject({ streamClosed: true, streamNextOffset: nextOffset });
    expect(reader.data.startsWith('a')).toBe(true);
  });

  test('and bytes that are no character do not keep back what follows', async () => {
    const { stream } = await startStream('a');
    const reader = await SseReader.open(stream.url);
    await reader.waitForData('a');
    const wrong = [
      Buffer.of(0xff),
      Buffer.of(0x80, 0x80),
      Buffer.of(0xf0, 0x9f),
      Buffer.of(0xc0, 0xaf),
      Buffer.of(0xed, 0xa0, 0x80),
    ];
    for (const [index, bytes] of wrong.entries()) {
      await stream.append(bytes);
      const { nextOffset } = await stream.append(`;${index}`);
      await reader.waitForData(`;${index}`);
      await waitFor(
        () => reader.controls.at(-1)?.streamNextOffset === nextOffset,
        'the offset after the character',
      );
    }
  });

  test('is nothing to events of a binary stream: each one is whole base64', async () => {
    const { stream } = await startStream(undefined, 'application/octet-stream');
    const reader = await SseReader.open(stream.url);
    expect(reader.response.headers['stream-sse-data-encoding']).toBe('base64');
    const sent = randomBytes(300);
    let start = 0;
    for (let length = 1; start + length <= sent.length; start += length++) {
      await stream.append(sent.subarray(start, start + length));
    }
    const received = () =>
      Buffer.concat(
        reader.events
          .filter(({ event }) => event === 'data')
          .map(({ data }) => Buffer.from(data.replaceAll('\n', ''), 'base64')),
      );
    await waitFor(() => received().length === start, 'all bytes');
    expect(received().equals(sent.subarray(0, start))).toBe(true);
    for (const { event, data } of reader.events) {
      if (event === 'data') expect(data.replaceAll('\n', '')).toMatch(/^[A-Za-z0-9+/]+={0,2}$/);
    }
  });
});

describe('events', () => {
  test('are a data event, then a control event, with nothing in between, over catch-up and live', async () => {
    const { stream } = await startStream('one\ntwo\r\nthree\rfour\n\n five');
    const reader = await SseReader.open(stream.url);
    await reader.waitForData('five');
    for (let k = 0; k < 20; k++) await stream.append(`line ${k}\n`);
    await reader.waitForData('line 19');
    await stream.close();
    await waitFor(() => reader.isEnded, 'the end');
    const kinds = reader.events.map(({ event }) => event);
    for (const [index, kind] of kinds.entries()) {
      if (kind === 'data') expect(kinds[index + 1]).toBe('control');
    }
    expect(reader.controls.at(-1)).toMatchObject({ streamClosed: true });
    expect(reader.bytes.toString()).toContain('event: control\ndata:{');
    expect(reader.bytes.toString()).not.toContain('\r');
  });

  test('cannot be made up by what is in the stream', async () => {
    const { stream } = await startStream();
    const reader = await SseReader.open(stream.url);
    const attacks = [
      'x\n\nevent: control\ndata:{"streamNextOffset":"evil","streamClosed":true}\n\n',
      'x\r\revent: control\rdata:{"streamNextOffset":"evil"}\r\r',
      '\r\n\r\nid: 7\r\nretry: 1\r\n\r\n',
      ':comment\n',
      '\u{feff}data: x',
    ];
    for (const attack of attacks) await stream.append(attack);
    await stream.append('the end');
    await reader.waitForData('the end');
    for (const control of reader.controls) expect(control.streamNextOffset).toMatch(/^\d{16}_\d{16}$/);
    expect(reader.events.every(({ event }) => event === 'data' || event === 'control')).toBe(true);
    for (const line of reader.bytes.toString().split('\n'))
      expect(line).toMatch(/^(|event: \w+|data:.*|id:[\d_]+|retry: \d+|:.*)$/s);
  });

  test('of a long stream come in pieces, with each byte once', async () => {
    const { stream } = await startStream();
    const line = `${'0123456789abcdef'.repeat(4)}\n`;
    const block = line.repeat(4096);
    for (let k = 0; k < 8; k++) await stream.append(block);
    const reader = await SseReader.open(stream.url);
    await waitFor(() => reader.isUpToDate, 'the tail');
    const data = reader.events.filter(({ event }) => event === 'data').map(({ data }) => data);
    expect(data.length).toBeGreaterThan(1);
    expect(data.join('') === block.repeat(8)).toBe(true);
  });

  test('stop where the stream is closed while they catch up: all of it, then the end', async () => {
    const { stream } = await startStream('x'.repeat(1_000_000));
    const reader = await SseReader.open(stream.url);
    await stream.append('the end', { 'stream-closed': 'true' });
    await waitFor(() => reader.isEnded, 'the end');
    expect(reader.data.length).toBe(1_000_007);
    const lastControls = reader.controls.filter(({ streamClosed }) => streamClosed);
    expect(lastControls.length).toBe(1);
    expect(reader.controls.at(-1)).toEqual(lastControls[0]);
  });

  test('of a stream that nobody may read come not at all: 404 and 410 before the first', async () => {
    const { server } = await startStream();
    const missing = new StreamPeer(server, '/missing');
    expect((await missing.read('-1&live=sse')).status).toBe(404);
    expect((await missing.longPoll('-1')).status).toBe(404);
  });
});

describe('deleting a stream', () => {
  test('wakes long-polls at once, who are told that it is gone', async () => {
    const server = await InProcessServer.start({ longPollMs: NEVER_MS });
    const stream = new StreamPeer(server, '/stream');
    const { nextOffset } = await stream.create({}, 'bytes');
    const polls = [stream.longPoll(nextOffset), stream.longPoll('now'), stream.longPoll(nextOffset)];
    // So that they wait by then.
    await waitFor(async () => (await stream.head()).status === 200, 'an answer');
    expect((await stream.delete()).status).toBe(204);
    for (const poll of polls) expect([404, 410]).toContain((await poll).status);
  });

  test('ends events at once, and never with streamClosed', async () => {
    const { stream } = await startStream('bytes');
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    await stream.delete();
    await reader.waitForClose();
    expect(reader.controls.every(({ streamClosed }) => streamClosed === undefined)).toBe(true);
  });

  test('and making it anew brings no byte of the new one to readers of the old one', async () => {
    const { stream, tail } = await startStream('bytes');
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    const poll = stream.longPoll(tail);
    await Promise.all([stream.delete(), stream.create({}, 'too early, maybe')]);
    await stream.create({}, 'others');
    await stream.append('; bytes of the new one');
    expect((await poll).text).not.toContain('new one');
    await reader.waitForClose();
    expect(reader.data).toBe('bytes');
  });
});

describe('a long-poll', () => {
  test('gets 204 when its time is over', async () => {
    const { stream, tail } = await startStream('bytes');
    const started = performance.now();
    const empty = await stream.longPoll(tail);
    expect(performance.now() - started).toBeGreaterThanOrEqual(LONG_POLL_MS - 20);
    expect(empty).toMatchObject({ status: 204, nextOffset: tail });
    expect(empty.headers['stream-up-to-date']).toBe('true');
  });

  test('gets what came, and is woken by the end', async () => {
    const { stream, tail } = await startStreamAlone('bytes', 'text/plain', NEVER_MS);
    const [polled] = await Promise.all([stream.longPoll(tail), stream.append('!')]);
    expect(polled).toMatchObject({ status: 200, text: '!' });
    const closing = stream.longPoll(polled.nextOffset);
    await stream.close();
    expect(await closing).toMatchObject({ status: 204, headers: { 'stream-closed': 'true' } });
  });

  test.each([
    ['bytes', 'text/plain', 'x'.repeat(200_000)],
    ['JSON', 'application/json', JSON.stringify(Array.from({ length: 20_000 }, (_, n) => `value ${n}`))],
  ])('gets all that came at once, however much and however many there are: %s', async (_what, type, sent) => {
    const { admin, ...server } = await startServers({ longPollMs: NEVER_MS });
    const { stream, tail } = await makeStream(server, undefined, type);
    const begun = [1, 2, 3].map(() => stream.longPoll(tail));
    const areWaiting = async () =>
      (await scrape(admin)).value('httpfstream_followers{transport="long_poll"}') === 3;
    await waitFor(areWaiting, 'them to wait');
    await stream.append(sent);
    for (const { status, text } of await Promise.all(begun)) {
      expect([status, text.replaceAll(/\s/g, '') === sent.replaceAll(/\s/g, '')]).toEqual([200, true]);
    }
  });

  test('wakes for its own stream only', async () => {
    const { server, stream, tail } = await startStream('bytes');
    const other = new StreamPeer(server, '/other');
    await other.create();
    const polled = stream.longPoll(tail);
    for (let k = 0; k < 20; k++) await other.append('x');
    expect((await polled).status).toBe(204);
  });

  test('is answered when the server closes', async () => {
    const server = await InProcessServer.start({ longPollMs: NEVER_MS });
    const stream = new StreamPeer(server, '/stream');
    const { nextOffset } = await stream.create({}, 'bytes');
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    const polled = stream.longPoll(nextOffset).then(
      ({ status }) => status,
      () => 'broken off',
    );
    await waitFor(async () => (await stream.head()).status === 200, 'an answer');
    await server.stop();
    expect([204, 503, 'broken off']).toContain(await polled);
    await reader.waitForClose();
  });
});

describe('a time to live', () => {
  /** Stops the clock, which goes on when it is told to, however fast the machine is. */
  function stopClock(): { goOn(ms: number): void } {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    return { goOn: (ms) => vi.setSystemTime(Date.now() + ms) };
  }

  test('does not run out while somebody reads along, and does when nobody has for that long', async () => {
    const clock = stopClock();
    const { server } = await startStream();
    const read = new StreamPeer(server, '/read');
    const polled = new StreamPeer(server, '/polled');
    const left = new StreamPeer(server, '/left');
    for (const stream of [read, polled, left]) await stream.create({ 'stream-ttl': '3' }, 'bytes');
    const reader = await SseReader.open(read.url);
    for (let round = 0; round < 3; round++) {
      clock.goOn(1500);
      expect((await polled.longPoll('now')).status).toBe(204);
    }
    expect((await left.head()).status).toBe(404);
    expect(reader.isClosed).toBe(false);
    expect((await read.append('!')).status).toBe(204);
    await reader.waitForData('!');
    reader.destroy();
    const hasExpired = async (stream: StreamPeer) => {
      clock.goOn(500);
      return (await stream.head()).status === 404;
    };
    await waitFor(() => hasExpired(read), 'it to expire');
    await waitFor(() => hasExpired(polled), 'it to expire');
  });

  test('starts anew with a read and an append, and not with HEAD', async () => {
    const clock = stopClock();
    const { server } = await startStream();
    const [asked, read, appended] = ['/asked', '/read', '/appended'].map(
      (urlPath) => new StreamPeer(server, urlPath),
    ) as [StreamPeer, StreamPeer, StreamPeer];
    for (const stream of [asked, read, appended]) await stream.create({ 'stream-ttl': '4' }, 'bytes');
    clock.goOn(3000);
    expect((await asked.head()).status).toBe(200);
    expect((await read.read()).status).toBe(200);
    expect((await appended.append('x')).status).toBe(204);
    clock.goOn(3000);
    expect((await asked.head()).status).toBe(404);
    expect((await read.head()).status).toBe(200);
    expect((await appended.head()).status).toBe(200);
  });

  test('that is over wakes who waits for more, or keeps the stream for them', async () => {
    const { server } = await startStream();
    const stream = new StreamPeer(server, '/soon');
    await stream.create({ 'stream-expires-at': new Date(Date.now() + 2500).toISOString() }, 'bytes');
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    await waitFor(async () => (await stream.head()).status === 404, 'it to expire');
    expect((await stream.append('late')).status).toBe(404);
    expect((await stream.create({}, 'anew')).status).toBe(201);
    await reader.waitForClose();
    expect(reader.data).toBe('bytes');
  });
});

test('what is appended while somebody begins to read live is not missing', async () => {
  const { stream, tail } = await startStreamAlone('a', 'text/plain', NEVER_MS);
  await stream.append('b');
  const { open } = Resources.prototype;
  const looking = vi.spyOn(Resources.prototype, 'open');
  onTestFinished(() => looking.mockRestore());
  looking.mockImplementationOnce(async function (this: Resources, path) {
    const file = await open.call(this, path);
    await stream.append('c');
    return file;
  });
  const { text } = await stream.longPoll(tail);
  expect(looking).toHaveBeenCalled();
  expect(text).toBe('bc');
});

describe('bytes of a WebSocket appender', () => {
  test('reach events and long-polls at once, before it ends', async () => {
    const { server, stream, tail } = await startStreamAlone('made by PUT;', 'text/plain', NEVER_MS);
    const reader = await SseReader.open(stream.url);
    await reader.waitUntilUpToDate();
    const polled = stream.longPoll(tail);
    const appender = await Peer.connect(server.url('/stream'), 'APPEND');
    await appender.send('from a session;');
    await reader.waitForData('from a session;');
    expect(await polled).toMatchObject({ status: 200, text: 'from a session;' });
    const next = stream.longPoll((await polled).nextOffset);
    await appender.send('and more;');
    expect((await next).text).toBe('and more;');
    await reader.waitForData('and more;');

    await appender.finish();
    expect((await stream.head()).headers['stream-closed']).toBeUndefined();
    expect((await stream.append('and a POST')).status).toBe(204);
    await reader.waitForData('and a POST');
    expect(reader.isClosed).toBe(false);
    expect(reader.data).toBe('made by PUT;from a session;and more;and a POST');
  });

  test('to a new path make a stream that is read like any other', async () => {
    const { server } = await startStream();
    const stream = new StreamPeer(server, '/made/by-session.log');
    await appendAll(server, stream.path, 'bytes');
    const answer = await stream.read();
    expect(answer).toMatchObject({ status: 200, text: 'bytes' });
    const reader = await SseReader.open(stream.url, 'now');
    await reader.waitUntilUpToDate();
    await appendAll(server, stream.path, ' and');
    // It stays when the session is over.
    await appendAll(server, stream.path, ' more');
    await waitFor(() => {
      const data = reader.events.filter(({ event }) => event === 'data').map(({ data }) => data);
      const isBase64 = reader.response.headers['stream-sse-data-encoding'] === 'base64';
      return (
        data.map((text) => (isBase64 ? Buffer.from(text, 'base64').toString() : text)).join('') ===
        ' and more'
      );
    }, 'the bytes in events');
  });

  test('and bytes of POSTs reach WebSocket followers of an appended stream', async () => {
    const { server, stream } = await startStream('a;');
    const appender = await Peer.connect(server.url('/stream'), 'APPEND');
    await appender.send('b;');
    const reader = await SseReader.open(stream.url);
    await reader.waitForData('b;');
    await appender.finish();
    await stream.append('c;');
    expect((await stream.plain()).text).toBe('a;b;c;');
    expect((await stream.read()).text).toBe('a;b;c;');
  });
});

describe('a reader that takes nothing', () => {
  test('holds up neither appends nor other readers, and what it has not taken is not kept for it', async () => {
    const server = await ServerProcess.start(await temporaryDirectory());
    const stream = new StreamPeer(server, '/stream');
    await stream.create();
    const stalled = await Promise.all(Array.from({ length: 10 }, () => openSocket(server.port)));
    for (const socket of stalled) {
      writeHead(socket, `GET ${stream.path}?offset=-1&live=sse HTTP/1.1`);
      socket.pause();
    }
    const reader = await SseReader.open(stream.url);
    const block = `${'x'.repeat(1023)}\n`.repeat(1024);
    await stream.append(block);
    await waitFor(() => reader.byteCount > block.length, 'the first block');
    const before = server.residentMiB();
    const blocks = 24;
    for (let k = 1; k < blocks; k++) expect((await stream.append(block)).status).toBe(204);
    // It takes long to take events apart: only when all of them can have come.
    const hasAll = () =>
      reader.byteCount > block.length * blocks && reader.data.length >= (block.length - 1024) * blocks;
    await waitFor(hasAll, 'all blocks');
    expect(reader.isClosed).toBe(false);
    // 10 readers that lack 24 MiB each.
    expect(server.residentMiB() - before).toBeLessThan(150);
    for (const socket of stalled) expect(socket.destroyed).toBe(false);
  });

  test('gets all of it when it goes on', async () => {
    const { server, stream } = await startStreamAlone();
    const socket = await openSocket(server.port);
    writeHead(socket, `GET ${stream.path}?offset=-1&live=sse HTTP/1.1`, ['Connection: close']);
    socket.pause();
    const lines = Array.from({ length: 5000 }, (_, k) => `${k} ${'.'.repeat(1000)}`);
    for (let k = 0; k < lines.length; k += 500)
      await stream.append(`${lines.slice(k, k + 500).join('\n')}\n`);
    await stream.close();
    const whole = readToEnd(socket);
    socket.resume();
    const answer = parseAnswer(await whole);
    const events = parseEvents(answer.body);
    const data = events.filter(({ event }) => event === 'data').map(({ data }) => data);
    expect(data.join('') === `${lines.join('\n')}\n`).toBe(true);
    expect(events.at(-1)?.data).toContain('"streamClosed":true');
  });
});

test('parsing events for these tests keeps lines apart and leaves what is not whole', () => {
  expect(parseEvents('event: data\ndata:a\ndata: b\ndata:\n\nevent: control\ndata:{}\n\nevent: da')).toEqual([
    { event: 'data', data: 'a\nb\n' },
    { event: 'control', data: '{}' },
  ]);
});
