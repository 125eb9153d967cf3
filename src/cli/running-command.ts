import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { type CommandIo, exitCodeOfSignal } from './io.ts';
import { openOutputPipe } from './output-pipe.ts';

/** Runs a command that ignores SIGHUP, as Node alone cannot: it sets all signals back for whatever it starts. */
const IGNORING_HANG_UP = ['sh', '-c', 'trap \'\' HUP; exec "$@"', 'sh'];

/** A command that runs, and all that it writes. */
export class RunningCommand {
  /** Its stdout and stderr in the order in which they were written, its children's too. */
  readonly output: Readable;
  /** Its exit code, as a shell counts: 128 and the signal's number when one killed it. */
  readonly exit: Promise<number>;
  readonly #child: ChildProcess;
  #hasExited = false;

  private constructor(child: ChildProcess, output: Readable) {
    this.#child = child;
    this.output = output;
    this.exit = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#hasExited = true;
        resolve(code ?? exitCodeOfSignal(signal as NodeJS.Signals));
      });
    });
  }

  /**
   * Starts a command with this process's standard input.
   *
   * @throws the system's error when it cannot be run, and what {@link openOutputPipe} throws
   */
  static async start(
    commandLine: readonly string[],
    { ignoresHangUp }: Pick<CommandIo, 'ignoresHangUp'>,
  ): Promise<RunningCommand> {
    const [file, ...args] = ignoresHangUp ? [...IGNORING_HANG_UP, ...commandLine] : commandLine;
    const pipe = await openOutputPipe();
    try {
      const { writeDescriptor } = pipe;
      const child = spawn(file as string, args, { stdio: ['inherit', writeDescriptor, writeDescriptor] });
      const command = new RunningCommand(child, pipe.readable);
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

  /** Waits for it no more, so that this process can end before it. */
  abandon(): void {
    this.output.destroy();
    this.#child.unref();
  }
}
