import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { IPty } from '@lydell/node-pty';
import { readAvailable } from './output-pipe.ts';
import type { RunningCommand } from './running-command.ts';

/** Size of a terminal, in characters. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

/** The package's terminals, with members that it does not declare. */
interface Terminal extends IPty {
  /** Descriptor of this end. */
  readonly fd: number;
  /** Node emits `end` after one more read, once the command has exited: there may be more to read. */
  on(event: 'end', listener: () => void): void;
}

/** Runs a command on a terminal where every read returns at once with nothing, as at the end of a file. */
const WITHOUT_INPUT = ['-c', 'stty -icanon min 0 time 0 2>/dev/null; exec "$@"', 'sh'];

/** From this many bytes on, the command has to wait for the reader, once the system's buffer is full. */
const HIGH_WATER_MARK_BYTES = 64 * 1024;

/** How often to check whether a command whose output is paused still runs. */
const CHECK_MS = 20;

const PACKAGE = '@lydell/node-pty';

/** A command on a pseudo-terminal, so that it writes as to a person. Its standard input is at its end. */
export class PtyCommand implements RunningCommand {
  readonly output: Readable;
  readonly exit: Promise<number>;
  readonly sharesTerminal = false;
  readonly #terminal: Terminal;
  #hasExited = false;
  #check: NodeJS.Timeout | undefined;

  private constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.output = new Readable({
      highWaterMark: HIGH_WATER_MARK_BYTES,
      read: () => this.#resume(),
      destroy: (error, callback) => {
        this.#resume();
        callback(error);
      },
    });
    // Buffers, whatever the type says, since the encoding is null.
    terminal.onData((bytes) => {
      if (!this.output.destroyed && !this.output.push(bytes)) this.#pause();
    });
    terminal.on('end', () => {
      for (let bytes = readAvailable(terminal.fd); bytes.length > 0; bytes = readAvailable(terminal.fd)) {
        this.output.push(bytes);
      }
    });
    this.exit = new Promise((resolve) => {
      terminal.onExit(({ exitCode, signal }) => {
        this.#hasExited = true;
        this.#resume();
        this.output.push(null);
        resolve(signal ? 128 + signal : exitCode);
      });
    });
  }

  /**
   * Starts a command.
   *
   * @throws {Error} when there are no pseudo-terminals on this system
   * @throws the system's error when the command cannot be run
   */
  static async start([file, ...args]: readonly string[], size: TerminalSize): Promise<PtyCommand> {
    assertGlibc(process.platform, process.report.getReport());
    const { spawn } = await import('@lydell/node-pty').catch((cause: NodeJS.ErrnoException) => {
      const isMissing = cause.code === 'ERR_MODULE_NOT_FOUND';
      const trouble = isMissing
        ? 'is not installed'
        : `cannot be loaded (${cause.message.split('\n', 1)[0]})`;
      throw new Error(`--pty needs the optional package ${PACKAGE}, which ${trouble}`, { cause });
    });
    // The child could not report that it is missing.
    const program = await findProgram(file as string);
    const terminal = spawn('sh', [...WITHOUT_INPUT, program, ...args], {
      name: process.env.TERM || 'xterm-256color',
      cols: size.columns,
      rows: size.rows,
      encoding: null,
    });
    return new PtyCommand(terminal as Terminal);
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  kill(signal: NodeJS.Signals): void {
    const { pid } = this.#terminal;
    try {
      // Ctrl-C goes to the whole process group.
      process.kill(signal === 'SIGINT' ? -pid : pid, signal);
    } catch {
      // It has exited in the meantime.
    }
  }

  /** It has ended already, with the terminal. */
  endOutput(): void {}

  abandon(): void {
    this.output.destroy();
  }

  /** Stops reading until the output is wanted, or the command has exited: what is left would soon be dropped. */
  #pause(): void {
    if (this.#check !== undefined) return;
    this.#terminal.pause();
    this.#check = setInterval(() => {
      if (!isRunning(this.#terminal.pid)) this.#terminal.resume();
    }, CHECK_MS);
  }

  #resume(): void {
    clearInterval(this.#check);
    this.#check = undefined;
    this.#terminal.resume();
  }
}

/**
 * Checks that the C library is glibc, for which the package is built: with another
 * one, such as musl, the process would crash.
 *
 * @param report Node's report of the process
 * @throws {Error} when it is another
 */
export function assertGlibc(platform: NodeJS.Platform, report: object): void {
  const { header } = report as { header?: { glibcVersionRuntime?: string } };
  if (platform !== 'linux' || header?.glibcVersionRuntime !== undefined) return;
  throw new Error('--pty needs glibc, which this system (Alpine, say) does not have');
}

/** Finds a program as a shell does. */
async function findProgram(file: string): Promise<string> {
  if (file.includes('/')) {
    await assertExecutable(file);
    return file;
  }
  let failure: unknown = Object.assign(new Error('command not found'), { code: 'ENOENT' });
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    const name = path.join(directory, file);
    try {
      await assertExecutable(name);
      return name;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') failure = error;
    }
  }
  throw failure;
}

async function assertExecutable(name: string): Promise<void> {
  await access(name, constants.X_OK);
  if (!(await stat(name)).isFile()) {
    throw Object.assign(new Error(`EACCES: ${name} is no file`), { code: 'EACCES' });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
