import {
  DurableStream,
  FetchError,
  IdempotentProducer,
  stream as readStream,
  STREAM_CLOSED_HEADER,
  StaleEpochError,
} from '@durable-streams/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import type { UrlSource } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

interface Note {
  n: number;
  text?: string;
}

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

const create = async (contentType: string, urlPath?: string) =>
  createOn(await common.guest(), contentType, urlPath);

async function createOn<S extends UrlSource>(server: S, contentType: string, urlPath = '/notes') {
  const url = server.url(urlPath);
  return { server, url, handle: await DurableStream.create({ url, contentType }) };
}

/** Stops what it is given to at the end of the test. */
function untilTestEnds(): AbortSignal {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  return controller.signal;
}

describe('the official client', () => {
  test('creates, appends, reads, and finds metadata and the end', async () => {
    const { url, handle } = await create('text/plain');
    await handle.append('one;');
    await handle.append(new TextEncoder().encode('two;'));
    expect(await (await readStream({ url, live: false })).text()).toBe('one;two;');
    const head = await DurableStream.head({ url });
    expect(head).toMatchObject({ exists: true, contentType: 'text/plain' });
    expect(head).not.toMatchObject({ streamClosed: true });
    const { finalOffset } = await handle.close({ body: 'three' });
    expect(await handle.head()).toMatchObject({ streamClosed: true, offset: finalOffset });
    expect(await (await readStream({ url, live: false })).text()).toBe('one;two;three');
    await expect(handle.append('four')).rejects.toThrow();
    await DurableStream.delete({ url });
    await expect(readStream({ url, live: false })).rejects.toMatchObject({ status: 404 });
  });

  test('appends from a stream of chunks', async () => {
    const { url, handle } = await create('text/plain');
    const chunks = async function* () {
      for (let k = 0; k < 50; k++) yield `chunk ${k};`;
    };
    await handle.appendStream(chunks());
    const text = await (await readStream({ url, live: false })).text();
    expect(text).toBe(Array.from({ length: 50 }, (_, k) => `chunk ${k};`).join(''));
  });

  test('resumes from the offset that it was told', async () => {
    const { url, handle } = await create('text/plain');
    await handle.append('before;');
    const first = await readStream({ url, live: false });
    expect(await first.text()).toBe('before;');
    await handle.append('after');
    const second = await readStream({ url, offset: first.offset, live: false });
    expect(await second.text()).toBe('after');
    const third = await readStream({ url, offset: second.offset, live: false });
    expect(await third.text()).toBe('');
    expect(third.upToDate).toBe(true);
  });

  test('resumes over a restart of the server', async () => {
    const { server, url, handle } = await createOn(await InProcessServer.start(), 'application/json');
    await handle.append(JSON.stringify({ n: 1 }));
    const first = await readStream<Note>({ url, live: false });
    expect(await first.json()).toEqual([{ n: 1 }]);
    await server.restart();
    const anew = new DurableStream({ url: server.url('/notes'), contentType: 'application/json' });
    await anew.append(JSON.stringify({ n: 2 }));
    const rest = await readStream<Note>({ url: anew.url, offset: first.offset, live: false });
    expect(await rest.json()).toEqual([{ n: 2 }]);
  });

  test.each(['sse', 'long-poll', true] as const)('follows JSON live, with live: %s', async (live) => {
    const { url, handle } = await create('application/json');
    await handle.append(JSON.stringify({ n: 0 }));
    const response = await readStream<Note>({ url, offset: '-1', live, signal: untilTestEnds() });
    const seen: Note[] = [];
    response.subscribeJson(async ({ items }) => {
      seen.push(...items);
    });
    for (let n = 1; n < 20; n++) {
      await handle.append(JSON.stringify({ n, text: 'é😀\n' }));
      await waitFor(() => seen.length > n, `note ${n}`);
    }
    expect(seen.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(seen[7]?.text).toBe('é😀\n');
    await handle.close();
    await response.closed;
  });

  test.each(['sse', 'long-poll'] as const)('follows text live to its end, with live: %s', async (live) => {
    const { url, handle } = await create('text/plain');
    const response = await readStream({ url, offset: '-1', live, signal: untilTestEnds() });
    let seen = '';
    response.subscribeText(async ({ text }) => {
      seen += text;
    });
    const lines = Array.from({ length: 30 }, (_, k) => `line ${k} é😀\n`);
    for (const line of lines) await handle.append(line);
    await handle.close();
    await response.closed;
    // The client calls itself closed before it hands on what came last.
    await waitFor(() => seen.length === lines.join('').length, 'the last line');
    expect(seen).toBe(lines.join(''));
    expect(response.streamClosed).toBe(true);
  });

  test('follows bytes over events', async () => {
    const { url, handle } = await create('application/octet-stream');
    const response = await readStream({ url, offset: '-1', live: 'sse', signal: untilTestEnds() });
    const seen: number[] = [];
    response.subscribeBytes(async ({ data }) => {
      seen.push(...data);
    });
    const sent = Array.from({ length: 256 }, (_, byte) => byte);
    for (let start = 0; start < 256; start += 17) {
      await handle.append(Uint8Array.from(sent.slice(start, start + 17)));
    }
    await waitFor(() => seen.length === 256, 'all bytes');
    expect(seen).toEqual(sent);
  });

  test('follows what a WebSocket appender writes', async () => {
    const { server, url } = await create('text/plain');
    const response = await readStream({ url, offset: '-1', live: 'sse', signal: untilTestEnds() });
    let seen = '';
    response.subscribeText(async ({ text }) => {
      seen += text;
    });
    const appender = await Peer.connect(server.url('/notes'), 'APPEND');
    await appender.send('from a session');
    await waitFor(() => seen === 'from a session', 'the bytes');
    await appender.finish();
  });

  test('is told what it did wrong', async () => {
    const { server, url, handle } = await create('text/plain');
    await expect(DurableStream.create({ url, contentType: 'text/html' })).rejects.toThrow();
    await expect(handle.append('x', { contentType: 'text/html' })).rejects.toMatchObject({ status: 409 });
    const missing = new DurableStream({ url: server.url('/missing'), contentType: 'text/plain' });
    await expect(missing.append('x')).rejects.toThrow(/not found|404/i);
    const failed = readStream({ url, offset: '9999999999999999_9999999999999999', live: false });
    await expect(failed).rejects.toBeInstanceOf(FetchError);
    await expect(failed).rejects.toMatchObject({ status: 400 });
    expect(STREAM_CLOSED_HEADER.toLowerCase()).toBe('stream-closed');
  });
});

describe('its IdempotentProducer', () => {
  test('brings each message once and in order, with batches and many in flight', async () => {
    const { url, handle } = await create('application/json');
    const errors: Error[] = [];
    const producer = new IdempotentProducer(handle, 'producer', {
      lingerMs: 0,
      maxBatchBytes: 200,
      onError: (error) => errors.push(error),
    });
    for (let n = 0; n < 500; n++) producer.append(JSON.stringify({ n }));
    await producer.flush();
    expect(errors).toEqual([]);
    const items = await (await readStream<Note>({ url, live: false })).json();
    expect(items.map(({ n }) => n)).toEqual(Array.from({ length: 500 }, (_, n) => n));
    await producer.close();
    expect(await DurableStream.head({ url })).toMatchObject({ streamClosed: true });
  });

  test('does not repeat what was taken before the answer was lost', async () => {
    const { url, handle } = await create('text/plain');
    let lost = 0;
    const losesAnswers: typeof fetch = async (input, init) => {
      const answer = await fetch(input, init);
      if (init?.method === 'POST' && lost < 3) {
        lost++;
        const again = await fetch(input, init);
        expect(again.status).toBe(204);
        return answer;
      }
      return answer;
    };
    const producer = new IdempotentProducer(handle, 'producer', { fetch: losesAnswers, maxInFlight: 1 });
    for (let k = 0; k < 5; k++) {
      producer.append(`${k};`);
      await producer.flush();
    }
    expect(lost).toBe(3);
    expect(await (await readStream({ url, live: false })).text()).toBe('0;1;2;3;4;');
  });

  test('is fenced by a later one, which claims the stream', async () => {
    const { url, handle } = await create('text/plain');
    const errors: Error[] = [];
    const first = new IdempotentProducer(handle, 'producer', {
      epoch: 3,
      lingerMs: 0,
      onError: (error) => errors.push(error),
    });
    first.append('first;');
    await first.flush();
    const second = new IdempotentProducer(handle, 'producer', { autoClaim: true, lingerMs: 0 });
    second.append('second;');
    await second.flush();
    expect(second.epoch).toBe(4);
    first.append('zombie;');
    await first.flush().catch(() => undefined);
    await waitFor(() => errors.length > 0, 'the first to be fenced');
    expect(errors[0]).toBeInstanceOf(StaleEpochError);
    expect(errors[0]).toMatchObject({ currentEpoch: 4 });
    expect(await (await readStream({ url, live: false })).text()).toBe('first;second;');
  });

  test('closes with its last message, once', async () => {
    const { url, handle } = await create('text/plain');
    const producer = new IdempotentProducer(handle, 'producer', { lingerMs: 0 });
    producer.append('first;');
    const { finalOffset } = await producer.close('last');
    expect((await producer.close()).finalOffset).toBe(finalOffset);
    const response = await readStream({ url, live: false });
    expect(await response.text()).toBe('first;last');
    expect(response.streamClosed).toBe(true);
    expect(response.offset).toBe(finalOffset);
  });
});
