import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll } from 'vitest';
import { runProgram } from '../programs/program.ts';
import { makeDirectory } from '../server/reserves.ts';
import { diskDirectory } from '../server/server.ts';
import type { Fact } from './crash-model.ts';

/** `crash-child.mjs`, bundled: see `build-commands.ts`. */
const CHILD = fileURLToPath(new URL('../../../build/test/crash-child.mjs', import.meta.url));
const HOOK = fileURLToPath(new URL('crash-hook.cjs', import.meta.url));
const POWER_HOOK = fileURLToPath(new URL('power-hook.cjs', import.meta.url));

/** When bytes count as safe. */
export const DURABILITIES = ['os', 'disk'] as const;

export type Durability = (typeof DURABILITIES)[number];

/**
 * What is done to a root, see `crash-child.mjs`: each with about as many steps
 * as it has, more than one.
 */
export const OPERATIONS: Readonly<Record<string, number>> = {
  'make a stream': 12,
  'make many streams at once': 45,
  'make a fork': 8,
  'make a stream that expires': 10,
  'append to a stream': 6,
  'append to a stream as a producer': 5,
  'append for the first time as a producer': 7,
  'append to many streams at once': 5,
  'append much at once': 7,
  'append much to a file that nobody made as a stream': 5,
  'append much while another stream is brought up to date': 12,
  'append the last line': 6,
  'set aside what no producer knows': 15,
  'append in a session': 10,
  'copy what is elsewhere': 8,
  'bring a record up to date': 2,
  'close in order': 5,
  'delete a stream': 7,
  'delete a stream that was forked': 4,
  'delete the last fork': 4,
  'delete what has outlived its time': 4,
};

/** What is done to a root that a killed server has left. */
export const SECOND_OPERATIONS: Readonly<Record<string, number>> = {
  'recover after a kill': 12,
  'check after a kill': 15,
};

/** What happens at a step: the process dies before or after it, the disk is full from there on, or it fails. */
export const HOWS = ['before', 'after', 'ENOSPC', 'EIO'] as const;

/** Something that happens to one of the changes that an operation makes on the disk. */
export interface Step {
  /** Which one, from 1 on. */
  at: number;
  how: (typeof HOWS)[number];
}

/** What is done, see `crash-child.mjs`. */
export interface Play {
  durability?: Durability;
  step?: Step | undefined;
  /** Whether the server closes in order at the end, if it lives then; else it is killed. */
  closes?: boolean;
  /** Absolute name of a file to which all that was changed and synced is written down, for a {@link PowerJournal}. */
  journal?: string;
}

/** Does one thing to a root, or to several at once, in a process of its own that is killed. */
export async function play(
  root: string | readonly string[],
  operation: string,
  { durability = 'os', step, closes, journal }: Play = {},
) {
  const args = [durability, operation, closes ? 'close' : 'kill', ...[root].flat()];
  // What a step fails before it is done is not written down.
  const hooks = [...(journal === undefined ? [] : [POWER_HOOK]), HOOK].flatMap((hook) => ['--require', hook]);
  const { stdout, stderr, exitCode } = await runProgram(process.execPath, [...hooks, CHILD, ...args], {
    env: {
      ...process.env,
      CRASH_STEP: JSON.stringify(step ?? {}),
      POWER_JOURNAL: JSON.stringify({ root, journal }),
    },
  });
  // One that is killed, as each is in the end, has none; who starts or checks may be refused by the disk.
  const isFull = step?.how === 'ENOSPC' && stderr.includes('HFS_STORAGE_FULL');
  const isRefused = isFull || (step !== undefined && stderr.includes(`${step.how}: made up`));
  if (exitCode !== null && !isRefused) throw new Error(`${operation} went wrong by itself: ${stderr}`);
  const lines = stdout.toString().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Fact);
}

/** A root that a server has left when it was killed after an operation. */
export async function killedRoot(operation = 'be killed', options: Play = {}): Promise<string> {
  const root = path.join(await diskDirectory(), 'root');
  await play(root, operation, options);
  return root;
}

/**
 * Has so many roots made as {@link killedRoot} leaves one, before the tests of a file, and in one process: a process
 * for each takes longer than most tests.
 *
 * @returns what gives one that no other test has
 */
export function prepareKilledRoots(
  counts: Partial<Record<Durability, number>>,
): (durability?: Durability) => string {
  const left: Record<Durability, string[]> = { os: [], disk: [] };
  beforeAll(async () => {
    const directory = await makeDirectory('disk');
    for (const durability of DURABILITIES) {
      const names = Array.from({ length: counts[durability] ?? 0 }, (_, index) => `${durability}-${index}`);
      left[durability] = names.map((name) => path.join(directory, name));
    }
    const made = DURABILITIES.filter((durability) => left[durability].length > 0);
    await Promise.all(made.map((durability) => play(left[durability], 'be killed', { durability })));
  });
  return (durability = 'os') => {
    const root = left[durability].pop();
    if (root === undefined) throw new Error('more roots are taken than were made');
    return root;
  };
}
