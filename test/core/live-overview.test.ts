import { expect, onTestFinished, test } from 'vitest';
import { join, startCore } from '../support/core/harness.ts';
import { waitFor } from '../support/wait-for.ts';

/** Thousands take some seconds to be opened. */
const COUNT = process.env.HTTPFSTREAM_SOAK === '1' ? 4000 : 100;

test('what is live is counted, however many there are, in next to no time', async () => {
  const { core, open } = await startCore();
  for (let i = 0; i < COUNT; i++) {
    const lease = await open(`d/${i}`);
    join(lease);
    if (i > 0) continue;
    // It is full with the first byte.
    const slow = join(lease, 0, 0);
    onTestFinished(() => slow.drain());
    lease.append(Buffer.alloc(1));
    await waitFor(() => slow.bytes.length === 1, 'the first byte');
    lease.append(Buffer.alloc(2 * 1024 * 1024));
    await waitFor(() => lease.committed > 1, 'the others');
  }
  const cpu = process.cpuUsage();
  const totals = core.overview.totals();
  const { user, system } = process.cpuUsage(cpu);
  expect(totals).toMatchObject({ resources: COUNT, appenders: COUNT, waiting: 0 });
  const lag = totals.lags.get('websocket');
  expect(lag?.behind).toBe(1);
  expect(lag?.maxBytes).toBeGreaterThan(1024 * 1024);
  expect((user + system) / 1000).toBeLessThan(50);
});

test('a session whose client was lost counts as one that waits', async () => {
  const { core, open } = await startCore();
  const lease = await open('log', undefined, { session: 's'.repeat(32) });
  lease.release();
  expect(core.overview.totals()).toMatchObject({ resources: 1, appenders: 1, waiting: 1 });
  expect([...core.overview.resources()].map(({ session }) => session?.transport)).toEqual([undefined]);
});
