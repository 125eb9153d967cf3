import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Where the first line of the commands leaves what it has found. */
const VARIABLE = 'HTTPFSTREAM_SIGHUP';

/** SIGHUP in a mask of signals, in hexadecimal, as Linux shows it. */
const IGNORES_SIGHUP = /^SigIgn:\s*[\da-f]*[13579bdf]$/m;

/** Opened to write only, as Linux shows it, in octal. */
const WRITE_ONLY = /^flags:\s*[0-7]*1$/m;

/**
 * Whether this process was started to ignore SIGHUP, as `nohup` does. Node sets all
 * signals back before it runs anything, so the shell that has started Node tells; where
 * there was none (`node …/httpfstream-server.js`), it goes by the traces that `nohup` leaves.
 * To be asked once: no child is to take the answer for its own.
 */
export function isHangUpIgnored(): boolean {
  const told = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return told === undefined ? hasTraces() : told === 'ignored';
}

function hasTraces(): boolean {
  // Shells say what they run; nohup turns a terminal as standard input into something that cannot be read.
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

/** Makes of a command line one that ignores SIGHUP, as Node alone cannot: it sets all signals back for whatever it starts. */
export function ignoringHangUp(commandLine: readonly string[]): string[] {
  return ['sh', '-c', 'trap \'\' HUP; exec "$@"', 'sh', ...commandLine];
}
