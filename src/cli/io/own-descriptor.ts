import { constants, fstatSync, openSync } from 'node:fs';

/**
 * Opens the pipe of a descriptor once more, not to block. What Node sets for a
 * descriptor that it reads or writes is set for all programs that share it: others
 * would then fail where they expect to wait.
 *
 * Undefined for anything but a pipe, and where that cannot be: on other systems than
 * Linux, of a pipe that another user made, of a named one that nobody reads.
 *
 * @param access `O_RDONLY` or `O_WRONLY`
 */
export function openAnew(descriptor: number, access: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    if (!fstatSync(descriptor).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${descriptor}`, access | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}
