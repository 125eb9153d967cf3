import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE_MS } from './patience.ts';

const MAX_POLL_MS = 25;

/** Resolves when `condition` holds; rejects when it hangs. */
export async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const begun = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - begun;
    if (waitedMs > PATIENCE_MS) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
    // What comes soon is seen soon, and what takes long is not asked for too often.
    await delay(Math.min(waitedMs / 4, MAX_POLL_MS));
  }
}

/** How long what must not happen is watched for, in milliseconds. */
const WATCHED_MS = 300;

/** Resolves when `condition` has held for a while; rejects as soon as it does not. */
export async function waitWhile(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WATCHED_MS;
  while (performance.now() < deadline) {
    if (!condition()) throw new Error(`it did not stay so: ${what}`);
    await delay(5);
  }
}

/** Resolves when a number has not changed for a while; rejects when it goes on changing. */
export async function waitForStandstill(read: () => number | Promise<number>, what: string): Promise<void> {
  let last = Number.NaN;
  let since = 0;
  await waitFor(async () => {
    const now = await read();
    if (now !== last) since = performance.now();
    last = now;
    return performance.now() - since > WATCHED_MS;
  }, what);
}

/** Waits until a file that may be missing has so many bytes. */
export function waitForSize(file: string, size: number): Promise<void> {
  const hasIt = async () => (await stat(file).catch(() => undefined))?.size === size;
  return waitFor(hasIt, `${size} bytes in ${file}`);
}

/** Waits until there is no such file any more. */
export function waitForRemoval(file: string): Promise<void> {
  return waitFor(async () => !(await isThere(file)), `${file} to be removed`);
}

/** Whether there is a file, or a directory, of this name. */
export async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
