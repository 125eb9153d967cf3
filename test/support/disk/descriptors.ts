import { readdir } from 'node:fs/promises';
import { waitFor } from '../wait-for.ts';

/** How many file descriptors this process has open. */
export async function openDescriptors(): Promise<number> {
  return (await readdir('/proc/self/fd')).length;
}

/** Waits until no more descriptors are open than there were. */
export async function descriptorsBackTo(baseline: number): Promise<void> {
  await waitFor(
    async () => (await openDescriptors()) <= baseline,
    `the descriptors to be ${baseline} again, after there were ${await openDescriptors()}`,
  );
}
