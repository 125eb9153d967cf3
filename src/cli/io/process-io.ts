import { isHangUpIgnored } from './hang-up.ts';
import { type CommandIo, exitCodeOfSignal, LAST_OUTPUT_MS } from './io.ts';
import { leaveClosedTerminals, leaveSharedPipes } from './standard-streams.ts';

/** Whether SIGHUP is nothing to this process, as `nohup` wants it. */
const IGNORES_HANG_UP = isHangUpIgnored();

const STOP_SIGNALS: readonly NodeJS.Signals[] = IGNORES_HANG_UP
  ? ['SIGINT', 'SIGTERM']
  : ['SIGINT', 'SIGTERM', 'SIGHUP'];

if (IGNORES_HANG_UP) process.on('SIGHUP', () => {});

leaveSharedPipes();
process.on('exit', leaveClosedTerminals);
// That nobody reads a log or a help text any more is no reason to die; where it matters, the writer is told.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

let wasToldToStop = false;

/** The running process. */
export const processIo: CommandIo = {
  // Nothing is read from it, not even ahead, unless it is asked for.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  ignoresHangUp: IGNORES_HANG_UP,
  onStopSignal(listener) {
    const onSignal = (signal: NodeJS.Signals) => {
      wasToldToStop = true;
      listener(signal);
    };
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
    };
  },
  onUncaught(listener) {
    process.on('uncaughtException', listener);
    return () => process.off('uncaughtException', listener);
  },
  exit(how) {
    if (typeof how === 'number') process.exit(how);
    process.kill(process.pid, how);
    // The first process of a container is not killed by a signal to which it does not listen.
    process.exit(exitCodeOfSignal(how));
  },
};

/** Ends the process with an exit code, once its output is taken, or nobody takes it. */
export function exitSoon(exitCode: number): void {
  process.exitCode = exitCode;
  setTimeout(() => process.exit(), LAST_OUTPUT_MS).unref();
}

/** Ends the process with an exit code, once all of its output is taken, however long that takes; soon if it was told to stop. */
export function exitWhenTaken(exitCode: number): void {
  process.exitCode = exitCode;
  if (wasToldToStop) exitSoon(exitCode);
}
