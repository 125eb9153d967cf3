import { getEventListeners, setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { client, type Fetch, nodeFetch, text } from '../../src/http/index.node.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { platformFetch } from '../support/http/fetches.ts';
import { serve } from '../support/http/servers.ts';
import { Random } from '../support/random.ts';
import { waitFor } from '../support/wait-for.ts';

const REQUESTS = process.env.HTTPFSTREAM_SOAK ? 10_000 : 300;
const AT_A_TIME = 32;

/** Sources that were begun, and those that have ended. */
interface Sources {
  begun: number;
  ended: number;
}

/** A body of so many bytes, in pieces of random sizes, some of which take a while. */
async function* bodyOf(bytes: number, random: Random, sources: Sources): AsyncGenerator<Uint8Array> {
  sources.begun++;
  try {
    for (let left = bytes; left > 0; ) {
      const size = Math.min(left, random.integer(1, 50_000));
      if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve));
      yield new Uint8Array(size);
      left -= size;
    }
  } finally {
    sources.ended++;
  }
}

class Expected extends Error {}

/** One request of a random kind, a third of which are aborted within 20 ms, and every seventh left. */
async function request(
  url: string,
  fetch: Fetch,
  random: Random,
  sources: Sources,
  shared: AbortSignal,
): Promise<void> {
  const size = random.logInteger(1, 300_000);
  const controller = new AbortController();
  const isAborted = random.chance(1 / 3);
  const signal = isAborted ? controller.signal : shared;
  const body = () => bodyOf(size, random, sources);
  const own = client(url, { fetch });
  const kind = random.pick(['get', 'stream', 'function', 'readable', 'form', 'bytes'] as const);
  const sending = {
    get: () => own.get('/{size}').pathParam('size', size),
    stream: () => own.post('/echo').body(body()),
    function: () => own.post('/echo').body(body),
    readable: () => own.post('/echo').body(Readable.from(body())),
    form: () => own.multipart('/length').file('a', 'a', body(), random.chance(0.5) ? { size } : {}),
    bytes: () => own.post('/echo').body(new Uint8Array(size)),
  }
    [kind]()
    .signal(signal);
  if (random.chance(0.3)) sending.idleTimeout(600_000).timeout(600_000);
  const timer = isAborted
    ? setTimeout(() => controller.abort(new Expected()), random.integer(0, 20))
    : undefined;
  try {
    const response = await sending.send();
    if (random.chance(1 / 7)) {
      await response.body?.cancel();
    } else {
      const length =
        kind === 'form' ? Number(await text(response)) - size : (await response.arrayBuffer()).byteLength;
      if (kind === 'form') expect(length).toBeGreaterThan(100);
      else expect(length).toBe(size);
    }
  } catch (error) {
    if (!(error instanceof Expected)) throw error;
  } finally {
    clearTimeout(timer);
  }
  await waitFor(() => getEventListeners(controller.signal, 'abort').length === 0, 'the signal to be left');
}

describe(`${REQUESTS} requests, a third of which are aborted`, () => {
  const own = nodeFetch();
  test.each<[string, Fetch]>([
    ['node:http', own],
    ["the platform's fetch", platformFetch],
  ])('leave no source, no listener and no connection behind, over %s', async (_name, fetch) => {
    const random = Random.fromEnvironment();
    const sockets = new Set<Socket>();
    const busy = new Set<Socket>();
    const url = await serve(async (incoming, response) => {
      const { socket } = incoming;
      if (!sockets.has(socket)) socket.once('close', () => sockets.delete(socket));
      sockets.add(socket);
      busy.add(socket);
      response.once('close', () => busy.delete(socket));
      if (incoming.method === 'GET') {
        response.end(Buffer.alloc(Number(incoming.url?.slice(1))));
      } else if (incoming.url === '/echo') {
        incoming.pipe(response);
      } else {
        let bytes = 0;
        for await (const chunk of incoming) bytes += chunk.length;
        response.end(String(bytes));
      }
    });
    const sources: Sources = { begun: 0, ended: 0 };
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    let next = 0;
    const run = async () => {
      while (next++ < REQUESTS) {
        await request(url, fetch, random, sources, signal).catch((cause) => {
          throw new Error(`with HTTPFSTREAM_SEED=${random.seed}`, { cause });
        });
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, run));
    await waitFor(() => sources.ended === sources.begun, 'all sources to be ended');
    expect(sources.begun).toBeGreaterThan(REQUESTS / 4);
    await waitFor(() => getEventListeners(signal, 'abort').length === 0, 'the signal to be left');
    await waitFor(() => busy.size === 0, 'no connection to be in use');
    if (fetch === own) {
      own.close();
      await waitFor(() => sockets.size === 0, 'all connections to be closed');
    }
    collectGarbage();
    expect(warnings.map(({ message }) => message)).toEqual([]);
  });
});
