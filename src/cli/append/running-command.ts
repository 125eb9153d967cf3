import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { exitCodeOfSignal } from '../io/io.ts';
import { LingeringOutput, openOutputPipe } from './output-pipe.ts';

/** A command that was started, and its output. */
export interface RunningCommand {
  /** Its stdout and stderr, and those of its children, in the order in which they were written. */
  readonly output: Readable;
  /** Its exit code as in a shell: 128 and the signal's number if one killed it. */
  readonly exit: Promise<number>;
  readonly hasExited: boolean;
  /** Whether it has the terminal of this process, which sends Ctrl-C to both. */
  readonly sharesTerminal: boolean;
  kill(signal: NodeJS.Signals): void;
  /** Ends its output with what has been written. To be called when it has exited. */
  endOutput(): void;
  /** Waits for it no longer, so that this process can exit before it. */
  abandon(): void;
}

/** A command that writes to a pipe. */
export class PipedCommand implements RunningCommand {
  readonly output: LingeringOutput;
  readonly exit: Promise<number>;
  readonly sharesTerminal = true;
  readonly #child: ChildProcess;
  #hasExited = false;

  private constructor(child: ChildProcess, output: LingeringOutput, lingerMs: number) {
    this.#child = child;
    this.output = output;
    this.exit = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#hasExited = true;
        output.endSoon(lingerMs);
        resolve(code ?? exitCodeOfSignal(signal as NodeJS.Signals));
      });
    });
  }

  /**
   * Starts a command with this process's standard input.
   *
   * @param lingerMs how long after its exit its output is still read, from processes that it has left behind, in
   *   milliseconds
   * @throws the system's error when it cannot be run, and the errors of {@link openOutputPipe}
   */
  static async start([file, ...args]: readonly string[], lingerMs: number): Promise<PipedCommand> {
    const pipe = await openOutputPipe();
    try {
      const { writeDescriptor } = pipe;
      const child = spawn(file as string, args, { stdio: ['inherit', writeDescriptor, writeDescriptor] });
      const command = new PipedCommand(child, new LingeringOutput(pipe), lingerMs);
      await once(child, 'spawn');
      // A signal that could not be sent: it has exited in the meantime.
      child.on('error', () => {});
      return command;
    } catch (error) {
      pipe.readable.destroy();
      throw error;
    } finally {
      pipe.closeWriteDescriptor();
    }
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  endOutput(): void {
    this.output.endSoon(0);
  }

  abandon(): void {
    this.output.destroy();
    this.#child.unref();
  }
}
