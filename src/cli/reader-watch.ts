import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';

/**
 * Calls `onGone` soon after nobody reads a pipe any more. The system would tell
 * only at the next write, and Node has no way to ask. GNU tail can, and dies of
 * SIGPIPE; where there is none, or with something other than a pipe, nothing is noticed.
 *
 * @param descriptor of the writing end
 * @returns a function that ends watching
 */
export function watchReader(descriptor: number | undefined, onGone: () => void): () => void {
  if (descriptor === undefined || process.platform !== 'linux' || !fstatSync(descriptor).isFIFO())
    return () => {};
  // Opened anew: a child would make the shared one blocking.
  const ownDescriptor = openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY);
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
