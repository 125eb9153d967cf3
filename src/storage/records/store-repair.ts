import fs from 'node:fs';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { makeDirectories } from '../file-io.ts';
import { OWN_DIRECTORY_MODE, readDirectory } from '../own-directory.ts';
import { hasErrno } from '../storage-failure.ts';

/** What a LevelDB's files are called. */
const DATABASE_FILE = /^(\d+\.(ldb|sst|log)|MANIFEST-\d+)$/;

/** What was found, and done, when a damaged store was opened. */
export interface StoreRepair {
  /** What is wrong with it. */
  reason: string;
  /** Where the damaged one was copied to, absolute. */
  aside: string;
  /** How many of its files could not be read to the end. */
  unreadableFiles: number;
}

/** Which file a LevelDB lacks that it begins with, as a copy may that was made while it was in use; undefined when it has them. */
export async function missingFile(directory: string): Promise<string | undefined> {
  const names = await readDirectory(directory);
  if (!names.includes('CURRENT')) {
    // LevelDB would begin anew.
    return names.some((name) => DATABASE_FILE.test(name)) ? 'CURRENT is missing' : undefined;
  }
  const manifest = (await fs.promises.readFile(path.join(directory, 'CURRENT'), 'utf8')).trim();
  return names.includes(manifest) ? undefined : `CURRENT names a file that is missing: ${manifest}`;
}

/**
 * Repairs a LevelDB that is not open, with what can be read of its files.
 *
 * @param aside directory for a copy of what was there before, absolute; made if it is missing
 */
export async function repairStore(directory: string, aside: string, reason: string): Promise<StoreRepair> {
  const copy = path.join(aside, `records-${Date.now()}`);
  await makeDirectories(copy, OWN_DIRECTORY_MODE);
  for (const name of await readDirectory(directory)) {
    if (name !== 'LOCK') await keep(path.join(directory, name), path.join(copy, name));
  }
  await ClassicLevel.repair(directory);
  const lost = path.join(directory, 'lost');
  const unreadable = (await readDirectory(lost)).filter((name) => /\.(ldb|sst)$/.test(name));
  await fs.promises.rm(lost, { recursive: true, force: true });
  return { reason, aside: copy, unreadableFiles: unreadable.length };
}

/** A second name is enough: what is repaired is written to other files. */
async function keep(name: string, target: string): Promise<void> {
  try {
    await fs.promises.link(name, target);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return;
    await fs.promises.cp(name, target, { recursive: true });
  }
}
