import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { IdleReaders } from '../../support/streams/idle-readers.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const COLLECT_ON_SIGNAL = new URL('../../support/programs/collect-on-signal.mjs', import.meta.url).href;

const TARGET = '/watched?offset=now&live=sse';

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const WANTED = process.env.HTTPFSTREAM_SOAK ? 10_000 : 500;

/** Descriptors that this process and the server need for other things. */
const SPARE_DESCRIPTORS = 300;

/** How many there can be: each one takes a descriptor here and one in the server. */
const READERS = Math.min(WANTED, descriptorLimit() - SPARE_DESCRIPTORS);

/** By default half of the descriptors are for connections, and a resource has fewer followers: here nothing else needs them. */
const MOST = String(READERS + SPARE_DESCRIPTORS);
const ARGUMENTS = ['-max-connections', MOST, '-max-followers', MOST];

const MAX_BYTES_EACH = 20 * 1024;

/** Fewer are outweighed by what a process takes once, when it first works that hard. */
const MIN_READERS_FOR_RESIDENT = 5000;

/** What a server may keep when the readers have gone, on top of a tenth of what they took: code that was compiled, say. */
const MAX_LEFT_BYTES = 2 * 1024 * 1024;

function descriptorLimit(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

/** A server that collects its garbage when it is asked to. */
class MeasuredServer {
  readonly process: ServerProcess;
  #output = '';

  constructor(server: ServerProcess) {
    this.process = server;
    server.child.stdout?.on('data', (text) => {
      this.#output = `${this.#output}${text}`.slice(-10_000);
    });
  }

  static async start(): Promise<MeasuredServer> {
    const nodeArgs = ['--expose-gc', '--import', COLLECT_ON_SIGNAL];
    return new MeasuredServer(await ServerProcess.start(await temporaryDirectory(), ARGUMENTS, { nodeArgs }));
  }

  /** What it has in memory, in bytes, without what it would throw away. */
  async keepBytes(): Promise<number> {
    this.#output = '';
    this.process.child.kill('SIGUSR2');
    const kept = () => /collected, kept (\d+) bytes/.exec(this.#output)?.[1];
    await waitFor(() => kept() !== undefined, 'the garbage to be collected');
    return Number(kept());
  }

  residentBytes(): number {
    return this.process.residentMiB() * 1024 * 1024;
  }
}

test(`${READERS} idle readers of events take little, are all reached by one append, and leave nothing behind`, async () => {
  const server = await MeasuredServer.start();
  const { port } = server.process;
  const stream = new StreamPeer(server.process, '/watched');
  expect((await stream.create({}, 'before\n')).status).toBe(201);
  // What the first ones make the server load and compile is not counted.
  const first = await IdleReaders.connect(port, TARGET, 50);
  await stream.append('warm\n');
  await first.waitForAll('data:warm');
  const base = await server.keepBytes();
  const residentBase = server.residentBytes();
  const baseDescriptors = server.process.descriptorCount();

  const readers = await IdleReaders.connect(port, TARGET, READERS);
  await readers.waitForAll('upToDate');
  const full = await server.keepBytes();
  expect((full - base) / READERS).toBeLessThan(MAX_BYTES_EACH);
  if (READERS >= MIN_READERS_FOR_RESIDENT) {
    expect((server.residentBytes() - residentBase) / READERS).toBeLessThan(MAX_BYTES_EACH);
  }

  expect((await stream.append('news for all\n')).status).toBe(204);
  await readers.waitForAll('data:news for all');
  await first.waitForAll('data:news for all');
  expect(readers.closed).toBe(0);

  readers.destroy();
  const isGone = () => server.process.descriptorCount() <= baseDescriptors + 5;
  await waitFor(isGone, 'the connections to be gone');
  await stream.append('after all\n');
  await first.waitForAll('data:after all');
  expect((await server.keepBytes()) - base).toBeLessThan((full - base) / 10 + MAX_LEFT_BYTES);
});
