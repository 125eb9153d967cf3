import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';

/** Where a command writes. */
export interface Output extends Writable {
  /** Whether it is a terminal, which has what follows. */
  isTTY?: boolean;
  /** 0 when the terminal does not know its size, as `rows`. */
  columns?: number;
  rows?: number;
  hasColors?: () => boolean;
}

/** What a command needs of the process that it runs in. */
export interface CommandIo {
  readonly stdin: Readable & { isTTY?: boolean };
  /** `fd` when it is a stream of the operating system. */
  stdout: Output & { fd?: number };
  stderr: Output;
  /** Whether SIGHUP is ignored, so that a command that is run should ignore it, too. */
  ignoresHangUp: boolean;
  /** Calls `listener` at SIGINT, SIGTERM or SIGHUP instead of dying; returns a function that undoes it. */
  onStopSignal(listener: (signal: NodeJS.Signals) => void): () => void;
  /** Calls `listener` with what nobody has caught, rejections included, instead of dying; returns a function that undoes it. */
  onUncaught(listener: (error: unknown) => void): () => void;
  /** Ends the process at once: with an exit code, or killed by a signal to which nobody listens any more. */
  exit(how: number | NodeJS.Signals): void;
}

/** How long output that nobody takes may keep a command that is done, or was told to stop, in milliseconds. */
export const LAST_OUTPUT_MS = 1000;

/** Exit code of what a signal has ended, as a shell counts. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** What to tell a person of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
