import fs from 'node:fs';
import path from 'node:path';
import { describe, type FileStat } from './file-io.ts';
import { readDirectory } from './own-directory.ts';
import { RESERVED_SEGMENT } from './resource-path.ts';
import { hasErrno, storageFailure } from './storage-failure.ts';

/** How many files are looked at at a time. */
const PARALLEL_LOOKS = 16;

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
  unreadable: (directory: string) => void,
): AsyncGenerator<FoundName, void, undefined> {
  const pending = [Buffer.from(top)];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    try {
      for await (const entry of await openDirectory(at)) {
        const name = Buffer.concat([at, SLASH, entry.name]);
        const isOwn = at.toString() === top && entry.name.toString().toLowerCase() === RESERVED_SEGMENT;
        if (!entry.isDirectory()) yield { name, location: locationOf(top, name) };
        else if (!isOwn) pending.push(name);
      }
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) unreadable(at.toString());
    }
  }
}

/** What is at a name that was found; undefined when there is no regular file any more. */
export async function statFound({ name }: FoundName): Promise<FileStat | undefined> {
  try {
    const stat = describe(await fs.promises.lstat(name, { bigint: true }));
    return stat.kind === 'file' ? stat : undefined;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw storageFailure(error);
  }
}

/** The fingerprint of the regular file at a name, absolute; undefined when there is none. */
export async function fingerprintOf(name: string): Promise<string | undefined> {
  return (await statFound({ name: Buffer.from(name), location: undefined }))?.fingerprint;
}

/** The names in a directory of regular files, by fingerprint; of so many names at most, and none if there is no directory. */
export async function fingerprintsIn(directory: string, maxNames: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const names = (await readDirectory(directory)).slice(0, maxNames).values();
  const look = async () => {
    for (const name of names) {
      const fingerprint = await fingerprintOf(path.join(directory, name));
      if (fingerprint !== undefined) found.set(fingerprint, name);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_LOOKS }, look));
  return found;
}

/** Names as bytes, of which Node's types do not know. */
async function openDirectory(
  directory: Buffer,
): Promise<AsyncIterable<{ name: Buffer; isDirectory(): boolean }>> {
  const opened: unknown = await fs.promises.opendir(directory, {
    encoding: 'buffer' as BufferEncoding,
    bufferSize: 256,
  });
  return opened as AsyncIterable<{ name: Buffer; isDirectory(): boolean }>;
}

function locationOf(top: string, name: Buffer): string | undefined {
  const text = name.toString();
  return Buffer.from(text).equals(name) ? path.relative(top, text) : undefined;
}
