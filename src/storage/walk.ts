import fs from 'node:fs';
import path from 'node:path';
import { RESERVED_SEGMENT } from '../wire/resource-path.ts';
import type { FileStat } from './file-io.ts';
import type { HeldPath, PathHolder } from './held-path.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

/** How many files are looked at at a time. */
const PARALLEL_LOOKS = 16;

/** How many names are read at a time. */
const NAMES_AT_A_TIME = 256;

const SLASH = Buffer.from('/');

/** A name in the root that leads to something that is no directory. */
export interface FoundName {
  /** Absolute; as bytes, because a name may be no text. */
  name: Buffer;
  /** Path below the root. Undefined when it is no text. */
  location: string | undefined;
}

/**
 * Yields all names below a directory, in no order, but for the server's own. Symlinks are not followed.
 *
 * @param unreadable called with each directory that cannot be read
 */
export async function* walk(
  top: string,
  holder: PathHolder,
  unreadable: (directory: string) => void,
): AsyncGenerator<FoundName, void, undefined> {
  const pending = [Buffer.from(top)];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    let held: HeldPath | undefined;
    try {
      held = await holdExactly(holder, at);
      for await (const entry of await openDirectory(held.entry)) {
        const name = Buffer.concat([at, SLASH, entry.name]);
        const isOwn = at.toString() === top && entry.name.toString().toLowerCase() === RESERVED_SEGMENT;
        if (!entry.isDirectory()) yield { name, location: locationOf(top, name) };
        else if (!isOwn) pending.push(name);
      }
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) unreadable(at.toString());
    } finally {
      held?.release();
    }
  }
}

/** What is at a name that was found; undefined when there is no regular file any more. */
export async function statFound(holder: PathHolder, { name }: FoundName): Promise<FileStat | undefined> {
  let held: HeldPath | undefined;
  try {
    held = await holdExactly(holder, name);
    const stat = await held.stat();
    return stat.kind === 'file' && stat.isLinked ? stat : undefined;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw storageFailure(error);
  } finally {
    held?.release();
  }
}

/** The regular files in a directory, see {@link fingerprintsIn}. */
export interface Fingerprints {
  /** Their names, by fingerprint. */
  found: Map<string, string>;
  /** How many names were looked at. */
  looks: number;
}

/** Looks at so many names in a directory at most; at none if there is no directory. */
export async function fingerprintsIn(
  holder: PathHolder,
  directory: string,
  maxNames: number,
): Promise<Fingerprints> {
  const found = new Map<string, string>();
  const all = await firstNames(directory, maxNames);
  const names = all.values();
  const look = async () => {
    for (const name of names) {
      const stat = await statFound(holder, {
        name: Buffer.from(path.join(directory, name)),
        location: undefined,
      });
      if (stat !== undefined) found.set(stat.fingerprint, name);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_LOOKS }, look));
  return { found, looks: all.length };
}

async function firstNames(directory: string, maxNames: number): Promise<string[]> {
  const names: string[] = [];
  try {
    if (maxNames === 0) return names;
    for await (const { name } of await fs.promises.opendir(directory, { bufferSize: NAMES_AT_A_TIME })) {
      names.push(name);
      if (names.length === maxNames) break;
    }
    return names;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return names;
    throw storageFailure(error);
  }
}

/** Rejects as if nothing were there when a directory on the way was swapped for a symlink since it was found. */
async function holdExactly(holder: PathHolder, name: Buffer): Promise<HeldPath> {
  const held = await holder.hold(name, { noFollow: true });
  if (held.real === name.toString()) return held;
  held.release();
  throw Object.assign(new Error('ENOENT: moved meanwhile'), { code: 'ENOENT' });
}

/** Names as bytes, of which Node's types do not know. */
async function openDirectory(
  directory: string,
): Promise<AsyncIterable<{ name: Buffer; isDirectory(): boolean }>> {
  const opened: unknown = await fs.promises.opendir(directory, {
    encoding: 'buffer' as BufferEncoding,
    bufferSize: NAMES_AT_A_TIME,
  });
  return opened as AsyncIterable<{ name: Buffer; isDirectory(): boolean }>;
}

function locationOf(top: string, name: Buffer): string | undefined {
  const text = name.toString();
  return Buffer.from(text).equals(name) ? path.relative(top, text) : undefined;
}
