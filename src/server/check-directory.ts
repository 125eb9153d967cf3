import fs from 'node:fs';
import { checkRoot } from '../core/check/root-check.ts';
import { InvalidRootError } from '../errors.ts';
import { Root } from '../storage/root.ts';
import { RootLock } from './root-lock.ts';

/**
 * Verifies a root and puts right what can be, while no server uses it.
 *
 * @param tell is given a line for each finding, and one at the end
 * @returns whether all is well now, and nothing was lost
 * @throws {InvalidRootError} when there is no such directory, or it cannot be used
 * @throws {RootInUseError} when a server uses it
 */
export async function checkDirectory(directory: string, tell: (line: string) => void): Promise<boolean> {
  const stat = await fs.promises.stat(directory).catch(() => undefined);
  if (!stat?.isDirectory()) throw new InvalidRootError(`there is no directory ${directory}`);
  const root = await Root.open(directory);
  const lock = await RootLock.acquire(root.own('lock'), {
    root: directory,
    report: (message, { reason }) => tell(`${directory}: ${message} (${reason})`),
  });
  try {
    return await checkRoot(root, tell);
  } finally {
    await lock.release();
  }
}
