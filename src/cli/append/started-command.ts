import type { Readable } from 'node:stream';

/** A command that was started, and all that it writes. */
export interface StartedCommand {
  /** Its stdout and stderr in the order in which they were written, its children's too, while it runs and shortly after. */
  readonly output: Readable;
  /** Its exit code, as a shell counts: 128 and the signal's number when one killed it. */
  readonly exit: Promise<number>;
  readonly hasExited: boolean;
  /** Whether the terminal that tells this process of Ctrl-C tells the command, too. */
  readonly sharesTerminal: boolean;
  kill(signal: NodeJS.Signals): void;
  /** Takes what is in its output now, and nothing more. To be called when it has exited. */
  endOutput(): void;
  /** Waits for it no more, so that this process can end before it. */
  abandon(): void;
}
