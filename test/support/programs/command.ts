import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { CommandIo } from '../../../src/cli/io/io.ts';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { lendReserve } from '../server/reserves.ts';
import { temporaryDirectory } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';

export type CommandName = 'httpfstream-server' | 'httpfstream-append' | 'httpfstream-follow';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Whether the test reads standard output on its own, and nothing of it is kept. Default false. */
  readsStdout?: boolean;
}

/** A command that was started, and what it has written. */
abstract class StartedCommand {
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];

  get stdout(): Buffer {
    return Buffer.concat(this.#out);
  }

  get stdoutBytes(): number {
    return this.#out.reduce((sum, { length }) => sum + length, 0);
  }

  get stderr(): string {
    return Buffer.concat(this.#err).toString();
  }

  protected keepStdout(stdout: Readable): void {
    stdout.on('data', (bytes: Buffer) => this.#out.push(bytes));
  }

  protected keepStderr(stderr: Readable): void {
    stderr.on('data', (bytes: Buffer) => this.#err.push(bytes));
  }
}

/** A built command as a child process; killed at the end of the test if it still runs. */
export class RunningCommand extends StartedCommand {
  readonly child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
  /** Exit code, or the name of the signal that killed it, once all output has come. */
  readonly exit: Promise<number | NodeJS.Signals>;
  #hasExited = false;

  constructor(
    name: CommandName,
    args: readonly string[],
    { env = {}, cwd, readsStdout = false }: CommandOptions = {},
  ) {
    super();
    const child = spawn(process.execPath, [path.join(PROJECT, `dist/bin/${name}.js`), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...env },
      ...(cwd !== undefined && { cwd }),
    });
    this.child = child;
    child.stdin.on('error', () => undefined);
    if (!readsStdout) this.keepStdout(child.stdout);
    this.keepStderr(child.stderr);
    this.exit = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#hasExited = true;
        resolve(code ?? (signal as NodeJS.Signals));
      });
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** The most memory that the process ever had, in bytes. It must still run. */
  async peakMemoryBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** Runs a command to its end, with everything that it is to read. */
export async function run(
  name: CommandName,
  args: readonly string[],
  { input = '', ...options }: CommandOptions & { input?: string | Uint8Array } = {},
): Promise<{ exit: number | NodeJS.Signals; stdout: string; stderr: string; bytes: Buffer }> {
  const command = new RunningCommand(name, args, options);
  command.child.stdin.end(input);
  const exit = await command.exit;
  return { exit, stdout: command.stdout.toString(), stderr: command.stderr, bytes: command.stdout };
}

type Command = (argv: readonly string[], io: CommandIo) => Promise<number>;

/**
 * A command that runs in this process, which is much quicker: for what has nothing to do with a process. At the end of
 * the test it is told to stop if it still runs.
 */
export class CommandHere extends StartedCommand {
  readonly stdin = new PassThrough();
  /** Its exit code, once all output has come. */
  readonly exit: Promise<number>;
  readonly #stdout = new PassThrough();
  readonly #stderr = new PassThrough();
  readonly #stopListeners = new Set<(signal: NodeJS.Signals) => void>();
  #hasExited = false;

  /** @param isTTY whether it is to take its standard output for a terminal */
  constructor(command: Command, argv: readonly string[], { isTTY = false }: { isTTY?: boolean } = {}) {
    super();
    this.keepStdout(this.#stdout);
    this.keepStderr(this.#stderr);
    this.exit = this.#run(command, argv, isTTY);
    onTestFinished(async () => {
      this.#tell('SIGTERM');
      await this.exit;
    });
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Calls what listens to the signal, which would kill a process where nothing does. */
  signal(signal: NodeJS.Signals): void {
    if (this.#stopListeners.size === 0) throw new Error(`nothing listens to ${signal}`);
    this.#tell(signal);
  }

  async #run(command: Command, argv: readonly string[], isTTY: boolean): Promise<number> {
    const io: CommandIo = {
      stdin: this.stdin,
      stdout: Object.assign(this.#stdout, { isTTY }),
      stderr: this.#stderr,
      ignoresHangUp: false,
      isAtTerminal: isTTY,
      onStopSignal: (listener) => {
        this.#stopListeners.add(listener);
        return () => void this.#stopListeners.delete(listener);
      },
      onUncaught: () => () => undefined,
      exit: (how) => {
        throw new Error(`it would have ended this process: ${how}`);
      },
    };
    const exit = await command(argv, io);
    await Promise.all([this.#stdout, this.#stderr].map((stream) => finished(stream.end())));
    this.#hasExited = true;
    return exit;
  }

  #tell(signal: NodeJS.Signals): void {
    for (const listener of this.#stopListeners) listener(signal);
  }
}

/** Runs a command to its end in this process, with everything that it is to read. */
export async function runHere(
  command: Command,
  argv: readonly string[],
  { input = '' }: { input?: string | Uint8Array } = {},
): Promise<{ exit: number; stdout: string; stderr: string }> {
  const running = new CommandHere(command, argv);
  running.stdin.end(input);
  const exit = await running.exit;
  return { exit, stdout: running.stdout.toString(), stderr: running.stderr };
}

/** Resolves with the port on which a server command listens. */
export async function portOf(server: RunningCommand | CommandHere): Promise<number> {
  const pattern = /listening at https?:\/\/[^"\s]*:(\d+)/;
  await waitFor(() => {
    if (server.hasExited) throw new Error(`the server has exited: ${server.stderr}`);
    return pattern.test(server.stdout.toString());
  }, 'the server to listen');
  return Number(pattern.exec(server.stdout.toString())?.[1]);
}

/** Runs a server command on a free port and an empty root, until the test is over. */
export function startServerCommand(...args: string[]) {
  return startOnFreePort((argv) => new RunningCommand('httpfstream-server', argv), args);
}

/** The same in this process. */
export function startServerHere(...args: string[]) {
  return startOnFreePort((argv) => new CommandHere(runServer, argv), args);
}

async function startOnFreePort<C extends RunningCommand | CommandHere>(
  start: (argv: readonly string[]) => C,
  args: readonly string[],
) {
  const root = await temporaryDirectory();
  await lendReserve(root);
  // Nobody here uses a connection again while a server closes, unless a test is about that.
  const command = start([`-root=${root}`, '-http=127.0.0.1:0', '-drain=0', ...args]);
  const port = await portOf(command);
  return {
    command,
    root,
    port,
    url: (urlPath: string) => `http://127.0.0.1:${port}${urlPath}`,
    file: (name: string) => path.join(root, name),
  };
}
