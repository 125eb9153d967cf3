import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Random } from './support/random.ts';
import { diskDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { StreamPeer } from './support/streams/stream-peer.ts';
import { flawIn, TirelessProducer } from './support/streams/tireless-producer.ts';
import { type Damage, tearJournal } from './support/streams/torn-journal.ts';
import { waitFor } from './support/wait-for.ts';

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const { KILLS, TEARS, PRODUCERS } = process.env.HTTPFSTREAM_SOAK
  ? { KILLS: 40, TEARS: 40, PRODUCERS: 24 }
  : { KILLS: 1, TEARS: 2, PRODUCERS: 6 };

const DURABILITIES = process.env.HTTPFSTREAM_SOAK ? (['os', 'disk'] as const) : (['os'] as const);

/** Longest time between two kills, … */
const MAX_LIFE_MS = process.env.HTTPFSTREAM_SOAK ? 500 : 200;

/** … and now and then more: long enough for a checkpoint, which begins a second after the first append. */
const LONG_LIFE_MS = 1600;
const LONG_LIFE_EVERY = 4;

/** Half of the producers have a stream of their own, the others share a few. */
function makeProducers(server: ServerProcess, random: Random): TirelessProducer[] {
  return Array.from({ length: PRODUCERS }, (_, index) => {
    const isAlone = index % 2 === 0;
    const urlPath = isAlone ? `/alone/${index}.log` : `/shared/${index % 4}.log`;
    return new TirelessProducer(`producer-${index}`, server, urlPath, random.fork(index));
  });
}

/** Kills the server `kills` times under load; `afterKill` does more to it while it is down. */
async function killUnderLoad(
  kills: number,
  server: ServerProcess,
  producers: readonly TirelessProducer[],
  random: Random,
  afterKill: () => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  onTestFinished(() => over.abort());
  let isOver = false;
  const paths = new Set(producers.map(({ stream }) => stream.path));
  for (const urlPath of paths) {
    expect((await new StreamPeer(server, urlPath).create()).status).toBe(201);
  }
  const runs = producers.map((producer) => producer.run(() => isOver, over.signal));
  const failed = Promise.all(runs).then(() => undefined);
  failed.catch(() => over.abort());
  const eachIsAnswered = async () => {
    const before = producers.map(({ answers }) => answers);
    const isAnswered = () => producers.every(({ answers }, index) => answers > (before[index] as number));
    await waitFor(() => over.signal.aborted || isAnswered(), 'each producer to be answered');
  };

  for (let kill = 0; kill < kills && !over.signal.aborted; kill++) {
    await eachIsAnswered();
    const isLong = kill % LONG_LIFE_EVERY === LONG_LIFE_EVERY - 1;
    await sleep(random.integer(1, isLong ? LONG_LIFE_MS : MAX_LIFE_MS));
    await server.stop();
    await afterKill();
    await server.start();
  }
  await eachIsAnswered();
  isOver = true;
  await failed;
}

/** Each line of each producer once and in order, in the file as in every way to read it. */
async function expectEachLineOnce(
  server: ServerProcess,
  producers: readonly TirelessProducer[],
  context: () => string,
): Promise<void> {
  const flaws: string[] = [];
  for (const urlPath of new Set(producers.map(({ stream }) => stream.path))) {
    const stream = new StreamPeer(server, urlPath);
    const read = await stream.readAll();
    await waitFor(
      async () => (await readFile(path.join(server.root, urlPath))).length === read.length,
      `the file of ${urlPath} to have ${read.length} bytes`,
    );
    const file = await readFile(path.join(server.root, urlPath));
    if (!file.equals(read)) flaws.push(`${urlPath}: the file is not what is read`);
    if (!(await stream.plain()).body.equals(read)) flaws.push(`${urlPath}: a plain GET gives something else`);
    const lines = read.toString().split('\n');
    if (lines.pop() !== '') flaws.push(`${urlPath}: ends within a line`);
    const own = producers.filter((producer) => producer.stream.path === urlPath);
    for (const producer of own) {
      const flaw = flawIn(lines, producer);
      if (flaw !== undefined) flaws.push(`${urlPath}: ${flaw}`);
    }
    const strangers = lines.filter((line) => !own.some(({ id }) => line.startsWith(`${id} `)));
    if (strangers.length > 0)
      flaws.push(`${urlPath}: ${JSON.stringify(strangers[0]?.slice(0, 100))} is nobody's`);
  }
  expect(flaws, context()).toEqual([]);
}

describe.each(DURABILITIES)('with the durability %s', (durability) => {
  test(`${KILLS} times kill -9 under ${PRODUCERS} producers: every line once, in order, and none that was acknowledged lost`, async () => {
    const random = Random.fromEnvironment();
    const server = await ServerProcess.start(await diskDirectory(), ['-durability', durability]);
    const producers = makeProducers(server, random);
    const context = () => `HTTPFSTREAM_SEED=${random.seed}`;
    await killUnderLoad(KILLS, server, producers, random, async () => undefined);
    await expectEachLineOnce(server, producers, context);
    const forgotten = producers.filter((producer) => producer.forgotten > 0).map(({ id }) => id);
    expect(forgotten, context()).toEqual([]);
    // And it stays so, over an end in order.
    await server.stop('SIGTERM');
    await server.start();
    await expectEachLineOnce(server, producers, context);
  });

  test(`${TEARS} times kill -9 and a torn journal under ${PRODUCERS} producers: what is left has no duplicate and no hole`, async () => {
    const random = Random.fromEnvironment();
    const server = await ServerProcess.start(await diskDirectory(), ['-durability', durability]);
    const producers = makeProducers(server, random);
    const torn: string[] = [];
    const damages = new Set<Damage>();
    const context = () => [`HTTPFSTREAM_SEED=${random.seed}`, ...torn].join('\n');
    await killUnderLoad(TEARS, server, producers, random, async () => {
      const { damage, text } = await tearJournal(server.root, random);
      damages.add(damage);
      torn.push(text);
    });
    await expectEachLineOnce(server, producers, context);
    damages.delete('none');
    expect(damages.size, context()).toBeGreaterThan(0);
    // Else nothing was lost that anybody could have brought twice.
    const forgotten = producers.reduce((sum, producer) => sum + producer.forgotten, 0);
    if (TEARS > 10) expect(forgotten, context()).toBeGreaterThan(0);
  });
});
