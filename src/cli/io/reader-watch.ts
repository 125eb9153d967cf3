import { spawn } from 'node:child_process';
import { closeSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openAnew } from './own-descriptor.ts';

/** A file that is not written to, so that there is nothing to say of it. */
const QUIET_FILE = fileURLToPath(import.meta.url);

/**
 * Calls `onGone` soon after nobody reads a pipe any more. The system would tell
 * only at the next write, and Node has no way to ask. GNU tail can: it sleeps
 * until the system tells it, and dies of SIGPIPE. `setpriv` sees to it that it does
 * not outlive this process, for whoever reads would wait for it. Where one of them is
 * missing, with something other than a pipe, or with one that another user made, nothing is noticed.
 *
 * @param descriptor of the writing end
 * @returns a function that ends watching
 */
export function watchReader(descriptor: number | undefined, onGone: () => void): () => void {
  const ownDescriptor = descriptor === undefined ? undefined : openAnew(descriptor, constants.O_WRONLY);
  if (ownDescriptor === undefined) return () => {};
  const tail = spawn('setpriv', ['--pdeathsig', 'TERM', 'tail', '-c', '0', '-f', QUIET_FILE], {
    stdio: ['ignore', ownDescriptor, 'ignore'],
  });
  closeSync(ownDescriptor);
  // There is no setpriv.
  tail.once('error', () => {});
  tail.once('exit', (_code, signal) => {
    if (signal === 'SIGPIPE') onGone();
  });
  tail.unref();
  return () => void tail.kill();
}
