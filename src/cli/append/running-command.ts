import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { exitCodeOfSignal } from '../io/io.ts';
import { openOutputPipe } from '../io/output-pipe.ts';
import { LingeringOutput } from './lingering-output.ts';
import type { StartedCommand } from './started-command.ts';

/** A command that writes to a pipe. */
export class RunningCommand implements StartedCommand {
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
   * @param lingerMs how long after its end its output is taken from those whom it has left behind, in milliseconds
   * @throws the system's error when it cannot be run, and what {@link openOutputPipe} throws
   */
  static async start([file, ...args]: readonly string[], lingerMs: number): Promise<RunningCommand> {
    const pipe = await openOutputPipe();
    try {
      const { writeDescriptor } = pipe;
      const child = spawn(file as string, args, { stdio: ['inherit', writeDescriptor, writeDescriptor] });
      const command = new RunningCommand(child, new LingeringOutput(pipe), lingerMs);
      await once(child, 'spawn');
      // A signal that could not be sent: it has exited meanwhile.
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
