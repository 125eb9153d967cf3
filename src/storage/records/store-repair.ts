import fs from 'node:fs';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { makeDirectories, syncDirectories } from '../file-io.ts';
import { OWN_DIRECTORY_MODE, OWN_FILE_MODE, readDirectory } from '../root/own-directory.ts';
import { hasErrno, withName } from '../storage-failure.ts';

/** What a LevelDB's files are called. */
const DATABASE_FILE = /^(\d+\.(ldb|sst|log)|MANIFEST-\d+)$/;

/** The file beside them that says that it is damaged, until it is repaired. LevelDB leaves it alone. */
const DAMAGED = 'DAMAGED';

/** What is known of a store that is damaged. */
export interface Damage {
  /** What is wrong with it. */
  reason: string;
  /**
   * Name of the directory that it was copied to, once its repair has begun: what lies in its own place may be half of
   * it.
   */
  copy?: string;
}

/** What was found, and done, when a damaged store was opened. */
export interface StoreRepair {
  /** What is wrong with it. */
  reason: string;
  /** Where the damaged one was copied to, absolute. */
  aside: string;
  /** How many of its files could not be read to the end. */
  unreadableFiles: number;
}

/**
 * Which file a LevelDB lacks that it begins with, as a copy may that was made while it was in use; undefined when it
 * has them.
 */
export async function missingFile(directory: string): Promise<string | undefined> {
  const names = await readDirectory(directory);
  if (!names.includes('CURRENT')) {
    // LevelDB would begin anew.
    return names.some((name) => DATABASE_FILE.test(name)) ? 'CURRENT is missing' : undefined;
  }
  const manifest = (await readText(path.join(directory, 'CURRENT'))).trim();
  return names.includes(manifest) ? undefined : `CURRENT names a file that is missing: ${manifest}`;
}

/** What was noted of a store: that it is damaged, or that its repair has come to no end. */
export async function readDamage(directory: string): Promise<Damage | undefined> {
  const name = path.join(directory, DAMAGED);
  let text: string;
  try {
    text = await readText(name);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  const [reason = '', copy] = text.split('\n');
  return { reason, ...(copy && { copy }) };
}

/** Notes that a store is damaged, unless that is noted. Never throws: whoever meets it the next time notes it. */
export function noteDamage(directory: string, reason: string): void {
  try {
    fs.writeFileSync(path.join(directory, DAMAGED), textOf({ reason }), { flag: 'wx', mode: OWN_FILE_MODE });
  } catch {}
}

/**
 * Repairs a LevelDB that is not open, with what can be read of its files; one whose repair has come to no end from
 * what it was before. Until {@link forgetDamage} the next start does it again.
 *
 * @param aside directory for a copy of what was there before, absolute; made if it is missing
 */
export async function repairStore(directory: string, aside: string, damage: Damage): Promise<StoreRepair> {
  const { reason } = damage;
  const copy = (await restore(directory, aside, damage)) ?? (await setAside(directory, aside, damage));
  await ClassicLevel.repair(directory);
  const lost = path.join(directory, 'lost');
  const unreadable = (await readDirectory(lost)).filter((name) => /\.(ldb|sst)$/.test(name));
  await fs.promises.rm(lost, { recursive: true, force: true });
  return { reason, aside: copy, unreadableFiles: unreadable.length };
}

/** Notes that a store is as it should be, also after a loss of power: from now on it is written. */
export async function forgetDamage(directory: string): Promise<void> {
  await fs.promises.rm(path.join(directory, DAMAGED), { force: true });
  await syncDirectories(directory, directory);
}

/** @returns where the copy is; undefined when there is none */
async function restore(directory: string, aside: string, { copy }: Damage): Promise<string | undefined> {
  if (copy === undefined) return undefined;
  const source = path.join(aside, copy);
  const names = await readDirectory(source);
  if (names.length === 0) return undefined;
  for (const name of await readDirectory(directory)) {
    if (isItsOwn(name)) await fs.promises.rm(path.join(directory, name), { recursive: true });
  }
  for (const name of names) await keep(path.join(source, name), path.join(directory, name));
  return source;
}

/** @returns where the copy is, which is noted */
async function setAside(directory: string, aside: string, { reason }: Damage): Promise<string> {
  const label = `records-${Date.now()}`;
  const copy = path.join(aside, label);
  await makeDirectories(copy, OWN_DIRECTORY_MODE);
  for (const name of await readDirectory(directory)) {
    if (isItsOwn(name)) await keep(path.join(directory, name), path.join(copy, name));
  }
  await syncDirectories(copy, path.dirname(aside));
  const note = path.join(directory, `${DAMAGED}.tmp`);
  const handle = await fs.promises.open(note, 'w', OWN_FILE_MODE);
  await handle
    .writeFile(textOf({ reason, copy: label }))
    .then(() => handle.sync())
    .finally(() => handle.close());
  await fs.promises.rename(note, path.join(directory, DAMAGED));
  await syncDirectories(directory, directory);
  return copy;
}

async function readText(name: string): Promise<string> {
  try {
    return await fs.promises.readFile(name, 'utf8');
  } catch (error) {
    throw hasErrno(error, 'EISDIR') ? withName(error, name) : error;
  }
}

function textOf({ reason, copy = '' }: Damage): string {
  return `${reason.replaceAll('\n', ' ')}\n${copy}\n`;
}

function isItsOwn(name: string): boolean {
  return name !== 'LOCK' && !name.startsWith(DAMAGED);
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
