import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ChaosAppender, ChaosFollower, withoutHanging } from './support/chaos/clients.ts';
import { assertWholeBlocks, type CompetingAppend, competingAppend } from './support/chaos/competitors.ts';
import { KnownBytes } from './support/chaos/known-bytes.ts';
import { ChaosProxy, DEFAULT_CHAOS } from './support/chaos/proxy.ts';
import { Random } from './support/random.ts';
import { temporaryDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { waitFor } from './support/wait-for.ts';

/** `npm run soak` runs the long form, `npm test` the short one. */
const isSoak = process.env.HTTPFSTREAM_SOAK !== undefined;

const { resources, followersOfEach, bytesOfEach, kills, competingMs, killsOfContest } = isSoak
  ? {
      resources: 8,
      followersOfEach: 5,
      bytesOfEach: 60_000_000,
      kills: 30,
      competingMs: 90_000,
      killsOfContest: 30,
    }
  : {
      resources: 2,
      followersOfEach: 2,
      bytesOfEach: 500_000,
      kills: 1,
      competingMs: 2000,
      killsOfContest: 1,
    };

/** Of each resource. */
const COMPETITORS = 4;

/** The long form has the middle one, too: who is killed with the other durability does more. */
const WAYS = [
  { durability: 'os', kills: 0 },
  { durability: 'os', kills },
  { durability: 'disk', kills },
].filter(({ durability, kills }) => isSoak || durability === 'disk' || kills === 0);

test.each(WAYS)(
  'through a bad network nothing is lost, repeated or mixed up ($durability, server killed $kills times)',
  async ({ durability, kills }) => {
    const random = Random.fromEnvironment();
    const root = await temporaryDirectory();
    const args = ['-durability', durability];
    // Aborted when the test is over, or cannot go on.
    const over = new AbortController();
    setMaxListeners(0, over.signal);
    let server = await startServer(root, args, over);
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
        await waitFor(() => acknowledged() >= target, 'bytes to be acknowledged');
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
        server = await startServer(root, args, over);
        proxy.targetPort = server.port;
      }
    };

    try {
      const clients = [...appenders, ...followers];
      const runs = clients.map((client) => client.run(over.signal));
      await withoutHanging(Promise.all([...runs, killAndRestart()]), clients, over);

      // A proxy that repeats what it does not know to be done changes nothing.
      await proxy.repeatHandshakes();
      const latecomers = appenders.map((appender, i) => {
        const latecomer = new ChaosFollower(`latecomer ${i}`, appender, random.fork(4000 + i));
        followers.push(latecomer);
        return latecomer;
      });
      const late = new AbortController();
      await withoutHanging(
        Promise.all(latecomers.map((client) => client.run(late.signal))),
        latecomers,
        late,
      );

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
);

test.each(isSoak ? [0, killsOfContest] : [killsOfContest])(
  'what clients append that compete for a resource stays in one piece, also when they are lost and come back (server killed %i times)',
  async (kills) => {
    const random = Random.fromEnvironment();
    const root = await temporaryDirectory();
    // So short that some are late.
    const args = ['--grace', '0.1'];
    // Aborted when the test is over, or cannot go on.
    const over = new AbortController();
    setMaxListeners(0, over.signal);
    let server = await startServer(root, args, over);
    const proxy = await ChaosProxy.start(server.port, random, {
      ...DEFAULT_CHAOS,
      betweenFaults: [1, 40_000],
    });
    const killAndRestart = async () => {
      for (let i = 0; i < kills; i++) {
        await sleep((competingMs / (kills + 1)) * (0.5 + random.fraction()));
        expect(await server.stop('SIGKILL')).toBe('SIGKILL');
        await sleep(random.logInteger(1, 300));
        server = await startServer(root, args, over);
        proxy.targetPort = server.port;
      }
    };
    const known = new KnownBytes(random.fork(1000), 'binary');
    const contests = Array.from({ length: resources }, (_, i) => ({
      name: `contest-${i}.bin`,
      appends: [] as CompetingAppend[],
    }));
    const outcomes = { finished: 0, refused: 0, failed: 0 };
    const deadline = performance.now() + competingMs;
    // One of each proves that the network was as bad, and the grace as short, as they were to be.
    const isOver = () => performance.now() >= deadline && Object.values(outcomes).every((count) => count > 0);
    const givingUp = new AbortController();
    const signal = AbortSignal.any([over.signal, givingUp.signal]);
    setMaxListeners(0, signal);
    /** Those who are still at it soon after give up. */
    const giveUp = async () => {
      await waitFor(isOver, 'one of each outcome');
      await sleep(500);
      givingUp.abort();
    };
    const clients = contests.flatMap(({ name, appends }, i) =>
      Array.from({ length: COMPETITORS }, async (_, j) => {
        const own = random.fork(2000 + i * COMPETITORS + j);
        for (let k = 0; !isOver() && !signal.aborted; k++) {
          const client = `append ${i}.${j}.${k}`;
          const append = await competingAppend(client, proxy.url(`/${name}`), known, own, signal);
          appends.push(append);
          outcomes[append.outcome]++;
          await sleep(own.logInteger(1, 30));
        }
      }),
    );
    try {
      await withoutHanging(Promise.all([...clients, killAndRestart(), giveUp()]), [], over);
      await proxy.close();
      await waitFor(async () => !(await isAnyLive(server.url('/'))), 'the last sessions to end');
      for (const { name, appends } of contests) {
        const file = await readFile(path.join(root, name));
        assertWholeBlocks(file, known, appends);
      }
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${proxy.describe()}`, { cause });
    }
    console.info(`${JSON.stringify(outcomes)}; ${proxy.describe()}`);
  },
);

/** A server whose end by itself is the end of the test. */
async function startServer(
  root: string,
  args: readonly string[],
  over: AbortController,
): Promise<ServerProcess> {
  const server = await ServerProcess.start(root, args);
  server.child.once('exit', (code, signal) => {
    if (signal === null) over.abort(new Error(`the server ended by itself with ${code}`));
  });
  return server;
}

async function isAnyLive(directoryUrl: string): Promise<boolean> {
  const response = await fetch(directoryUrl, { headers: { accept: 'application/json' } });
  const { entries } = (await response.json()) as { entries: { live: boolean }[] };
  return entries.some(({ live }) => live);
}
