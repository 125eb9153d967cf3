import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { IPty } from '@lydell/node-pty';
import { readAtOnce } from '../io/read-at-once.ts';
import type { StartedCommand } from './started-command.ts';

/** How large a terminal is, in characters. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

/** What the package's terminals have beside what it declares. */
interface Terminal extends IPty {
  /** Of this end. */
  readonly fd: number;
  /** `end`: Node takes for the end what is only the end of a read, once the command has gone. */
  on(event: 'end', listener: () => void): void;
}

/** Runs what follows it on a terminal from which every read comes back at once, with nothing: at its end. */
const WITHOUT_INPUT = ['-c', 'stty -icanon min 0 time 0 2>/dev/null; exec "$@"', 'sh'];

/** From then on a command waits for its reader, in so far as the system holds no more. */
const HIGH_WATER_MARK_BYTES = 64 * 1024;

/** How often it is looked whether a command still runs whose output waits, in milliseconds. */
const LOOK_MS = 20;

const PACKAGE = '@lydell/node-pty';

/** A command on a pseudo-terminal, so that it writes as to a person. Nobody types: its standard input is at its end. */
export class PtyCommand implements StartedCommand {
  readonly output: Readable;
  readonly exit: Promise<number>;
  readonly sharesTerminal = false;
  readonly #terminal: Terminal;
  #hasExited = false;
  #look: NodeJS.Timeout | undefined;

  private constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.output = new Readable({
      highWaterMark: HIGH_WATER_MARK_BYTES,
      read: () => this.#goOn(),
      destroy: (error, callback) => {
        this.#goOn();
        callback(error);
      },
    });
    // Bytes, whatever the type says: it was asked for no encoding.
    terminal.onData((bytes) => {
      if (!this.output.destroyed && !this.output.push(bytes)) this.#hold();
    });
    terminal.on('end', () => {
      for (let bytes = readAtOnce(terminal.fd); bytes.length > 0; bytes = readAtOnce(terminal.fd)) {
        this.output.push(bytes);
      }
    });
    this.exit = new Promise((resolve) => {
      terminal.onExit(({ exitCode, signal }) => {
        this.#hasExited = true;
        this.#goOn();
        this.output.push(null);
        resolve(signal ? 128 + signal : exitCode);
      });
    });
  }

  /**
   * Starts a command.
   *
   * @throws {Error} when there are no pseudo-terminals to be had here
   * @throws the system's error when it cannot be run
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
    // In the child it is too late to tell.
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
      // Ctrl-C is for all that run there.
      process.kill(signal === 'SIGINT' ? -pid : pid, signal);
    } catch {
      // It has exited meanwhile.
    }
  }

  /** It has ended with the terminal. */
  endOutput(): void {}

  abandon(): void {
    this.output.destroy();
  }

  /** Reads no more until it is told to; but what a command has left is read at its end, for it is dropped soon after. */
  #hold(): void {
    if (this.#look !== undefined) return;
    this.#terminal.pause();
    this.#look = setInterval(() => {
      if (!isRunning(this.#terminal.pid)) this.#terminal.resume();
    }, LOOK_MS);
  }

  #goOn(): void {
    clearInterval(this.#look);
    this.#look = undefined;
    this.#terminal.resume();
  }
}

/**
 * Checks that the C library is the one for which the package is built: with
 * another, musl for one, the process would crash.
 *
 * @param report of the process
 * @throws {Error} when it is another
 */
export function assertGlibc(platform: NodeJS.Platform, report: object): void {
  const { header } = report as { header?: { glibcVersionRuntime?: string } };
  if (platform !== 'linux' || header?.glibcVersionRuntime !== undefined) return;
  throw new Error('--pty needs glibc, which this system (Alpine, say) does not have');
}

/** Finds what a shell would run. */
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
