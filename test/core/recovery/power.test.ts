import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'vitest';
import { OPERATIONS, type Play, play, SECOND_OPERATIONS } from '../../support/core/crash-root.ts';
import { type Loss, PowerJournal } from '../../support/core/power-loss.ts';
import { expectUsable, expectWhole } from '../../support/core/root-model.ts';
import { Random } from '../../support/random.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** `HTTPFSTREAM_SOAK=1` takes every moment of every operation, and some after errors, `npm test` a few of some. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

/** What `npm test` takes. */
const SHORT = [
  'make a stream',
  'append to a stream as a producer',
  'append to many streams at once',
  'append much at once',
  'append in a session',
  'close in order',
  'delete a stream that was forked',
  'recover after a kill',
];
const SHORT_MOMENTS = 3;

/** How many moments after each error a long run takes. */
const MOMENTS_AFTER_ERROR = 5;

const ALL = Object.keys({ ...OPERATIONS, ...SECOND_OPERATIONS });

/** Which step of making a stream remembers it, in a store whose name is not safe yet, and which gives it a name that is not. */
const [REMEMBERED_STEP, NAMED_STEP] = [5, 9];

const LOSSES: readonly Loss[] = [
  { data: 'nothing', names: 'nothing' },
  { data: 'nothing', names: 'everything' },
  { data: 'everything', names: 'nothing' },
  { data: 'some', names: 'some' },
];

/** The same for each run of `npm test`, so that it is never red by luck. */
const seed = Number(process.env.HTTPFSTREAM_SEED ?? 1);

/** Has processes of their own do things to a root, one after the other, each of which is killed, and takes down what that does to the disk. */
async function record(lives: readonly [operation: string, options: Play][]): Promise<PowerJournal> {
  const directory = await diskDirectory();
  const root = path.join(directory, 'root');
  const journal = path.join(directory, 'journal');
  for (const [operation, options] of lives) await play(root, operation, { ...options, journal });
  return PowerJournal.read(journal);
}

/** Has the power go at a moment, and looks at what a disk may have then. */
async function expectKept(
  journal: PowerJournal,
  moment: number,
  loss: Loss,
  random: Random,
  look: (root: string) => Promise<void>,
): Promise<void> {
  const directory = await diskDirectory();
  const root = path.join(directory, 'root');
  const forget = (await journal.restore(moment, loss, random, root)).assume();
  try {
    await look(root);
  } catch (error) {
    const context = `HTTPFSTREAM_SEED=${seed}, moment ${moment} of ${journal.length}, ${JSON.stringify(loss)}`;
    throw new Error(`${context}, after ${journal.describe(moment)}: ${error}`, { cause: error });
  } finally {
    forget();
    // There are many of them in a long run.
    await rm(directory, { recursive: true });
  }
}

function someMoments({ length }: PowerJournal, random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.integer(1, length));
}

function momentsOf(journal: PowerJournal, random: Random): number[] {
  if (!IS_SOAK) return someMoments(journal, random, SHORT_MOMENTS);
  return Array.from({ length: journal.length }, (_, index) => index + 1);
}

describe.each(IS_SOAK ? ALL : SHORT)('%s:', (operation) => {
  const random = new Random(seed).fork(ALL.indexOf(operation));
  const hasSurplus = operation.startsWith('set aside');
  const isSecond = operation in SECOND_OPERATIONS;
  const livesOf = (options: Play): [string, Play][] => {
    const { step: _, ...before } = options;
    return [...(isSecond ? [['be killed', before] satisfies [string, Play]] : []), [operation, options]];
  };

  test('with durability disk, a loss of power at any moment leaves what was acknowledged, once, and nothing that was refused', async () => {
    const closes = random.chance(0.5);
    const lose = async (journal: PowerJournal, moments: readonly number[]) => {
      for (const moment of moments) {
        const facts = journal.facts(moment);
        await expectKept(journal, moment, random.pick(LOSSES), random, (root) =>
          expectWhole(root, facts, random.chance(0.3), hasSurplus),
        );
      }
    };
    const whole = await record(livesOf({ durability: 'disk', closes }));
    await lose(whole, momentsOf(whole, random));
    const steps = whole.facts(Number.POSITIVE_INFINITY).at(-1)?.steps ?? 0;
    for (let at = 1; IS_SOAK && at <= steps; at++) {
      const step = { at, how: random.pick(['ENOSPC', 'EIO'] as const) };
      const journal = await record(livesOf({ durability: 'disk', step }));
      await lose(journal, someMoments(journal, random, MOMENTS_AFTER_ERROR));
    }
  });

  // What nothing was promised of is looked at once in a short run.
  if (!IS_SOAK && operation !== 'close in order') return;

  test('with durability os, a server starts after a loss of power, and a check leaves all well', async () => {
    const journal = await record(livesOf({ durability: 'os' }));
    for (const moment of momentsOf(journal, random)) {
      await expectKept(journal, moment, random.pick(LOSSES), random, expectUsable);
    }
  });
});

test('what a server was killed in the middle of is safe when the next one says so', async () => {
  const random = new Random(seed);
  const operation = 'make a stream';
  const options: Play = { durability: 'disk' };
  const count = (await record([[operation, options]])).facts(Number.POSITIVE_INFINITY).at(-1)?.steps ?? 0;
  const steps = Array.from({ length: count }, (_, index) => index + 1);
  for (const at of IS_SOAK ? steps : [REMEMBERED_STEP, NAMED_STEP]) {
    const journal = await record([
      [operation, { ...options, step: { at, how: 'after' } }],
      [operation, options],
    ]);
    const facts = journal.facts(journal.length);
    await expectKept(journal, journal.length, { data: 'nothing', names: 'nothing' }, random, (root) =>
      expectWhole(root, facts, false, false),
    );
  }
});
