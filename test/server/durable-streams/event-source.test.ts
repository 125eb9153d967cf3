import { describe, expect, test } from 'vitest';
import { send } from '../../support/http/request.ts';
import { Random } from '../../support/random.ts';
import { LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { EventSourceClient } from '../../support/streams/event-source.ts';
import { SseReader } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

async function startStream(contentType = 'text/plain', body?: string | Buffer): Promise<StreamPeer> {
  const stream = new StreamPeer(await common.guest(), '/s', contentType);
  expect((await stream.create({}, body)).status).toBe(201);
  return stream;
}

const eventsOf = ({ url }: StreamPeer, offset = '-1') => `${url}?offset=${offset}&live=sse`;

/** What is appended, and what a page makes of the events. */
interface Form {
  contentType: string;
  piece: (i: number) => string;
  whole: (data: readonly string[]) => string;
  expected: (pieces: readonly string[]) => string;
}

const FORMS: Record<string, Form> = {
  text: {
    contentType: 'text/plain',
    piece: (i) => `line ${i} é\n${' indented\n'.repeat(i % 3)}`,
    whole: (data) => data.join(''),
    expected: (pieces) => pieces.join(''),
  },
  JSON: {
    contentType: 'application/json',
    piece: (i) => JSON.stringify([{ i }, `value ${i}`]),
    whole: (data) => JSON.stringify(data.flatMap((text) => JSON.parse(text) as unknown[])),
    expected: (pieces) => JSON.stringify(pieces.flatMap((text) => JSON.parse(text) as unknown[])),
  },
  base64: {
    contentType: 'application/octet-stream',
    piece: (i) => `\u0000\u0001${i}\n`,
    whole: (data) => data.map((text) => Buffer.from(text, 'base64').toString()).join(''),
    expected: (pieces) => pieces.join(''),
  },
};

describe('an EventSource', () => {
  test.each(Object.keys(FORMS))(
    'has each byte of %s once, wherever its connections break, and ends with the stream',
    async (name) => {
      const { contentType, piece, whole, expected } = FORMS[name] as Form;
      const random = new Random(name.length);
      const stream = await startStream(contentType);
      let connections = 0;
      // At last one lasts: an event that is longer than each of the others would never be whole.
      const cutAfter = () => (connections++ < 50 ? random.integer(1, 1200) : Number.POSITIVE_INFINITY);
      const source = new EventSourceClient(eventsOf(stream), cutAfter);
      const pieces = Array.from({ length: 60 }, (_, i) => piece(i));
      for (const [i, body] of pieces.entries()) {
        expect((await stream.append(body)).status).toBe(204);
        if (i % 10 === 0) await waitFor(() => source.data('control').length > i / 10, 'more events');
      }
      await stream.close();
      await source.untilClosed();
      expect(whole(source.data())).toBe(expected(pieces));
      expect(source.statuses.at(-1)).toBe(204);
      expect(source.statuses.length).toBeGreaterThan(3);
    },
  );

  test('that begins at the end misses nothing that comes while its connection is broken', async () => {
    const stream = await startStream('text/plain', 'before');
    const source = new EventSourceClient(eventsOf(stream, 'now'));
    await waitFor(() => source.data('control').length === 1, 'the first event');
    source.cut();
    await stream.append('meanwhile');
    await waitFor(() => source.data().join('') === 'meanwhile', 'what was appended');
    expect(source.retryMs).toBe(1000);
    await stream.close();
    await source.untilClosed();
    expect(source.data().join('')).toBe('meanwhile');
  });

  test('that comes back in the middle of a closed stream gets the rest, and then ends', async () => {
    const stream = await startStream('text/plain', 'a'.repeat(100_000));
    await stream.close();
    let connections = 0;
    const source = new EventSourceClient(eventsOf(stream), () => {
      connections++;
      // All of the first event, and nothing of the second.
      return connections === 1 ? 66_500 : Number.POSITIVE_INFINITY;
    });
    await source.untilClosed();
    expect(source.data().map(({ length }) => length)).toEqual([65_536, 100_000 - 65_536]);
    expect(source.statuses).toEqual([200, 200, 204]);
  });

  test('gives up when the stream was made anew, or deleted', async () => {
    const stream = await startStream('text/plain', 'old');
    const source = new EventSourceClient(eventsOf(stream));
    await waitFor(() => source.data().join('') === 'old', 'the data');
    await stream.delete();
    await stream.create({}, 'new');
    await source.untilClosed();
    expect(source.data().join('')).toBe('old');
    expect([404, 410]).toContain(source.statuses.at(-1));
  });
});

describe('Last-Event-ID', () => {
  test('wins over the offset', async () => {
    const stream = await startStream('text/plain', 'one');
    const { nextOffset: first } = await stream.head();
    await stream.append('two');
    const reader = await SseReader.open(stream.url, 'now', { 'last-event-id': first });
    await reader.waitForData('two');
    expect(reader.data).toBe('two');
  });

  test.each(['nonsense', 'now', '0', '1_2', '0000000000000000_000000000000000x', '-2'])(
    '%j is 400',
    async (lastEventId) => {
      const stream = await startStream();
      const headers = { 'last-event-id': lastEventId };
      expect(await send('GET', eventsOf(stream), { headers })).toMatchObject({
        status: 400,
        code: 'HFS_INVALID_REQUEST',
      });
    },
  );

  test('of another generation is 410', async () => {
    const stream = await startStream();
    const headers = { 'last-event-id': `${'1'.repeat(16)}_${'0'.repeat(15)}1` };
    expect(await send('GET', eventsOf(stream), { headers })).toMatchObject({ status: 410 });
  });

  test('at the end of a closed stream is 204, and no id is events with the end', async () => {
    const stream = await startStream('text/plain', 'all');
    await stream.close();
    const { nextOffset } = await stream.head();
    const answer = await send('GET', eventsOf(stream), { headers: { 'last-event-id': nextOffset } });
    expect(answer).toMatchObject({ status: 204, nextOffset, headers: { 'stream-closed': 'true' } });
    const reader = await SseReader.open(stream.url, nextOffset);
    await reader.waitForClose();
    expect(reader.controls).toMatchObject([{ streamNextOffset: nextOffset, streamClosed: true }]);
  });
});
