import { getEventListeners, once, setMaxListeners } from 'node:events';
import { finished } from 'node:stream/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { follow, openAppend } from '../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../support/chaos/proxy.ts';
import { Random } from '../support/random.ts';
import { startServer } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { rejection } from './client-server.ts';

const QUICK = { minDelayMs: 1, maxDelayMs: 5, times: 1000 };

const STREAMS = 200;

/** How many streams there are at a time. */
const AT_A_TIME = 20;

/** What keeps a process alive, by kind, with how many there are of it. */
function activeResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

async function startNetwork() {
  const server = await startServer({ graceMs: 0 });
  const network = await ChaosProxy.start(server.port, new Random(1), NO_CHAOS);
  return { server, network };
}

test('as many streams as one likes may share a signal: Node warns of no leak', async () => {
  const { server } = await startNetwork();
  const warnings: string[] = [];
  const warn = ({ message }: Error) => warnings.push(message);
  process.on('warning', warn);
  onTestFinished(() => void process.off('warning', warn));
  const controller = new AbortController();
  const streams = Array.from({ length: 12 }, (_, i) =>
    i % 2 === 0
      ? openAppend(server.url(`/shared-${i}`), { signal: controller.signal })
      : follow(server.url(`/shared-${i}`), { signal: controller.signal, wait: 60 }),
  );
  const ended = Promise.all(streams.map((stream) => rejection(finished(stream))));
  controller.abort();
  await ended;
  expect(warnings).toEqual([]);
});

type Network = Awaited<ReturnType<typeof startNetwork>>;

/** How it goes on after it was cut; resolves to how often it connected again. */
type Rest = () => Promise<number>;

/** Opens an append that ends, is aborted, fails or is destroyed after it was cut: a quarter of them each. */
async function beginAppend({ network }: Network, i: number, shared: AbortSignal): Promise<Rest> {
  const own = new AbortController();
  const signal = i % 4 === 1 ? own.signal : shared;
  let reconnects = 0;
  const onReconnect = () => reconnects++;
  const retry = i % 4 === 2 ? false : QUICK;
  const writable = openAppend(network.url(`/append-${i}`), { retry, signal, onReconnect });
  const ended = rejection(finished(writable));
  writable.write('hello');
  await waitFor(() => writable.acknowledgedBytes === 5, 'the acknowledgement');
  return async () => {
    if (i % 4 !== 2) await waitFor(() => reconnects > 0, 'it to connect again');
    if (i % 4 === 0) writable.end('more');
    else if (i % 4 === 1) own.abort();
    else if (i % 4 === 3) writable.destroy();
    expect((await ended) === undefined).toBe(i % 4 === 0);
    expect(getEventListeners(own.signal, 'abort')).toHaveLength(0);
    return reconnects;
  };
}

/** Likewise a follower, half of which are destroyed: what they follow does not end. */
async function beginFollow({ network }: Network, i: number, shared: AbortSignal): Promise<Rest> {
  const own = new AbortController();
  const signal = i % 4 === 1 ? own.signal : shared;
  let reconnects = 0;
  const onReconnect = () => reconnects++;
  const retry = i % 4 === 2 ? false : QUICK;
  const readable = follow(network.url('/live'), { retry, signal, onReconnect });
  const ended = rejection(finished(readable));
  await once(readable, 'data');
  return async () => {
    if (i % 4 !== 2) await waitFor(() => reconnects > 0, 'it to connect again');
    if (i % 4 === 1) own.abort();
    else if (i % 4 !== 2) readable.destroy();
    expect(await ended).toBeInstanceOf(Error);
    expect(getEventListeners(own.signal, 'abort')).toHaveLength(0);
    return reconnects;
  };
}

describe.each([
  ['appends', beginAppend],
  ['follows', beginFollow],
])(`${STREAMS} %s that were cut, aborted, destroyed or given up`, (_, begin) => {
  test('leave no socket, no timer and no listener behind', async () => {
    // Those that do not keep the process alive are counted by being faked.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const network = await startNetwork();
    const writable = openAppend(network.server.url('/live'));
    writable.write('x');
    await once(writable, 'open');
    const shared = new AbortController().signal;
    // More at a time than Node takes for a leak; whether there is one is asked below.
    setMaxListeners(0, shared);
    let reconnects = 0;
    const runAll = async (count: number) => {
      for (let first = 0; first < count; first += AT_A_TIME) {
        const batch = Array.from({ length: AT_A_TIME }, (_, i) => begin(network, first + i, shared));
        const rests = await Promise.all(batch);
        network.network.resetAll();
        for (const again of await Promise.all(rests.map((rest) => rest()))) reconnects += again;
      }
    };
    const isQuiet = async () =>
      waitFor(() => network.network.socketCount === 0, 'the connections through the network to be gone');
    await runAll(AT_A_TIME);
    await isQuiet();
    const before = activeResources();
    const intervalsBefore = vi.getTimerCount();
    const listenersBefore = process.listenerCount('exit') + process.listenerCount('beforeExit');
    await runAll(STREAMS);
    await isQuiet();
    expect(reconnects).toBeGreaterThanOrEqual((STREAMS * 3) / 4);
    expect(vi.getTimerCount()).toBe(intervalsBefore);
    expect(getEventListeners(shared, 'abort')).toHaveLength(0);
    expect(process.listenerCount('exit') + process.listenerCount('beforeExit')).toBe(listenersBefore);
    await waitFor(
      () => {
        const now = activeResources();
        // One timer is that of this wait.
        return Object.keys(now).every(
          (name) => (now[name] as number) <= (before[name] ?? 0) + (name === 'Timeout' ? 1 : 0),
        );
      },
      `only ${JSON.stringify(before)} to be left`,
    ).catch((error) => {
      throw new Error(`${error.message}; there is ${JSON.stringify(activeResources())}`, { cause: error });
    });
    writable.destroy();
  });
});
