import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { CommandIo } from '../../src/cli/io.ts';
import { temporaryDirectory } from '../support/server.ts';
import { waitFor } from '../support/wait-for.ts';

export type CommandName = 'httpfstream-server' | 'httpfstream-append' | 'httpfstream-follow';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A built command as a child process; killed at the end of the test if it still runs. */
export class RunningCommand {
  readonly child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
  /** Exit code, or the name of the signal that killed it, once all output has come. */
  readonly exit: Promise<number | NodeJS.Signals>;
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];
  #hasExited = false;

  constructor(name: CommandName, args: readonly string[], { env = {}, cwd }: CommandOptions = {}) {
    const child = spawn(process.execPath, [path.join(PROJECT, `dist/bin/${name}.js`), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...env },
      ...(cwd !== undefined && { cwd }),
    });
    this.child = child;
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (bytes: Buffer) => this.#out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => this.#err.push(bytes));
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

  get stdout(): Buffer {
    return Buffer.concat(this.#out);
  }

  get stdoutBytes(): number {
    return this.#out.reduce((sum, { length }) => sum + length, 0);
  }

  get stderr(): string {
    return Buffer.concat(this.#err).toString();
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

/** Runs a command to its end in this process, which is much quicker: for what has nothing to do with a process. */
export async function runHere(
  command: (argv: readonly string[], io: CommandIo) => Promise<number>,
  argv: readonly string[],
): Promise<{ exit: number; stdout: string; stderr: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([text(stdout), text(stderr)]);
  const undo = () => () => undefined;
  const io = { stdin: Readable.from([]), stdout, stderr, onStopSignal: undo, onUncaught: undo, exit: undo };
  const exit = await command(argv, io);
  stdout.end();
  stderr.end();
  const [out, err] = await texts;
  return { exit, stdout: out, stderr: err };
}

/** Resolves with the port on which a server command listens. */
export async function portOf(server: RunningCommand): Promise<number> {
  const pattern = /listening at http:\/\/[^"\s]*:(\d+)/;
  await waitFor(() => {
    if (server.hasExited) throw new Error(`the server has exited: ${server.stderr}`);
    return pattern.test(server.stdout.toString());
  }, 'the server to listen');
  return Number(pattern.exec(server.stdout.toString())?.[1]);
}

/** Runs a server command on a free port and an empty root, until the test is over. */
export async function startServerCommand(...args: string[]) {
  const root = await temporaryDirectory();
  const command = new RunningCommand('httpfstream-server', [`-root=${root}`, '-http=127.0.0.1:0', ...args]);
  const port = await portOf(command);
  return {
    command,
    root,
    port,
    url: (urlPath: string) => `http://127.0.0.1:${port}${urlPath}`,
    file: (name: string) => path.join(root, name),
  };
}
