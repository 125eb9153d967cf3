import { readdir, readlink } from 'node:fs/promises';
import { waitFor } from '../wait-for.ts';

/** How many file descriptors this process has open. */
export async function openDescriptors(): Promise<number> {
  return (await readdir('/proc/self/fd')).length;
}

/** Whether this process has a file open, be it deleted by now. */
export async function isOpen(file: string): Promise<boolean> {
  const open = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(open)).some((target) => target.startsWith(file));
}

/** Waits until no more descriptors are open than there were. */
export async function descriptorsBackTo(baseline: number): Promise<void> {
  await waitFor(
    async () => (await openDescriptors()) <= baseline,
    `the descriptors to be ${baseline} again, after there were ${await openDescriptors()}`,
  );
}
