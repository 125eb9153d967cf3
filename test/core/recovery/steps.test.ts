import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkRoot } from '../../../src/core/check/root-check.ts';
import { FeedRegistry } from '../../../src/core/feed-registry.ts';
import { PathConflictError, ResourceNotFoundError, StreamGoneError } from '../../../src/errors.ts';
import { ResourcePath } from '../../../src/storage/resource-path.ts';
import { Root } from '../../../src/storage/root.ts';
import { CrashModel, type Fact } from '../../support/crash-model.ts';
import { DURABILITIES, type Durability, HOWS, type Play, play } from '../../support/crash-root.ts';
import { Random } from '../../support/random.ts';
import { temporaryDirectory } from '../../support/server.ts';
import { makeStream, textOf } from '../../support/streams-core.ts';

/** `HTTPFSTREAM_SOAK=1` takes every step of every operation, `npm test` one of each. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

/** Each with about as many steps as it has: the last ones may come when it is over. The long form counts them. */
const OPERATIONS: Readonly<Record<string, number>> = {
  'make a stream': 15,
  'make a fork': 13,
  'make a stream that expires': 21,
  'append to a stream': 4,
  'append to a stream as a producer': 4,
  'append for the first time as a producer': 7,
  'append to many streams at once': 3,
  'append much at once': 5,
  'append much to a file that nobody made as a stream': 3,
  'append much while another stream is brought up to date': 8,
  'append the last line': 4,
  'set aside what no producer knows': 13,
  'append in a session': 14,
  'bring a sidecar up to date': 4,
  'close in order': 9,
  'delete a stream': 5,
  'delete a stream that was forked': 7,
  'delete the last fork': 4,
  'delete what has outlived its time': 4,
};

/** What is done to a root that a killed server has left. */
const SECOND_OPERATIONS: Readonly<Record<string, number>> = {
  'recover after a kill': 13,
  'check after a kill': 20,
};

async function start(directory: string): Promise<FeedRegistry> {
  const registry = new FeedRegistry(await Root.open(directory), { durability: 'os', graceMs: 0 });
  await registry.recover();
  return registry;
}

/** Whether all is well by now, and what was found. */
async function check(directory: string): Promise<{ isWell: boolean; lines: string[] }> {
  const lines: string[] = [];
  const isWell = await checkRoot(await Root.open(directory), (line) => lines.push(line));
  return { isWell, lines };
}

/** What a reader gets; undefined when there is nothing. */
function readStream(registry: FeedRegistry, name: string): Promise<string | undefined> {
  return textOf(registry, name).catch((error) => {
    ignoreMissing(error);
    return undefined;
  });
}

/** What was acknowledged is there once, what was refused is not. */
async function expectKept(directory: string, registry: FeedRegistry, model: CrashModel, hasSurplus: boolean) {
  for (const [name, { exists }] of model.paths) {
    const text = await readStream(registry, name);
    if (exists !== 'may') expect(text !== undefined, `${name} is there`).toBe(exists === 'must');
    if (text === undefined) continue;
    model.paths.get(name)?.assertHolds(text);
    if (!hasSurplus) expect(await readFile(path.join(directory, name), 'utf8')).toBe(text);
  }
}

/** Names can be deleted, made and deleted again. */
async function expectFree(registry: FeedRegistry, names: readonly string[]) {
  for (const name of names) await registry.streams.delete(ResourcePath.parse(name)).catch(ignoreMissing);
  for (const name of names) {
    expect(await makeStream(registry, name, 'again\n'), `${name} is made`).toBe(true);
    await registry.streams.delete(ResourcePath.parse(name));
  }
}

function ignoreMissing(error: unknown): void {
  const isMissing =
    error instanceof ResourceNotFoundError ||
    error instanceof StreamGoneError ||
    error instanceof PathConflictError;
  if (!isMissing) throw error;
}

/** Starts, or checks and starts, what is left, and looks at all of it. */
async function expectWhole(
  directory: string,
  facts: readonly Fact[],
  isCheckedFirst: boolean,
  hasSurplus: boolean,
) {
  const model = new CrashModel(facts);
  if (isCheckedFirst) {
    await check(directory);
    expect((await check(directory)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
  }
  const registry = await start(directory);
  try {
    await expectKept(directory, registry, model, hasSurplus && !isCheckedFirst);
    await expectFree(registry, [...model.paths.keys()]);
  } finally {
    await registry.close();
  }
  const { isWell, lines } = await check(directory);
  expect({ isWell, lines }).toMatchObject({ isWell: true });
  expect((await check(directory)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
}

/** One run on a root of its own. Returns how many steps it had; undefined if it was killed before the last. */
async function run(operation: string, options: Play, isCheckedFirst: boolean): Promise<number | undefined> {
  const directory = path.join(await temporaryDirectory(), 'root');
  const before =
    operation in SECOND_OPERATIONS
      ? await play(directory, 'be killed', { ...options, step: undefined, closes: false })
      : [];
  const facts = await play(directory, operation, options);
  await expectWhole(directory, [...before, ...facts], isCheckedFirst, operation.startsWith('set aside'));
  return facts.at(-1)?.steps;
}

/** The same for each run of `npm test`, so that it is never red by luck. */
const seed = Number(process.env.HTTPFSTREAM_SEED ?? 1);

const ALL = Object.entries({ ...OPERATIONS, ...SECOND_OPERATIONS });

describe.each(ALL)('%s:', (operation, usualSteps) => {
  const random = new Random(seed).fork(ALL.findIndex(([name]) => name === operation));
  const durabilities = IS_SOAK ? DURABILITIES : [random.pick(DURABILITIES)];

  /** How often something can happen to it. */
  async function stepsOf(durability: Durability): Promise<number> {
    if (!IS_SOAK) return usualSteps;
    const count = await run(operation, { durability }, random.chance(0.5));
    expect(count).toBeGreaterThan(0);
    return count as number;
  }

  test.each(durabilities)(
    'a crash or an error at any step leaves what was acknowledged, once, and nothing that was refused (%s)',
    async (durability) => {
      const all = Array.from({ length: await stepsOf(durability) }, (_, index) =>
        HOWS.map((how) => ({ at: index + 1, how })),
      ).flat();
      const steps = IS_SOAK ? all : [random.pick(all)];
      for (const step of steps) {
        const isCheckedFirst = random.chance(0.5);
        const context = `HTTPFSTREAM_SEED=${seed}: ${operation}, ${durability}, ${JSON.stringify(step)}, ${isCheckedFirst ? 'check first' : ''}`;
        const count = await run(
          operation,
          { durability, step, closes: random.chance(0.3) },
          isCheckedFirst,
        ).catch((error) => {
          throw new Error(`${context}: ${error}`, { cause: error });
        });
        // It was killed, or else there were steps.
        expect(count, context).not.toBe(0);
      }
    },
  );
});
