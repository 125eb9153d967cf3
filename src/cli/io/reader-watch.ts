import { spawn } from 'node:child_process';
import { closeSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { reopenPipe } from './standard-streams.ts';

/** A file that nobody writes to, so that tail has nothing to print. */
const QUIET_FILE = fileURLToPath(import.meta.url);

/**
 * Calls `onGone` soon after the last reader of a pipe has left. Otherwise a process learns that
 * only at its next write, and Node has no way to poll for it. GNU tail has: it sleeps until the
 * system notifies it, and dies of SIGPIPE. `setpriv` makes sure that it does not outlive this
 * process, since the reader would wait for it. Nothing is noticed if one of them is missing,
 * of anything but a pipe, or of a pipe that another user made.
 *
 * @param descriptor of the writing end
 * @returns a function that stops watching
 */
export function watchReader(descriptor: number | undefined, onGone: () => void): () => void {
  const ownDescriptor = descriptor === undefined ? undefined : reopenPipe(descriptor, constants.O_WRONLY);
  if (ownDescriptor === undefined) return () => {};
  const tail = spawn('setpriv', ['--pdeathsig', 'TERM', 'tail', '-c', '0', '-f', QUIET_FILE], {
    stdio: ['ignore', ownDescriptor, 'ignore'],
  });
  closeSync(ownDescriptor);
  // setpriv is missing.
  tail.once('error', () => {});
  tail.once('exit', (_code, signal) => {
    if (signal === 'SIGPIPE') onGone();
  });
  tail.unref();
  return () => void tail.kill();
}
