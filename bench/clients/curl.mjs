import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Two curls and a pipe: `entry` is the program. */
export async function open(entry) {
  return {
    // What they use is not this process's.
    isElsewhere: true,
    async relay(from, to) {
      const { stdout } = await promisify(execFile)('/bin/sh', [
        '-c',
        '"$0" -sSN "$1" | "$0" -sS -T - "$2"',
        entry,
        from,
        to,
      ]);
      return Number(stdout);
    },
  };
}
