import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { mkdir, mkdtemp, rename } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { inject, onTestFinished } from 'vitest';
import type { TestProject } from 'vitest/node';
import { RESERVED } from '../disk/root-files.ts';

/** On the disk, or in memory, where that can be. */
export type Place = 'disk' | 'quick';

/** Where Linux has a file system in memory, … */
const MEMORY = '/dev/shm';

/** … which is used if it has so much room: a container may have little. */
const MEMORY_BYTES = 4 * 1024 ** 3;

declare module 'vitest' {
  interface ProvidedContext {
    /** Directories of this run, on the disk and where servers are quick to start. */
    disk: string;
    quick: string;
  }
}

/** Makes what {@link makeDirectory} and {@link lendReserve} use; it is gone after the last test. */
export function setup(project: TestProject): () => void {
  const bases = { disk: os.tmpdir(), quick: hasRoom(MEMORY) ? MEMORY : os.tmpdir() };
  const made = (['disk', 'quick'] satisfies Place[]).map((name) => {
    const directory = mkdtempSync(path.join(bases[name], 'httpfstream-tests-'));
    mkdirSync(path.join(directory, 'reserves'));
    // For those who are not this user, as some servers are for a while.
    chmodSync(directory, 0o711);
    project.provide(name, directory);
    return directory;
  });
  return () => {
    for (const directory of made) rmSync(directory, { recursive: true, force: true });
  };
}

function hasRoom(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize >= MEMORY_BYTES;
  } catch {
    return false;
  }
}

/** Makes an empty directory, which is to be removed by the caller, or is gone after the last test. */
export function makeDirectory(place: Place): Promise<string> {
  return mkdtemp(path.join(inject(place), 'test-'));
}

/** Absolute names of the reserves that nobody has now, by the file system. */
const idle: Record<Place, string[]> = { disk: [], quick: [] };

/**
 * Gives a root, before it is served, the reserve that the server of another test has made, and takes it back after the
 * test: to make it is half of all that it takes to start a server on an empty root.
 */
export async function lendReserve(root: string): Promise<void> {
  const where = root.startsWith(inject('quick')) ? 'quick' : 'disk';
  const place = path.join(root, RESERVED, 'reserve');
  const lent = idle[where].pop();
  if (lent !== undefined) {
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    // Where somebody has cleaned up the server makes its own.
    await rename(lent, place).catch(() => undefined);
  }
  onTestFinished(async () => {
    const name = path.join(inject(where), 'reserves', randomUUID());
    const isThere = await rename(place, name).then(
      () => true,
      () => false,
    );
    if (isThere) idle[where].push(name);
  });
}
