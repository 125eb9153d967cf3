import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Feed } from '../../src/core/readers/feed.ts';
import { Download, Upload } from '../support/http/bodies.ts';
import { get } from '../support/http/request.ts';
import { NEVER_MS, PATIENCE_MS } from '../support/patience.ts';
import { startServer } from '../support/server/server.ts';
import { serverForAll } from '../support/server/server-for-all.ts';
import { SseReader } from '../support/streams/sse-reader.ts';
import { waitFor } from '../support/wait-for.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

const common = serverForAll();

const PLAIN = 'text/plain; charset=utf-8';
const EVENTS = 'data: hello\n\n';

/** Says the type of its bytes in a text message. */
const tell = (appender: V2Peer, contentType: string): Promise<void> =>
  new Promise((resolve) => {
    const text = JSON.stringify({ type: 'type', contentType });
    appender.websocket.send(text, { binary: false }, () => resolve());
  });

/** Resolves when so many readers wait for a type, from now on. */
function readersWait(): (count: number) => Promise<void> {
  const waits = vi.spyOn(Feed.prototype, 'untilTyped');
  onTestFinished(() => waits.mockRestore());
  return (count) => waitFor(() => waits.mock.calls.length === count, `${count} readers that wait`);
}

const answered = (answer: Download) => waitFor(() => answer.status > 0, 'the head of an answer');

describe('who reads a file live before a byte of it has come', () => {
  test.each([
    ['FOLLOW', 200, { 'x-verb': 'FOLLOW' }],
    ['a range', 206, { range: 'bytes=0-9223372036854775807' }],
  ])('gets the head of %s with the type, when that is said', async (_how, status, headers) => {
    const server = await startServer({ keepAliveMs: NEVER_MS });
    const waiting = readersWait();
    const appender = await V2Peer.append(server.url('/a'));
    const answer = Download.ask(server.url('/a'), { headers });
    await waiting(1);
    expect(answer.status).toBe(0);
    await tell(appender, 'text/event-stream');
    await answered(answer);
    expect(answer).toMatchObject({ status, headers: { 'content-type': 'text/event-stream' } });
    await appender.append(EVENTS, EVENTS.length);
    await appender.finish();
    expect([await answer.untilEnd(), answer.text]).toEqual(['clean', EVENTS]);
  });

  test('gets the head when bytes come without a type, and when none come', async () => {
    const server = await startServer({ keepAliveMs: NEVER_MS });
    const waiting = readersWait();
    const appender = await V2Peer.append(server.url('/a'));
    const empty = await V2Peer.append(server.url('/b'));
    const answers = ['/a', '/b'].map((name) => Download.ask(server.url(`${name}?verb=FOLLOW`)));
    await waiting(2);
    await appender.append('text', 4);
    await appender.finish();
    await empty.finish();
    for (const [index, text] of ['text', ''].entries()) {
      const answer = answers[index] as Download;
      expect([await answer.untilEnd(), answer.text]).toEqual(['clean', text]);
      expect(answer.headers['content-type']).toBe(PLAIN);
    }
  });

  test('gets the head after keepAliveMs, though nothing has come', async () => {
    const server = await startServer({ keepAliveMs: 50 });
    const appender = await V2Peer.append(server.url('/a'));
    const answer = await Download.open(server.url('/a?verb=FOLLOW'));
    expect(answer.headers['content-type']).toBe(PLAIN);
    await tell(appender, 'text/event-stream');
    await appender.append(EVENTS, EVENTS.length);
    await answer.untilText(EVENTS);
  });

  test('gets the head at once when no type can come', async () => {
    const server = await startServer({ keepAliveMs: NEVER_MS });
    const upload = new Upload(server.url('/a?verb=APPEND'), { headers: { expect: '100-continue' } });
    await waitFor(() => upload.isContinued, 'the append');
    await V2Peer.append(server.url('/b'), { 'content-type': 'text/csv' });
    const answer = await Download.open(server.url('/a?verb=FOLLOW'));
    const typed = await Download.open(server.url('/b?verb=FOLLOW'));
    expect([answer.headers['content-type'], typed.headers['content-type']]).toEqual([PLAIN, 'text/csv']);
  });

  test('gets the head at once when too many requests wait', async () => {
    const server = await startServer({ keepAliveMs: NEVER_MS, maxWaiting: 1 });
    const waiting = readersWait();
    const appender = await V2Peer.append(server.url('/a'));
    const first = Download.ask(server.url('/a?verb=FOLLOW'));
    await waiting(1);
    const second = await Download.open(server.url('/a?verb=FOLLOW'));
    expect([first.status, second.headers['content-type']]).toEqual([0, PLAIN]);
    await tell(appender, 'text/css');
    await answered(first);
    expect(first.headers['content-type']).toBe('text/css');
    // It does not wait any more.
    const other = await V2Peer.append(server.url('/b'));
    const third = Download.ask(server.url('/b?verb=FOLLOW'));
    await waiting(2);
    expect(third.status).toBe(0);
    await other.finish();
    await answered(third);
  });

  test('leaves no trace when it goes before the head', async () => {
    const server = await startServer({ keepAliveMs: NEVER_MS });
    const waiting = readersWait();
    const appender = await V2Peer.append(server.url('/a'));
    const answer = Download.ask(server.url('/a?verb=FOLLOW'));
    await waiting(1);
    const feed = vi.mocked(Feed.prototype.untilTyped).mock.contexts[0] as Feed;
    expect(feed.readerCount).toBe(1);
    answer.request.destroy();
    await waitFor(() => feed.readerCount === 0, 'the reader to leave');
    await appender.finish();
  });

  test('gets the type at a relay, too', async () => {
    const origin = await startServer({ keepAliveMs: NEVER_MS });
    const relay = await startServer({ keepAliveMs: NEVER_MS, upstreams: [origin.url('')] });
    const waiting = readersWait();
    const appender = await V2Peer.append(origin.url('/a'));
    const answer = Download.ask(relay.url('/a?verb=FOLLOW'));
    await waiting(1);
    await tell(appender, 'text/event-stream');
    await appender.append(EVENTS, EVENTS.length);
    await answered(answer);
    expect(answer.headers['content-type']).toBe('text/event-stream');
    await answer.untilText(EVENTS);
  });

  test('gets it with a long-poll, which is answered with the first bytes', async () => {
    const server = await startServer({ longPollMs: PATIENCE_MS });
    const appender = await V2Peer.append(server.url('/a.json'));
    const joins = vi.spyOn(Feed.prototype, 'join');
    onTestFinished(() => joins.mockRestore());
    const answer = get(server.url('/a.json?offset=-1&live=long-poll'));
    await waitFor(() => joins.mock.calls.length === 1, 'the poll');
    await tell(appender, 'text/csv');
    await appender.append('a,b', 3);
    expect(await answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/csv' }, text: 'a,b' });
  });
});

describe('who reads the events of a file before a byte of it has come', () => {
  test('comes back for them when that type has another form', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/a'));
    const early = await SseReader.open(server.url('/a'));
    await early.waitUntilUpToDate();
    await tell(appender, 'application/octet-stream');
    await appender.append(Buffer.of(0, 255, 1, 2), 4);
    await early.waitForClose();
    expect([early.isEnded, early.data]).toEqual([true, '']);
    const again = await SseReader.open(server.url('/a'), early.controls.at(-1)?.streamNextOffset);
    await again.waitUntilUpToDate();
    expect(again.data).toBe('AP8BAg==');
  });

  test.each([
    ['/a', 'text/event-stream', EVENTS],
    ['/a.json', 'application/json', '{"a":\n1}'],
  ])('stays for what has the same form: %s as %s', async (name, contentType, text) => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url(name));
    const events = await SseReader.open(server.url(name));
    await events.waitUntilUpToDate();
    await tell(appender, contentType);
    await appender.append(text, text.length);
    await events.waitForData(text);
    expect(events.isClosed).toBe(false);
  });
});
