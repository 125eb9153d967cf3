import { execFileSync } from 'node:child_process';
import { beforeAll, expect, test } from 'vitest';
import { buildCommands } from '../cli/command.ts';
import { IdleReaders } from '../support/streams-idle-readers.ts';
import { StreamPeer } from '../support/streams-requests.ts';
import { startKilled } from '../support/streams-server.ts';
import { waitFor } from '../support/wait-for.ts';

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const WANTED = process.env.HTTPFSTREAM_SOAK ? 10_000 : 1000;

/** Descriptors that this process and the server need for other things. */
const SPARE_DESCRIPTORS = 300;

/** How many there can be: each one takes a descriptor here and one in the server. */
const READERS = Math.min(WANTED, descriptorLimit() - SPARE_DESCRIPTORS);

const MAX_BYTES_EACH = 20 * 1024;

/** What the collector may not have freed yet when the readers have gone, on top of a tenth of what they took. */
const MAX_LEFT_MIB = 24;

const TIMEOUT_MS = 180_000;

function descriptorLimit(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

beforeAll(buildCommands, 60_000);

test(
  `${READERS} idle readers of events take little, are all reached by one append, and leave nothing behind`,
  async () => {
    const server = await startKilled(['-log-level', 'error']);
    const stream = new StreamPeer(server, '/watched');
    expect((await stream.create({}, 'before\n')).status).toBe(201);
    // What the first ones make the server load and compile is not counted.
    const first = await IdleReaders.connect(server.port, '/watched?offset=now&live=sse', 50);
    await stream.append('warm\n');
    await first.waitForAll('data:warm', 20_000);
    const baseMiB = server.process.residentMiB();
    const baseDescriptors = server.process.descriptorCount();

    const readers = await IdleReaders.connect(server.port, '/watched?offset=now&live=sse', READERS);
    await readers.waitForAll('upToDate', 60_000);
    const eachBytes = ((server.process.residentMiB() - baseMiB) * 1024 * 1024) / READERS;
    expect(eachBytes).toBeLessThan(MAX_BYTES_EACH);

    const started = performance.now();
    expect((await stream.append('news for all\n')).status).toBe(204);
    await readers.waitForAll('data:news for all', 60_000);
    await first.waitForAll('data:news for all', 60_000);
    expect(performance.now() - started).toBeLessThan(READERS > 1000 ? 30_000 : 5000);
    expect(readers.closed).toBe(0);

    const fullMiB = server.process.residentMiB();
    readers.destroy();
    await waitFor(
      () => server.process.descriptorCount() <= baseDescriptors + 5,
      'the connections to be gone',
      60_000,
    );
    for (let k = 0; k < 200; k++) await stream.append('work that makes garbage\n');
    await waitFor(
      () => server.process.residentMiB() < baseMiB + (fullMiB - baseMiB) / 10 + MAX_LEFT_MIB,
      `the memory to go back from ${fullMiB} MiB to about ${baseMiB} MiB`,
      60_000,
    );
    await first.waitForAll('work that makes garbage', 20_000);
    first.destroy();
  },
  TIMEOUT_MS,
);
