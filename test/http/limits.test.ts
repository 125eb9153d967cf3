import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Body, client, type Progress, text } from '../../src/http/index.node.ts';
import { limits } from '../../src/http/limits.ts';
import { rejection } from '../client/client-server.ts';
import { FETCHES } from '../support/http/fetches.ts';
import { serve } from '../support/http/servers.ts';
import { waitFor } from '../support/wait-for.ts';

const LIMIT_MS = 60_000;

/** Time stands still but for what the test says; servers and connections are not asked. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  // First: they are on what is not real.
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Returns what counts the timers of limits that are made from now on, and left, while time stands still: all of this process have timers. */
function watchTimers(): () => number {
  const setting = vi.spyOn(globalThis, 'setTimeout');
  const clearing = vi.spyOn(globalThis, 'clearTimeout');
  return () => {
    const cleared = new Set<unknown>(clearing.mock.calls.map(([timer]) => timer));
    const made = setting.mock.results.filter((_, i) => setting.mock.calls[i]?.[1] === LIMIT_MS);
    expect(made.length).toBeGreaterThan(0);
    return made.filter(({ value }) => !cleared.has(value)).length;
  };
}

/** Lets time pass, when all that was to happen before has, and then what comes of it. */
async function pass(ms: number): Promise<void> {
  await settled();
  vi.advanceTimersByTime(ms);
  await settled();
}

async function settled(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await nextTurn();
}

/** A server that answers when the test does. */
async function start() {
  const requests: { response: ServerResponse; path: string; receivedBytes: number; hasEnded: boolean }[] = [];
  const sockets = new Set<Socket>();
  const url = await serve(async (request, response) => {
    sockets.add(request.socket);
    const each = { response, path: request.url ?? '', receivedBytes: 0, hasEnded: false };
    requests.push(each);
    for await (const chunk of request) each.receivedBytes += chunk.length;
    each.hasEnded = true;
  });
  /** A request that has come, and its body, unless only so many bytes of that are waited for. */
  const arrival = async (index = 0, bytes?: number) => {
    await waitFor(() => {
      const { hasEnded = false, receivedBytes = 0 } = requests[index] ?? {};
      return bytes === undefined ? hasEnded : receivedBytes >= bytes;
    }, 'the request');
    return requests[index] as (typeof requests)[number];
  };
  return { url, arrival, areClosed: () => [...sockets].every(({ destroyed }) => destroyed) };
}

/** A body of one byte, and of another when the test says so. */
function slowBody() {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const body = async function* () {
    yield 'x';
    await finished;
    yield 'y';
  };
  return { body, finish };
}

/** What a promise has rejected with so far. */
function failureOf(promise: Promise<unknown>): { error: unknown } {
  const failure: { error: unknown } = { error: undefined };
  promise.catch((error) => {
    failure.error = error;
  });
  return failure;
}

const TIMEOUT = { code: 'HFS_TIMEOUT' };

describe.each(FETCHES)('over %s', (_name, fetch) => {
  test('timeout is the time to the head', async () => {
    const { url, arrival, areClosed } = await start();
    const failure = failureOf(client(url, { fetch }).get('/').timeout(LIMIT_MS).send());
    await arrival();
    await pass(LIMIT_MS - 1);
    expect(failure.error).toBeUndefined();
    await pass(2);
    await waitFor(() => failure.error !== undefined, 'the limit');
    expect(failure.error).toMatchObject({ ...TIMEOUT, message: `no answer within ${LIMIT_MS} ms` });
    await waitFor(areClosed, 'the connection to be closed');
  });

  test('timeout is over with the head: a body may take longer', async () => {
    const { url, arrival } = await start();
    const sending = client(url, { fetch }).get('/').timeout(LIMIT_MS).send();
    const { response: answer } = await arrival();
    answer.write('x');
    const response = await sending;
    await pass(10 * LIMIT_MS);
    answer.end('y');
    expect(await text(response)).toBe('xy');
  });

  test('timeout counts from the end of an upload, however long that takes', async () => {
    const { url, arrival } = await start();
    const { body, finish } = slowBody();
    const failure = failureOf(client(url, { fetch }).post('/').body(body()).timeout(LIMIT_MS).send());
    await arrival(0, 1);
    await pass(10 * LIMIT_MS);
    finish();
    await arrival();
    await pass(LIMIT_MS - 1);
    expect(failure.error).toBeUndefined();
    await pass(2);
    await waitFor(() => failure.error !== undefined, 'the limit');
    expect(failure.error).toMatchObject(TIMEOUT);
  });

  test('idleTimeout is the time without a byte, of the head and of the body', async () => {
    const { url, arrival, areClosed } = await start();
    const head = failureOf(client(url, { fetch }).get('/').idleTimeout(LIMIT_MS).send());
    await arrival();
    await pass(LIMIT_MS - 1);
    expect(head.error).toBeUndefined();
    await pass(2);
    await waitFor(() => head.error !== undefined, 'the limit');
    expect(head.error).toMatchObject(TIMEOUT);
    const sending = client(url, { fetch }).get('/').idleTimeout(LIMIT_MS).send();
    const { response: answer } = await arrival(1);
    answer.flushHeaders();
    const reader = ((await sending).body as ReadableStream<Uint8Array>).getReader();
    for (let i = 0; i < 5; i++) {
      const reading = reader.read();
      await pass(LIMIT_MS - 1);
      answer.write('x');
      expect((await reading).value).toHaveLength(1);
    }
    const body = failureOf(reader.read());
    await pass(LIMIT_MS - 1);
    expect(body.error).toBeUndefined();
    await pass(2);
    await waitFor(() => body.error !== undefined, 'the limit');
    expect(body.error).toMatchObject({ ...TIMEOUT, message: `not a byte for ${LIMIT_MS} ms` });
    await waitFor(areClosed, 'the connections to be closed');
  });

  test('idleTimeout leaves time to a source, and to a reader', async () => {
    const { url, arrival } = await start();
    const { body, finish } = slowBody();
    const sending = client(url, { fetch }).post('/').body(body()).idleTimeout(LIMIT_MS).send();
    await arrival(0, 1);
    await pass(10 * LIMIT_MS);
    finish();
    (await arrival()).response.end('hello');
    const response = await sending;
    await pass(10 * LIMIT_MS);
    expect(await text(response)).toBe('hello');
  });

  test('idleTimeout ends an upload that nobody takes, and its source', async () => {
    const url = await serve(() => undefined);
    let isEnded = false;
    const endless = async function* () {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        isEnded = true;
      }
    };
    const failure = failureOf(client(url, { fetch }).post('/').body(endless()).idleTimeout(LIMIT_MS).send());
    await waitFor(async () => {
      await pass(LIMIT_MS);
      return failure.error !== undefined;
    }, 'the limit');
    expect(failure.error).toMatchObject(TIMEOUT);
    await waitFor(() => isEnded, 'the source to be ended');
  });

  test('each attempt tells how far it has come', async () => {
    const url = await serve(async (request, response) => {
      for await (const _ of request);
      response.writeHead(200, { 'content-length': 100_000 }).end(Buffer.alloc(100_000));
    });
    for (const body of [
      'x'.repeat(200_000),
      Readable.from(['x'.repeat(150_000), 'x'.repeat(50_000)]),
    ] as Body[]) {
      const told: Progress[] = [];
      const request = client(url, { fetch })
        .post('/')
        .body(body)
        .progress((progress) => told.push(progress));
      await (await request.send()).arrayBuffer();
      expect(told.at(-1)).toEqual({ sentBytes: 200_000, receivedBytes: 100_000, totalBytes: 100_000 });
      for (const [i, { sentBytes, receivedBytes }] of told.entries()) {
        expect(sentBytes).toBeGreaterThanOrEqual(told[i - 1]?.sentBytes ?? 0);
        expect(receivedBytes).toBeGreaterThanOrEqual(told[i - 1]?.receivedBytes ?? 0);
      }
    }
  });

  test('what is thrown there ends the request, and its answer', async () => {
    const url = await serve(async (request, response) => {
      for await (const _ of request);
      response.end('hello');
    });
    const fail = () => {
      throw new Error('no more');
    };
    const source = Readable.from(['abc']);
    expect(
      await rejection(client(url, { fetch }).post('/').body(source).progress(fail).send()),
    ).toMatchObject({ message: 'no more' });
    expect(source.destroyed).toBe(true);
    const answer = client(url, { fetch })
      .get('/')
      .progress(({ receivedBytes }) => receivedBytes > 0 && fail());
    expect(await rejection(answer.send().then(text))).toMatchObject({ message: 'no more' });
  });

  test('a limit that does not pass leaves no timer', async () => {
    const url = await serve((_request, response) => response.end('hello'));
    const left = watchTimers();
    const get = () => client(url, { fetch }).get('/').timeout(LIMIT_MS).idleTimeout(LIMIT_MS).send();
    for (let i = 0; i < 5; i++) await text(await get());
    for (let i = 0; i < 5; i++) await (await get()).body?.cancel();
    expect(left()).toBe(0);
  });
});

test('a source that is let go of with the answer leaves no timer', async () => {
  const { url, arrival } = await start();
  const left = watchTimers();
  const source = new Readable({ read: () => undefined });
  source.push('x');
  const sending = client(url).post('/').body(source).timeout(LIMIT_MS).idleTimeout(LIMIT_MS).send();
  (await arrival(0, 1)).response.write('x');
  const reader = ((await sending).body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const reading = reader.read();
  await settled();
  await reader.cancel();
  expect((await reading).done).toBe(true);
  await waitFor(() => source.destroyed, 'the source to be ended');
  expect(left()).toBe(0);
});

test('an answer of which only the head had to be in time is given as it is', async () => {
  const left = watchTimers();
  const answer = new Response('hello');
  const url = new URL('http://localhost');
  const init = { method: 'GET', headers: new Headers() };
  const given = { timeoutMs: LIMIT_MS, idleTimeoutMs: 0, onProgress: undefined };
  expect(await limits(given, true)(async () => answer)(url, init)).toBe(answer);
  expect(left()).toBe(0);
  const watched = limits({ ...given, idleTimeoutMs: LIMIT_MS }, true)(async () => answer);
  expect(await watched(url, init)).not.toBe(answer);
});

describe('a redirect in the middle of an upload', () => {
  /** Redirects at once, with this status, to where nobody answers. */
  const startRedirecting = async (status: number) => {
    const { url, arrival } = await start();
    const first = await serve((_request, response) =>
      response.writeHead(status, { location: `${url}/next` }).end(),
    );
    return { own: client(first), arrival };
  };

  test.each([303, 307])('after %d leaves the limits as they are', async (status) => {
    for (const limit of ['timeout', 'idleTimeout'] as const) {
      const { own, arrival } = await startRedirecting(status);
      let made = 0;
      const body = () => (made++ === 0 ? slowBody().body() : Readable.from(['yz']));
      const failure = failureOf(own.post('/').body(body)[limit](LIMIT_MS).send());
      await arrival();
      await pass(LIMIT_MS - 1);
      expect(failure.error).toBeUndefined();
      await pass(LIMIT_MS);
      await waitFor(() => failure.error !== undefined, 'the limit');
      expect(failure.error).toMatchObject(TIMEOUT);
    }
  });

  test('leaves its time to a source that is begun again', async () => {
    const { own, arrival } = await startRedirecting(307);
    const { body, finish } = slowBody();
    const told: Progress[] = [];
    const sending = own
      .post('/')
      .body(body)
      .timeout(LIMIT_MS)
      .idleTimeout(LIMIT_MS)
      .progress((progress) => told.push(progress))
      .send();
    await arrival(0, 1);
    await pass(10 * LIMIT_MS);
    finish();
    (await arrival()).response.end('hello');
    expect(await text(await sending)).toBe('hello');
    expect(told.at(-1)).toMatchObject({ sentBytes: 2, receivedBytes: 5 });
  });
});

test('progress tells each part of what is sent, whatever it is', async () => {
  const url = await serve(async (request, response) => {
    for await (const _ of request);
    response.end();
  });
  for (const body of ['x'.repeat(2_000_000), new Uint8Array(2_000_000), new Blob(['x'.repeat(2_000_000)])]) {
    const told: Progress[] = [];
    await client(url)
      .post('/')
      .body(body)
      .progress((progress) => told.push(progress))
      .send();
    expect(told.length).toBeGreaterThan(3);
    expect(told[0]).toMatchObject({ totalBytes: 2_000_000 });
  }
});
