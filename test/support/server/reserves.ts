import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { inject, onTestFinished } from 'vitest';
import type { TestProject } from 'vitest/node';
import { RESERVED } from '../disk/root-files.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Directory in which reserves are between two tests. */
    reserves: string;
  }
}

/** Makes the place for reserves that go from test to test; it is gone after the last one. */
export function setup(project: TestProject): () => void {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'httpfstream-reserves-'));
  project.provide('reserves', directory);
  return () => rmSync(directory, { recursive: true, force: true });
}

/** Absolute names of those that nobody has now. */
const idle: string[] = [];

/**
 * Gives a root, before it is served, the reserve that the server of another test has made, and takes it back after the
 * test: to make it is half of all that it takes to start a server on an empty root.
 */
export async function lendReserve(root: string): Promise<void> {
  const place = path.join(root, RESERVED, 'reserve');
  const lent = idle.pop();
  if (lent !== undefined) {
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    await rename(lent, place);
  }
  onTestFinished(async () => {
    const name = path.join(inject('reserves'), randomUUID());
    const isThere = await rename(place, name).then(
      () => true,
      () => false,
    );
    if (isThere) idle.push(name);
  });
}
