import type { Readable, Writable } from 'node:stream';

/** What a command needs of the process that it runs in. */
export interface CommandIo {
  stdin: Readable & { isTTY?: boolean };
  /** `fd` when it is a stream of the operating system; `hasColors`, `columns` and `rows` when it is a terminal. */
  stdout: Writable & {
    isTTY?: boolean;
    fd?: number;
    hasColors?: () => boolean;
    columns?: number;
    rows?: number;
  };
  /** `columns` and `rows` when it is a terminal; 0 when that does not know its size. */
  stderr: Writable & { isTTY?: boolean; columns?: number; rows?: number };
  /** Calls `listener` at SIGINT or SIGTERM instead of dying; returns a function that undoes it. */
  onStopSignal(listener: (signal: NodeJS.Signals) => void): () => void;
  /** Calls `listener` with what nobody has caught, rejections included, instead of dying; returns a function that undoes it. */
  onUncaught(listener: (error: unknown) => void): () => void;
  /** Ends the process at once: with an exit code, or killed by a signal to which nobody listens any more. */
  exit(how: number | NodeJS.Signals): void;
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

// That nobody reads a log or a help text any more is no reason to die; where it matters, the writer is told.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

/** The running process. */
export const processIo: CommandIo = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onStopSignal(listener) {
    for (const signal of STOP_SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, listener);
    };
  },
  onUncaught(listener) {
    process.on('uncaughtException', listener);
    return () => process.off('uncaughtException', listener);
  },
  exit(how) {
    if (typeof how === 'number') process.exit(how);
    process.kill(process.pid, how);
  },
};

/** How long output that nobody takes may keep a process that is done, in milliseconds. */
const LAST_OUTPUT_MS = 1000;

/** Ends the process with an exit code, once its output is taken, or nobody takes it. */
export function exitSoon(exitCode: number): void {
  process.exitCode = exitCode;
  setTimeout(() => process.exit(), LAST_OUTPUT_MS).unref();
}

/** Exit code of a command that was stopped by Ctrl-C: 128 and the number of SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** What to tell a person of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
