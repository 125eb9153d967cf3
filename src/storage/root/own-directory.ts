import fs from 'node:fs';
import path from 'node:path';
import { makeDirectories } from '../file-io.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';

/** Mode of the server's own directories. */
export const OWN_DIRECTORY_MODE = 0o700;

/** Mode of the files in them. */
export const OWN_FILE_MODE = 0o600;

/** The names in one of the server's own directories, which may be missing. */
export async function readDirectory(directory: string): Promise<string[]> {
  try {
    return await fs.promises.readdir(directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw storageFailure(error);
  }
}

/**
 * Moves a file of the server's own to where an operator finds it.
 *
 * @param directory made if it is missing
 * @returns where it is, absolute
 */
export async function moveAside(name: string, directory: string): Promise<string> {
  const target = path.join(directory, `${Date.now()}-${path.basename(name)}`);
  try {
    await makeDirectories(directory, OWN_DIRECTORY_MODE);
    // It may be on another disk.
    await fs.promises.copyFile(name, target);
  } catch (error) {
    throw storageFailure(error);
  }
  await fs.promises.rm(name, { force: true });
  return target;
}
