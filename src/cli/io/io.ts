import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';

/** Where a command writes. */
export interface Output extends Writable {
  /** Whether it is a terminal, which has the following properties. */
  isTTY?: boolean;
  /** 0, as `rows`, when the terminal does not know its size. */
  columns?: number;
  rows?: number;
  hasColors?: () => boolean;
}

/** The process that a command runs in. */
export interface CommandIo {
  readonly stdin: Readable & { isTTY?: boolean };
  /** With `fd` if it is a stream of the operating system. */
  stdout: Output & { fd?: number };
  stderr: Output;
  /** Whether SIGHUP is ignored: commands that are run should ignore it, too. */
  ignoresHangUp: boolean;
  /** Whether it runs at a terminal, so that SIGHUP says that this has gone. */
  isAtTerminal: boolean;
  /** Calls `listener` at SIGINT, SIGTERM or SIGHUP instead of dying; returns a function that removes it. */
  onStopSignal(listener: (signal: NodeJS.Signals) => void): () => void;
  /** Calls `listener` with uncaught exceptions and rejections instead of dying; returns a function that removes it. */
  onUncaught(listener: (error: unknown) => void): () => void;
  /** Ends the process at once: with an exit code, or by a signal, whose listeners must have been removed. */
  exit(how: number | NodeJS.Signals): void;
}

/**
 * How long output that nobody reads may delay the exit of a command that is done, or was told to stop, in milliseconds.
 */
export const LAST_OUTPUT_MS = 1000;

/** The exit code for a process that a signal has ended, as in a shell. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
