import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE_MS } from './patience.ts';

/** Resolves when `condition` holds; rejects when it hangs. */
export async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
    await delay(5);
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
