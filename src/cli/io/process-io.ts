import { isatty } from 'node:tty';
import { passHangUpOn } from './early-hang-up.ts';
import { isHangUpIgnored } from './hang-up.ts';
import { type CommandIo, exitCodeOfSignal, LAST_OUTPUT_MS } from './io.ts';
import { leaveClosedTerminals, leaveSharedPipes } from './standard-streams.ts';

const IGNORES_HANG_UP = isHangUpIgnored();

const STOP_SIGNALS: readonly NodeJS.Signals[] = IGNORES_HANG_UP
  ? ['SIGINT', 'SIGTERM']
  : ['SIGINT', 'SIGTERM', 'SIGHUP'];

if (IGNORES_HANG_UP) process.on('SIGHUP', () => {});

leaveSharedPipes();
process.on('exit', leaveClosedTerminals);
// A closed stdout or stderr is no reason to die; a writer for whom it matters gets the error.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

let wasStopped = false;

/** Of Node 22.15 and later. */
type Execve = (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never;

export const processIo: CommandIo = {
  // Accessed only when it is used: Node reads ahead from it.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  ignoresHangUp: IGNORES_HANG_UP,
  isAtTerminal: [0, 1, 2].some(isatty),
  onStopSignal(listener) {
    const onSignal = (signal: NodeJS.Signals) => {
      wasStopped = true;
      listener(signal);
    };
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
    passHangUpOn();
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
    };
  },
  onUncaught(listener) {
    process.on('uncaughtException', listener);
    return () => process.off('uncaughtException', listener);
  },
  exit(how) {
    if (typeof how === 'number') exitNow(how);
    process.kill(process.pid, how);
    // The first process of a container is not killed by a signal without a listener.
    exitNow(exitCodeOfSignal(how));
  },
};

/** Ends the process with an exit code, as soon as its output is read, or after a second. */
export function exitSoon(exitCode: number): void {
  process.exitCode = exitCode;
  setTimeout(() => exitNow(exitCode), LAST_OUTPUT_MS).unref();
}

function exitNow(exitCode: number): never {
  // After all else that is to be done at the end.
  process.on('exit', () => leaveStuckThreads(exitCode));
  process.exit(exitCode);
}

/**
 * `process.exit` waits for Node's threads, and one that waits itself for a file system that does not answer, or for a
 * terminal that was stopped, never comes back. So another program takes the place of this process, and ends with the
 * same code. Before Node 22.15 that cannot be had: there a signal ends it, which counts as a failure if the code does.
 */
function leaveStuckThreads(exitCode: number): void {
  if (!process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))) return;
  try {
    const { execPath, env } = process;
    const args = [execPath, '-e', `process.exit(${exitCode})`];
    (process as { execve?: Execve }).execve?.(execPath, args, { ...env, NODE_OPTIONS: '' });
  } catch {
    // Not on this system.
  }
  process.kill(process.pid, exitCode === 0 ? 'SIGTERM' : 'SIGKILL');
}

/**
 * Ends the process with an exit code, as soon as its output is read, however long that takes; or as {@link exitSoon} if
 * it was told to stop.
 */
export function exitWhenTaken(exitCode: number): void {
  process.exitCode = exitCode;
  if (wasStopped) exitSoon(exitCode);
}
