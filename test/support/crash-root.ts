import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Fact } from './crash-model.ts';
import { runProgram } from './program.ts';
import { temporaryDirectory } from './server.ts';

const CHILD = fileURLToPath(new URL('crash-child.mjs', import.meta.url));
const HOOK = fileURLToPath(new URL('crash-hook.cjs', import.meta.url));
const POWER_HOOK = fileURLToPath(new URL('power-hook.cjs', import.meta.url));

/** When bytes count as safe. */
export const DURABILITIES = ['os', 'disk'] as const;

/** What is done to a root, see `crash-child.mjs`: each with more than one step. */
export const OPERATIONS = [
  'make a stream',
  'make many streams at once',
  'make a fork',
  'make a stream that expires',
  'append to a stream',
  'append to a stream as a producer',
  'append for the first time as a producer',
  'append to many streams at once',
  'append much at once',
  'append much to a file that nobody made as a stream',
  'append much while another stream is brought up to date',
  'append the last line',
  'set aside what no producer knows',
  'append in a session',
  'bring a sidecar up to date',
  'close in order',
  'delete a stream',
  'delete a stream that was forked',
  'delete the last fork',
  'delete what has outlived its time',
];

/** What is done to a root that a killed server has left. */
export const SECOND_OPERATIONS = ['recover after a kill', 'check after a kill'];

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
  durability?: (typeof DURABILITIES)[number];
  step?: Step | undefined;
  /** Whether the server closes in order at the end, if it lives then; else it is killed. */
  closes?: boolean;
  /** Absolute name of a file to which all that was changed and synced is written down, for a {@link PowerJournal}. */
  journal?: string;
}

/** Does one thing to a root, in a process of its own that is killed. Needs the built commands. */
export async function play(
  root: string,
  operation: string,
  { durability = 'os', step, closes, journal }: Play = {},
) {
  const args = [root, durability, operation, closes ? 'close' : 'kill'];
  // What a step fails before it is done is not written down.
  const hooks = [...(journal === undefined ? [] : [POWER_HOOK]), HOOK].flatMap((hook) => ['--require', hook]);
  const { stdout } = await runProgram(process.execPath, [...hooks, CHILD, ...args], {
    env: {
      ...process.env,
      CRASH_STEP: JSON.stringify(step ?? {}),
      POWER_JOURNAL: JSON.stringify({ root, journal }),
    },
  });
  const lines = stdout.toString().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Fact);
}

/** A root that a server has left when it was killed after an operation. */
export async function killedRoot(operation = 'be killed', options: Play = {}): Promise<string> {
  const root = path.join(await temporaryDirectory(), 'root');
  await play(root, operation, options);
  return root;
}
