import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ChaosAppender, ChaosFollower, withinTime } from './support/chaos-clients.ts';
import { assertWholeBlocks, type CompetingAppend, competingAppend } from './support/chaos-competitors.ts';
import { ChaosProxy, DEFAULT_CHAOS } from './support/chaos-proxy.ts';
import { KnownBytes } from './support/known-bytes.ts';
import { Random } from './support/random.ts';
import { startServer, temporaryDirectory } from './support/server.ts';
import { ServerProcess } from './support/server-process.ts';
import { waitFor } from './support/wait-for.ts';

/** `npm run soak` runs the long form, `npm test` the short one. */
const isSoak = process.env.HTTPFSTREAM_SOAK !== undefined;

const { resources, followersOfEach, bytesOfEach, kills, competingMs, timeoutMs } = isSoak
  ? {
      resources: 8,
      followersOfEach: 5,
      bytesOfEach: 60_000_000,
      kills: 30,
      competingMs: 120_000,
      timeoutMs: 600_000,
    }
  : {
      resources: 4,
      followersOfEach: 3,
      bytesOfEach: 1_500_000,
      kills: 3,
      competingMs: 4000,
      timeoutMs: 25_000,
    };

const COMPETITORS = 6;

/** How long the server may take to forget who was cut off. */
const GRACE_MS = 15_000;

test.each([
  { durability: 'os', kills: 0 },
  { durability: 'os', kills },
  { durability: 'disk', kills },
])(
  'through a bad network nothing is lost, repeated or mixed up ($durability, server killed $kills times)',
  async ({ durability, kills }) => {
    const random = Random.fromEnvironment();
    const root = await temporaryDirectory();
    const args = ['-durability', durability];
    // Aborted when the test is over, or cannot go on.
    const over = new AbortController();
    setMaxListeners(0, over.signal);
    const startServerProcess = async () => {
      const server = await ServerProcess.start(root, args);
      server.child.once('exit', (code, signal) => {
        if (signal === null) over.abort(new Error(`the server ended by itself with ${code}`));
      });
      return server;
    };
    let server = await startServerProcess();
    const proxy = await ChaosProxy.start(server.port, random);

    const known = (['binary', 'text'] as const).map((kind, i) => new KnownBytes(random.fork(1000 + i), kind));
    const appenders = Array.from({ length: resources }, (_, i) => {
      const url = proxy.url(`/stream-${i}.log`);
      return new ChaosAppender(
        `appender ${i}`,
        url,
        known[i % 2] as KnownBytes,
        bytesOfEach,
        random.fork(2000 + i),
      );
    });
    const followers = appenders.flatMap((appender, i) =>
      Array.from({ length: followersOfEach }, (_, j) => {
        const name = `follower ${i}.${j}`;
        return new ChaosFollower(name, appender, random.fork(3000 + i * followersOfEach + j));
      }),
    );
    const fileOf = (appender: ChaosAppender) => path.join(root, new URL(appender.url).pathname);

    /** Kills the server when so much is done, sees whether it kept its word, and starts another one. */
    const killAndRestart = async () => {
      for (let i = 1; i <= kills; i++) {
        const target = (i / (kills + 1)) * bytesOfEach * resources;
        const acknowledged = () => appenders.reduce((sum, appender) => sum + appender.acknowledged, 0);
        await waitFor(() => acknowledged() >= target, 'bytes to be acknowledged', timeoutMs);
        await sleep(random.logInteger(1, 100));
        expect(await server.stop('SIGKILL')).toBe('SIGKILL');
        for (const appender of appenders) {
          const { size } = await stat(fileOf(appender));
          if (size < appender.acknowledged)
            throw new Error(`${appender.describe()}, but only ${size} in the file`);
          for (const follower of followers) {
            if (follower.appender === appender && follower.position > size) {
              throw new Error(`${follower.describe()}, beyond the ${size} bytes of the file`);
            }
          }
        }
        await sleep(random.logInteger(1, 300));
        server = await startServerProcess();
        proxy.targetPort = server.port;
      }
    };

    try {
      const clients = [...appenders, ...followers];
      const runs = clients.map((client) => client.run(over.signal));
      await withinTime(Promise.all([...runs, killAndRestart()]), timeoutMs, clients, over);

      for (const appender of appenders) {
        const file = await readFile(fileOf(appender));
        expect(appender.known.difference(0, file)).toBeUndefined();
        expect(file.length).toBe(bytesOfEach);
        for (const follower of followers.filter((follower) => follower.appender === appender)) {
          const digest = createHash('sha256').update(file.subarray(follower.start)).digest('hex');
          expect(follower.hash.digest('hex')).toBe(digest);
        }
      }
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${proxy.describe()}`, { cause });
    }
    const reconnects = [...appenders, ...followers].reduce((sum, client) => sum + client.reconnects, 0);
    over.abort();
    console.info(`${durability}, ${kills} kills: ${reconnects} reconnects; ${proxy.describe()}`);
    expect(proxy.faultCount).toBeGreaterThan(0);
    expect(reconnects).toBeGreaterThan(0);
    await proxy.close();
    expect(await server.stop('SIGTERM')).toBe(0);
  },
  timeoutMs + GRACE_MS,
);

test(
  'what clients append that compete for a resource stays in one piece, also when they are lost and come back',
  async () => {
    const random = Random.fromEnvironment();
    // So short that some are late.
    const server = await startServer({ graceMs: 200 });
    const proxy = await ChaosProxy.start(server.port, random, {
      ...DEFAULT_CHAOS,
      betweenFaults: [1, 300_000],
    });
    const known = new KnownBytes(random.fork(1000), 'binary');
    const appends: CompetingAppend[] = [];
    const over = new AbortController();
    setMaxListeners(0, over.signal);
    const deadline = performance.now() + competingMs;
    const compete = async (client: number) => {
      const own = random.fork(2000 + client);
      for (let i = 0; performance.now() < deadline; i++) {
        appends.push(
          await competingAppend(`append ${client}.${i}`, proxy.url('/a.bin'), known, own, over.signal),
        );
        await sleep(own.logInteger(1, 30));
      }
    };
    const outcomes = () => {
      const counts = { finished: 0, refused: 0, failed: 0 };
      for (const { outcome } of appends) counts[outcome]++;
      return `${JSON.stringify(counts)}; ${proxy.describe()}`;
    };
    try {
      await withinTime(
        Promise.all(Array.from({ length: COMPETITORS }, (_, i) => compete(i))),
        competingMs + timeoutMs,
        [],
        over,
      );
      await proxy.close();
      await waitFor(async () => !(await isLive(server.url('/'), 'a.bin')), 'the last session to end');
      assertWholeBlocks(await readFile(path.join(server.root, 'a.bin')), known, appends);
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${outcomes()}`, { cause });
    }
    console.info(outcomes());
    for (const outcome of ['finished', 'refused', 'failed']) {
      expect(appends.filter((append) => append.outcome === outcome).length).toBeGreaterThan(0);
    }
  },
  competingMs + 2 * timeoutMs,
);

async function isLive(directoryUrl: string, name: string): Promise<boolean> {
  const response = await fetch(directoryUrl, { headers: { accept: 'application/json' } });
  const { entries } = (await response.json()) as { entries: { name: string; live: boolean }[] };
  return entries.some((entry) => entry.name === name && entry.live);
}
