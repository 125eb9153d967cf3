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
import { Random } from '../../support/random.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** `HTTPFSTREAM_SOAK=1` takes every step of every operation, `npm test` one of each. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

/** One run on a root of its own. Returns how many steps it had; undefined if it was killed before the last. */
async function run(operation: string, options: Play, isCheckedFirst: boolean): Promise<number | undefined> {
  const directory = path.join(await diskDirectory(), 'root');
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
