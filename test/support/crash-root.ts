import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Fact } from './crash-model.ts';
import { runProgram } from './program.ts';
import { temporaryDirectory } from './server.ts';

const CHILD = fileURLToPath(new URL('crash-child.mjs', import.meta.url));
const HOOK = fileURLToPath(new URL('crash-hook.cjs', import.meta.url));

/** When bytes count as safe. */
export const DURABILITIES = ['os', 'disk'] as const;

export type Durability = (typeof DURABILITIES)[number];

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
}

/** Does one thing to a root, in a process of its own that is killed. Needs the built commands. */
export async function play(root: string, operation: string, { durability = 'os', step, closes }: Play = {}) {
  const args = [root, durability, operation, closes ? 'close' : 'kill'];
  const { stdout } = await runProgram(process.execPath, ['--require', HOOK, CHILD, ...args], {
    env: { ...process.env, CRASH_STEP: JSON.stringify(step ?? {}) },
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
