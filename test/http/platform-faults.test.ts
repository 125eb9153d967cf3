import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { client, type Fetch, text } from '../../src/http/index.node.ts';
import { rejection } from '../client/client-server.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { FETCHES, platformFetch } from '../support/http/fetches.ts';
import { serve, serveBytes } from '../support/http/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** What the fetch of Node 20 to 26 does to those who stream: each test shows the fault with it alone, and that it is gone. */

const HEAD = 'HTTP/1.1 200 OK\r\n';

const init = (body?: BodyInit): RequestInit & { method: string; headers: Headers } => ({
  method: body === undefined ? 'GET' : 'POST',
  headers: new Headers(),
  ...(body !== undefined && { body, duplex: 'half' }),
});

type BodyInit = NonNullable<RequestInit['body']>;

const MIB = 1024 * 1024;

/** Chunks of which `counts` tells what became of them. */
function countedChunks(limit = Number.POSITIVE_INFINITY) {
  const counts = { pulled: 0, isEnded: false };
  const chunk = new Uint8Array(65_536);
  const chunks = async function* () {
    try {
      while (counts.pulled < limit) {
        counts.pulled++;
        yield chunk;
      }
    } finally {
      counts.isEnded = true;
    }
  };
  return { counts, chunks };
}

/** What array buffers take when garbage is collected: what is freed late, or is on its way, does not count. */
async function leastBytes(turns: number, enough = 0): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < turns && least > enough; turn++) {
    collectGarbage();
    least = Math.min(least, process.memoryUsage().arrayBuffers);
    await nextTurn();
  }
  return least;
}

/** Sends 64 MiB in chunks, and resolves with how much memory was held before the end; that it is less than `enough` is enough. */
async function heldBytes(
  send: (url: URL, chunks: AsyncGenerator<Uint8Array>) => Promise<Response>,
  enough = 0,
): Promise<number> {
  const url = new URL(
    await serve(async (request, response) => response.end(String((await drained(request)) / MIB))),
  );
  const before = await leastBytes(2);
  let held = Number.POSITIVE_INFINITY;
  const chunks = async function* () {
    for (let i = 0; i < 1024; i++) yield new Uint8Array(65_536);
    held = (await leastBytes(enough > 0 ? 20 : 5, before + enough)) - before;
  };
  expect(await text(await send(url, chunks()))).toBe('64');
  return held;
}

async function drained(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}

describe('a streamed body is', () => {
  test('kept as a whole by the platform up to Node 24, and let go by that of Node 26', async () => {
    const send = (url: URL, chunks: AsyncGenerator<Uint8Array>) =>
      platformFetch(url, init(ReadableStream.from(chunks)));
    const [major = 0] = process.versions.node.split('.').map(Number);
    // What is freed late must not count where nothing is to be kept, nor help where all is.
    if (major >= 26) expect(await heldBytes(send, 24 * MIB)).toBeLessThan(24 * MIB);
    else expect(await heldBytes(send)).toBeGreaterThan(48 * MIB);
  });

  test.each(FETCHES)('let go when it was sent, over %s', async (_name, fetch) => {
    const send = (url: URL, chunks: AsyncGenerator<Uint8Array>) =>
      client(url, { fetch }).post('').body(chunks).send();
    expect(await heldBytes(send, 24 * MIB)).toBeLessThan(24 * MIB);
  });
});

describe('the source of an upload that is aborted is', () => {
  const CHUNKS = 2000;

  /** A server that reads nothing; `seen` resolves when a request is there. */
  async function start() {
    let arrived = () => {};
    const seen = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const url = new URL(await serve(() => arrived()));
    return { url, seen };
  }

  async function abortedWith(
    send: (url: URL, chunks: AsyncGenerator<Uint8Array>, signal: AbortSignal) => Promise<Response>,
  ) {
    const { url, seen } = await start();
    const { counts, chunks } = countedChunks(CHUNKS);
    const controller = new AbortController();
    const failed = rejection(send(url, chunks(), controller.signal));
    await seen;
    controller.abort(new Error('enough'));
    return { counts, error: await failed };
  }

  test('read to its end by the platform', async () => {
    const { counts } = await abortedWith((url, chunks, signal) =>
      platformFetch(url, { ...init(ReadableStream.from(chunks)), signal }),
    );
    await waitFor(() => counts.isEnded, 'the end of the source');
    expect(counts.pulled).toBe(CHUNKS);
  });

  test.each(FETCHES)('ended at once, over %s', async (_name, fetch) => {
    const { counts, error } = await abortedWith((url, chunks, signal) =>
      client(url, { fetch }).post('').body(chunks).signal(signal).send(),
    );
    expect(error).toMatchObject({ message: 'enough' });
    await waitFor(() => counts.isEnded, 'the end of the source');
    expect(counts.pulled).toBeLessThan(CHUNKS / 2);
  });
});

describe('an answer is taken for a whole one by the platform, and is an error here, when it', () => {
  const coded = gzipSync('what is sent '.repeat(10_000));
  const cut: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(coded.subarray(0, coded.length / 2));
  };

  test.each<[string, () => Promise<string>]>([
    ['lasts until the connection closes, and is reset', () => serveBytes(`${HEAD}\r\nhello`, 'reset')],
    ['has more bytes than it declares', () => serveBytes(`${HEAD}Content-Length: 2\r\n\r\nhello`)],
    ['is compressed, and cut', () => serve(cut)],
  ])('%s', async (_what, start) => {
    const url = await start();
    expect(await (await platformFetch(new URL(url), init())).text()).not.toBe('');
    const reading = async () => text(await client(url).get('').send());
    expect(await rejection(reading())).toMatchObject({ code: 'HFS_CONNECTION' });
  });
});

test('a silence that is longer than its limit, which is 300 s, is an error of the platform', async () => {
  const LIMIT_MS = 100;
  const url = await serve(({ url }, response) => {
    if (url === '/body') response.write('hello');
    setTimeout(() => response.end('late'), 20 * LIMIT_MS);
  });
  // The limit is a setting of its own agent, which is not exported.
  const key = Object.getOwnPropertySymbols(globalThis).find(({ description = '' }) =>
    /^undici\.globalDispatcher/.test(description),
  );
  await (await platformFetch(new URL(await serve((_request, response) => response.end())), init())).text();
  const { constructor: Agent } = Reflect.get(globalThis, key ?? Symbol.for('undici.globalDispatcher.1')) as {
    constructor: new (options: object) => object;
  };
  const dispatcher = new Agent({ headersTimeout: LIMIT_MS, bodyTimeout: LIMIT_MS });
  const limited: Fetch = (url, init) => platformFetch(url, { ...init, dispatcher } as typeof init);
  await Promise.all(
    ['/head', '/body'].map(async (path) => {
      const bare = limited(new URL(path, url), init()).then((response) => response.text());
      expect(await rejection(bare)).toBeInstanceOf(TypeError);
      expect(await text(await client(url).get(path).send())).toBe(path === '/body' ? 'hellolate' : 'late');
    }),
  );
});

test('ten and more requests with one signal are no leak', async () => {
  const url = await serve((request, response) => void buffer(request).then(() => response.end('x')));
  const warnings: Error[] = [];
  const warn = (warning: Error) => warnings.push(warning);
  process.on('warning', warn);
  const { signal } = new AbortController();
  for (const [, fetch] of FETCHES) {
    const requests = Array.from({ length: 50 }, () =>
      client(url, { fetch }).get('').signal(signal).send().then(text),
    );
    await Promise.all(requests);
  }
  process.off('warning', warn);
  expect(warnings).toEqual([]);
});
