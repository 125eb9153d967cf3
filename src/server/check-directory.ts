import fs from 'node:fs';
import path from 'node:path';
import { Core } from '../core/core.ts';
import { checkRootAt } from '../core/recovery/check/root-check.ts';
import { InvalidRootError } from '../wire/errors.ts';
import { RESERVED_SEGMENT } from '../wire/resource-path.ts';

/**
 * Verifies a root and repairs what can be, while no server uses it.
 *
 * @param report is given a line for each finding, and one at the end
 * @returns whether all is well now, and nothing was lost
 * @throws {InvalidRootError} when there is no such directory, or it cannot be used, or another user serves it
 * @throws {RootInUseError} when a server uses it
 */
export async function checkDirectory(directory: string, report: (line: string) => void): Promise<boolean> {
  const stat = await fs.promises.stat(directory).catch(() => undefined);
  if (!stat?.isDirectory()) throw new InvalidRootError(`there is no directory ${directory}`);
  await assertServedByThisUser(directory);
  return checkRootAt(directory, report);
}

/**
 * Finds out whether a server uses a root, before anything else is set up.
 *
 * @throws {RootInUseError} when that is so
 */
export function assertRootIsFree(directory: string): Promise<void> {
  return Core.assertFree(directory);
}

/** What is repaired belongs to who repairs it, and must not be out of the server's reach then. */
async function assertServedByThisUser(directory: string): Promise<void> {
  const own = await fs.promises.stat(path.join(directory, RESERVED_SEGMENT)).catch(() => undefined);
  const user = process.geteuid?.();
  if (own === undefined || user === undefined || own.uid === user) return;
  throw new InvalidRootError(`${directory} is served by the user ${own.uid}: check it as that user`);
}
