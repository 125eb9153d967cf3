import { describe, expect, test } from 'vitest';
import { NEVER_MS } from '../../support/patience.ts';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import type { UrlSource } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const OFFSET = /^\d{16}_\d{16}$/;

/** Of the same shape, and `bytes` further on. */
function shifted(offset: string, bytes: number): string {
  const [generation, position] = offset.split('_');
  return `${generation}_${String(Number(position) + bytes).padStart(16, '0')}`;
}

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

const startStream = async (body?: string) => makeStream(await common.guest(), body);

/** On a server of its own. */
const startStreamAlone = async (body?: string, longPollMs = LONG_POLL_MS) =>
  makeStream(await InProcessServer.start({ longPollMs }), body);

async function makeStream<S extends UrlSource>(server: S, body = 'some bytes') {
  const stream = new StreamPeer(server, '/dir/stream.txt');
  const made = await stream.create({}, body);
  expect(made.status).toBe(201);
  return { server, stream, tail: made.nextOffset };
}

/** Of a stream as the server knows it. */
const pathOf = (stream: StreamPeer) => new URL(stream.url).pathname;

describe('an entity tag', () => {
  test('changes when the stream is closed, though no byte does', async () => {
    const { stream, tail } = await startStream();
    for (const offset of ['-1', tail]) {
      const before = (await stream.read(offset)).headers.etag as string;
      expect((await stream.read(offset, { 'if-none-match': before })).status).toBe(304);
    }
    const tags = [
      (await stream.read()).headers.etag as string,
      (await stream.read(tail)).headers.etag as string,
    ];
    await stream.close();
    for (const [index, offset] of ['-1', tail].entries()) {
      const answer = await stream.read(offset, { 'if-none-match': tags[index] });
      expect(answer.status).toBe(200);
      expect(answer.headers['stream-closed']).toBe('true');
      expect(answer.headers.etag).not.toBe(tags[index]);
      const again = await stream.read(offset, { 'if-none-match': answer.headers.etag });
      expect(again.status).toBe(304);
    }
  });

  test('changes for the plain file too, so that nobody is told 304 instead of the end', async () => {
    const { stream } = await startStream();
    const before = (await stream.plain()).headers.etag as string;
    expect((await stream.plain({ 'if-none-match': before })).status).toBe(304);
    await stream.close();
    const closed = await stream.plain({ 'if-none-match': before });
    expect(closed.status).toBe(200);
    expect(closed.headers['stream-closed']).toBe('true');
  });

  test('is found in a list, whatever else is there, and with W/ before it', async () => {
    const { stream } = await startStream();
    const etag = (await stream.read()).headers.etag as string;
    const strong = etag.replace(/^W\//, '');
    for (const list of [`"other", ${etag}`, `${etag}, "other"`, `"a,b" ,\t${etag}`, `W/${strong}`, '*']) {
      expect([list, (await stream.read('-1', { 'if-none-match': list })).status]).toEqual([list, 304]);
    }
    for (const list of ['"other"', strong.replaceAll('"', ''), '']) {
      expect([list, (await stream.read('-1', { 'if-none-match': list })).status]).toEqual([list, 200]);
    }
  });

  test('is another one for another offset', async () => {
    const { stream, tail } = await startStream();
    const fromStart = (await stream.read()).headers.etag as string;
    expect((await stream.read(tail, { 'if-none-match': fromStart })).status).toBe(200);
  });

  test('does not bring an old answer to a live reader', async () => {
    const { stream, tail } = await startStreamAlone('some bytes', NEVER_MS);
    const { etag } = (await stream.read(tail)).headers;
    const polled = stream.longPoll(tail, { 'if-none-match': etag });
    await stream.append('new');
    expect(await polled).toMatchObject({ status: 200, text: 'new' });
  });
});

describe('an offset', () => {
  test('has its shape everywhere, and grows', async () => {
    const { stream, tail } = await startStream();
    const seen = ['0000000000000000_0000000000000000', tail];
    for (let k = 0; k < 10; k++) seen.push((await stream.append('x'.repeat(10 ** (k % 5)))).nextOffset);
    expect((await stream.head()).nextOffset).toBe(seen.at(-1));
    expect((await stream.read()).nextOffset).toBe(seen.at(-1));
    expect((await stream.read('now')).nextOffset).toBe(seen.at(-1));
    expect((await stream.longPoll('now')).nextOffset).toBe(seen.at(-1));
    for (const offset of seen) expect(offset).toMatch(OFFSET);
    expect([...seen].sort()).toEqual(seen);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('of all zeros is the start', async () => {
    const { stream } = await startStream();
    expect((await stream.read('0000000000000000_0000000000000000')).text).toBe('some bytes');
  });

  test('past the tail is 410, in each way of reading', async () => {
    const { stream, tail } = await startStream();
    const past = shifted(tail, 1);
    expect(await stream.read(past)).toMatchObject({ status: 410, code: 'HFS_RESOURCE_GONE' });
    expect((await stream.longPoll(past)).status).toBe(410);
    expect((await stream.read(`${past}&live=sse`)).status).toBe(410);
  });

  test('that never was one is 400, in each way of reading', async () => {
    const { stream } = await startStream();
    const malformed = [
      '9999999999999999_9999999999999999',
      '',
      '-2',
      '0',
      '00000000000000000_000000000000000',
      '000000000000000a_0000000000000000',
      '0000000000000000_0000000000000000x',
      '%200000000000000000_0000000000000000',
      'NOW',
      'now%00',
      '0000000000000000_0000000000000000%0a',
      '-1&offset=-1',
    ];
    for (const offset of malformed) {
      for (const live of ['', '&live=long-poll', '&live=sse']) {
        const answer = await stream.read(`${offset}${live}`);
        expect([offset, live, answer.status]).toEqual([offset, live, 400]);
        expect(answer.code).toBe('HFS_INVALID_REQUEST');
      }
    }
  });

  test('of a stream that was deleted is 410 for the one made in its place, be it in the same millisecond', async () => {
    const { stream } = await startStream('0123456789');
    const offsets: string[] = [];
    const tags: string[] = [];
    for (let round = 0; round < 30; round++) {
      const { nextOffset, headers } = await stream.read();
      // Whoever follows at once is the likeliest to be taken for the one before; the others are asked for now and then.
      for (const old of round % 6 === 5 ? offsets : offsets.slice(-1)) {
        expect((await stream.read(old)).status).toBe(410);
        expect((await stream.read(shifted(old, -4))).status).toBe(410);
      }
      expect((await stream.read('-1', { 'if-none-match': tags.join(', ') || '"none"' })).status).toBe(200);
      expect(offsets).not.toContain(nextOffset);
      expect(tags).not.toContain(headers.etag);
      offsets.splice(0, offsets.length > 5 ? 1 : 0);
      offsets.push(nextOffset);
      tags.splice(0, tags.length > 5 ? 1 : 0);
      tags.push(headers.etag as string);
      // In one go, so that both are within a millisecond as often as possible.
      const [deleted, made] = await Promise.all([stream.delete(), retryCreate(stream, '0123456789')]);
      expect(deleted.status).toBe(204);
      expect(made.status).toBe(201);
    }
  });

  test('is never given twice, however soon a stream is deleted and made anew', async () => {
    const { stream, tail } = await startStream('0123456789');
    const offsets = [tail];
    for (let round = 0; round < 20; round++) {
      expect((await stream.delete()).status).toBe(204);
      const made = await stream.create({}, '0123456789');
      expect(made.status).toBe(201);
      offsets.push(made.nextOffset);
    }
    expect(new Set(offsets).size).toBe(offsets.length);
    for (const old of offsets.slice(0, -1)) expect((await stream.read(old)).status).toBe(410);
  });

  test('of a deleted stream is 410 to long-polls and events too, and after a restart', async () => {
    const { server, stream, tail } = await startStreamAlone();
    await stream.delete();
    await stream.create({}, 'other bytes, and more');
    await server.restart();
    expect((await stream.longPoll(tail)).status).toBe(410);
    expect((await stream.read(`${tail}&live=sse`)).status).toBe(410);
    expect((await stream.read(tail)).status).toBe(410);
  });
});

/** As soon as the path is free. */
async function retryCreate(stream: StreamPeer, body: string) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const answer = await stream.create({}, body);
    if (answer.status !== 200) return answer;
  }
  throw new Error('the stream was not deleted');
}

describe('an offset of a fork', () => {
  test('is one of its source up to where it begins, and its own beyond', async () => {
    const { server, stream, tail } = await startStream('inherited');
    const fork = new StreamPeer(server, '/fork');
    const made = await fork.create({ 'stream-forked-from': pathOf(stream) });
    expect(made.status).toBe(201);
    await fork.append(' and own');
    expect((await fork.read(tail)).text).toBe(' and own');
    expect((await fork.read(made.nextOffset)).text).toBe(' and own');
    await stream.append(' elsewhere');
    expect((await fork.read()).text).toBe('inherited and own');
  });

  test('is 410 once the fork was deleted and made anew, past where it begins', async () => {
    const { server, stream } = await startStream('inherited');
    const fork = new StreamPeer(server, '/fork');
    const old: string[] = [];
    for (let round = 0; round < 5; round++) {
      expect((await fork.create({ 'stream-forked-from': pathOf(stream) })).status).toBe(201);
      const { nextOffset } = await fork.append(` own of round ${round}`);
      for (const offset of old) {
        const answer = await fork.read(offset);
        expect([offset, answer.status]).toEqual([offset, 410]);
      }
      old.push(nextOffset);
      const { etag } = (await fork.read()).headers;
      expect((await fork.delete()).status).toBe(204);
      await fork.create({ 'stream-forked-from': pathOf(stream) });
      await fork.append(` own of round ${round}`);
      expect((await fork.read('-1', { 'if-none-match': etag })).status).toBe(200);
      await fork.delete();
    }
  });

  test("is not one of its source's that came after the fork", async () => {
    const { server, stream } = await startStream('inherited');
    const fork = new StreamPeer(server, '/fork');
    await fork.create({ 'stream-forked-from': pathOf(stream) });
    const later = (await stream.append(' elsewhere, and rather long')).nextOffset;
    await fork.append(' own, and even longer than what the source got');
    const answer = await fork.read(shifted(later, -5));
    expect([400, 410]).toContain(answer.status);
  });

  test('goes on when its source is deleted and another stream takes the name', async () => {
    const { server, stream, tail } = await startStream('inherited');
    const fork = new StreamPeer(server, '/fork');
    await fork.create({ 'stream-forked-from': pathOf(stream) });
    await fork.append(' own');
    await stream.delete();
    expect((await stream.read(tail)).status).toBe(410);
    expect((await fork.read(tail)).text).toBe(' own');
    await fork.delete();
    await waitFor(async () => (await stream.create({}, 'others')).status === 201, 'the name to be free');
    expect((await stream.read(tail)).status).toBe(410);
  });
});

describe('a Range', () => {
  test('is a range of the plain file, with what a stream tells', async () => {
    const { stream, tail } = await startStream('0123456789');
    const answer = await stream.plain({ range: 'bytes=2-4' });
    expect(answer).toMatchObject({ status: 206, text: '234', nextOffset: tail });
    expect(answer.headers['content-range']).toBe('bytes 2-4/10');
    expect(answer.headers['content-type']).toBe('text/plain');
    expect((await stream.plain({ range: 'bytes=-3' })).text).toBe('789');
    expect((await stream.plain({ range: 'bytes=10-' })).status).toBe(416);
    const { etag } = answer.headers;
    expect(await stream.plain({ range: 'bytes=2-4', 'if-range': etag })).toMatchObject({ status: 206 });
    await stream.append('more');
    const changed = await stream.plain({ range: 'bytes=2-4', 'if-range': etag });
    expect(changed).toMatchObject({ status: 200, text: '0123456789more' });
  });

  test('means nothing to a read by offset', async () => {
    const { stream, tail } = await startStream('0123456789');
    const from = shifted(tail, -6);
    expect(await stream.read(from, { range: 'bytes=1-2' })).toMatchObject({ status: 200, text: '456789' });
  });

  test('of a JSON stream is a range of the same document that GET gives', async () => {
    const { server } = await startStream();
    const stream = new StreamPeer(server, '/values', 'application/json');
    await stream.create({}, '[1,{"two":2},"three"]');
    const whole = (await stream.plain()).text;
    const part = await stream.plain({ range: 'bytes=1-5' });
    expect([200, 206]).toContain(part.status);
    expect(part.text).toBe(part.status === 206 ? whole.slice(1, 6) : whole);
  });
});
