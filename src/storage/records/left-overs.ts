import fs from 'node:fs';
import path from 'node:path';
import { describe } from '../file-io.ts';
import { readDirectory } from '../root/own-directory.ts';
import { storageFailure } from '../storage-failure.ts';

/** A file that was being filled when a server was killed. */
export interface LeftOver {
  /** Absolute. */
  name: string;
  fingerprint: string;
  /** Whether it had got its name in the root already. */
  isPublished: boolean;
}

/** Yields what is left of files that were being made. No server may run. */
export async function* unfinishedFiles(directory: string): AsyncGenerator<LeftOver, void, undefined> {
  for (const entry of await readDirectory(directory)) {
    const name = path.join(directory, entry);
    const stat = await fs.promises.lstat(name, { bigint: true });
    if (!stat.isFile()) continue;
    yield { name, fingerprint: describe(stat).fingerprint, isPublished: stat.nlink > 1n };
  }
}

/** Removes what {@link unfinishedFiles} has found. */
export async function removeLeftOver(name: string): Promise<void> {
  try {
    await fs.promises.rm(name, { force: true });
  } catch (error) {
    throw storageFailure(error);
  }
}
