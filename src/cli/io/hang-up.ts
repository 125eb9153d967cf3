import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Set by the first line of the commands, which a shell runs. */
const VARIABLE = 'HTTPFSTREAM_SIGHUP';

/** The mask of ignored signals of a Linux process, in hexadecimal, with SIGHUP in it. */
const IGNORES_SIGHUP = /^SigIgn:\s*[\da-f]*[13579bdf]$/m;

/** The flags of a Linux descriptor that is open for writing only, in octal. */
const WRITE_ONLY = /^flags:\s*[0-7]*1$/m;

/**
 * Whether this process was started to ignore SIGHUP, as `nohup` does. Node resets all
 * signals before it runs anything, so the shell that has started Node tells; without one
 * (`node …/httpfstream-server.js`), the traces that `nohup` leaves decide.
 * To be called once: the variable is removed, so that children do not inherit it.
 */
export function isHangUpIgnored(): boolean {
  const told = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return told === undefined ? hasTraces() : told === 'ignored';
}

function hasTraces(): boolean {
  // Shells set `_` to what they run; nohup replaces a terminal as standard input by a file that cannot be read.
  return (
    path.basename(process.env._ ?? '') === 'nohup' ||
    WRITE_ONLY.test(textOf('/proc/self/fdinfo/0')) ||
    IGNORES_SIGHUP.test(textOf(`/proc/${process.ppid}/status`))
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/**
 * Wraps a command line so that it ignores SIGHUP. Node alone cannot: it resets all signals of the processes that it
 * starts.
 */
export function ignoringHangUp(commandLine: readonly string[]): string[] {
  return ['sh', '-c', 'trap \'\' HUP; exec "$@"', 'sh', ...commandLine];
}
