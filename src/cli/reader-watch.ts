import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';

/**
 * Calls `onGone` soon after nobody reads a pipe any more. The system would tell
 * only at the next write, and Node has no way to ask. GNU tail can, and dies of
 * SIGPIPE; where there is none, with something other than a pipe, or with one
 * that another user made, nothing is noticed.
 *
 * @param descriptor of the writing end
 * @returns a function that ends watching
 */
export function watchReader(descriptor: number | undefined, onGone: () => void): () => void {
  const ownDescriptor = openAnew(descriptor);
  if (ownDescriptor === undefined) return () => {};
  const tail = spawn('tail', ['-f', '-s', '0.2', `--pid=${process.pid}`, '/dev/null'], {
    stdio: ['ignore', ownDescriptor, 'ignore'],
  });
  closeSync(ownDescriptor);
  // There is no tail.
  tail.once('error', () => {});
  tail.once('exit', (_code, signal) => {
    if (signal === 'SIGPIPE') onGone();
  });
  tail.unref();
  return () => void tail.kill();
}

/** Opens a pipe once more, because a child would make the shared descriptor blocking. Undefined where that cannot be. */
function openAnew(descriptor: number | undefined): number | undefined {
  if (descriptor === undefined || process.platform !== 'linux') return undefined;
  try {
    if (!fstatSync(descriptor).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY);
  } catch {
    // Of another user, say: the descriptor is good to write, and no more.
    return undefined;
  }
}
