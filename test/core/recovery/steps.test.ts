import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DURABILITIES,
  type Durability,
  HOWS,
  OPERATIONS,
  type Play,
  play,
  SECOND_OPERATIONS,
} from '../../support/core/crash-root.ts';
import { expectWhole } from '../../support/core/root-model.ts';
import { copyRoot } from '../../support/disk/copied-root.ts';
import { Random } from '../../support/random.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** `HTTPFSTREAM_SOAK=1` takes every step of every operation, `npm test` one of each. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

/** What is done with what is left of a root: it is started, checked before that, or copied, and the copy is checked. */
const AFTERMATHS = ['start', 'check', 'copy'] as const;

type Aftermath = (typeof AFTERMATHS)[number];

/** After which there may be bytes that nobody knows, with which a copy is not sure to be one. */
const LEAVES_UNKNOWN = /^(append much|set aside)/;

/** What is done to a copy of a root that a killed server has left, with about as many steps as it has. */
const CHECK_OF_COPY = 'check a copy after a kill';
const CHECK_OF_COPY_STEPS = 20;

/** One run on a root of its own. Returns how many steps it had; undefined if it was killed before the last. */
async function run(operation: string, options: Play, aftermath: Aftermath): Promise<number | undefined> {
  let root = path.join(await diskDirectory(), 'root');
  const isOfCopy = operation === CHECK_OF_COPY;
  const before =
    isOfCopy || operation in SECOND_OPERATIONS
      ? await play(root, 'be killed', { ...options, step: undefined, closes: false })
      : [];
  if (isOfCopy) root = await copyRoot(root);
  const facts = await play(root, isOfCopy ? 'check after a kill' : operation, options);
  if (aftermath === 'copy') root = await copyRoot(root);
  // A copy that was not checked to its end is to be checked before it is started.
  const isCheckedFirst = isOfCopy || aftermath !== 'start';
  await expectWhole(root, [...before, ...facts], isCheckedFirst, operation.startsWith('set aside'));
  return facts.at(-1)?.steps;
}

/** The same for each run of `npm test`, so that it is never red by luck. */
const seed = Number(process.env.HTTPFSTREAM_SEED ?? 1);

const ALL = Object.entries({
  ...OPERATIONS,
  ...SECOND_OPERATIONS,
  [CHECK_OF_COPY]: CHECK_OF_COPY_STEPS,
});

describe.each(ALL)('%s:', (operation, usualSteps) => {
  const random = new Random(seed).fork(ALL.findIndex(([name]) => name === operation));
  const aftermaths = LEAVES_UNKNOWN.test(operation)
    ? AFTERMATHS.filter((each) => each !== 'copy')
    : AFTERMATHS;
  const durabilities = IS_SOAK ? DURABILITIES : [random.pick(DURABILITIES)];

  /** How often something can happen to it. */
  async function stepsOf(durability: Durability): Promise<number> {
    if (!IS_SOAK) return usualSteps;
    const count = await run(operation, { durability }, random.pick(aftermaths));
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
        const aftermath = random.pick(aftermaths);
        const context = `HTTPFSTREAM_SEED=${seed}: ${operation}, ${durability}, ${JSON.stringify(step)}, ${aftermath}`;
        const count = await run(operation, { durability, step, closes: random.chance(0.3) }, aftermath).catch(
          (error) => {
            throw new Error(`${context}: ${error}`, { cause: error });
          },
        );
        // It was killed, or else there were steps.
        expect(count, context).not.toBe(0);
      }
    },
  );
});
