import fs from 'node:fs';
import path from 'node:path';
import { RESERVED_SEGMENT } from '../../wire/resource-path.ts';
import type { FileStat } from '../file-io.ts';
import { hasErrno, storageFailure } from '../storage-failure.ts';
import type { HeldPath, PathHolder } from './held-path.ts';
import { Pace } from './pace.ts';

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
  const pace = new Pace();
  const pending = [Buffer.from(top)];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    let held: HeldPath | undefined;
    try {
      held = holdExactly(holder, at);
      for await (const entry of await openDirectory(held.entry)) {
        const name = Buffer.concat([at, SLASH, entry.name]);
        const isOwn = at.toString() === top && entry.name.toString().toLowerCase() === RESERVED_SEGMENT;
        if (!entry.isDirectory()) yield { name, location: locationOf(top, name) };
        else if (!isOwn) pending.push(name);
        // Whoever is given the names looks at them.
        await pace.rest();
      }
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) unreadable(at.toString());
    } finally {
      held?.release();
    }
  }
}

/** What is at a name that was found; undefined when there is no regular file any more. */
export function statFound(holder: PathHolder, { name }: Pick<FoundName, 'name'>): FileStat | undefined {
  let held: HeldPath | undefined;
  try {
    held = holdExactly(holder, name);
    const stat = held.stat();
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
  const pace = new Pace();
  const names = await firstNames(directory, maxNames);
  for (const name of names) {
    const stat = statFound(holder, { name: Buffer.from(path.join(directory, name)) });
    if (stat !== undefined) found.set(stat.fingerprint, name);
    await pace.rest();
  }
  return { found, looks: names.length };
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

/** Throws as if nothing were there when a directory on the way was swapped for a symlink since it was found. */
function holdExactly(holder: PathHolder, name: Buffer): HeldPath {
  const held = holder.hold(name, { noFollow: true });
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
