import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { waitFor } from '../wait-for.ts';

/** PATH with the running Node first, so that `node` in a child is the same version. */
export const PATH = `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`;

export interface ProgramOptions {
  /** Default: this process's. */
  cwd?: string;
  /** The whole environment. Default: this process's, with {@link PATH}. */
  env?: NodeJS.ProcessEnv;
}

export interface Ended {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
}

export interface StartedProgram {
  /** None when it could not be started. */
  pid: number | undefined;
  stdin: Writable;
  /** What it wrote to stdout so far. */
  stdout(): Buffer;
  ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a program, which is killed at the end of the test if it still runs then. */
export function startProgram(command: string, args: readonly string[], options: ProgramOptions = {}) {
  const { program, end } = startProgramForAll(command, args, options);
  onTestFinished(end);
  return program;
}

/** The same for many tests, in a `beforeAll`, which is to call `end` after them. */
export function startProgramForAll(command: string, args: readonly string[], options: ProgramOptions = {}) {
  const program = launch(command, args, options, false);
  const end = async () => {
    program.kill('SIGKILL');
    await program.ended.catch(() => undefined);
  };
  return { program, end };
}

/** Removes what packages are installed in: Node takes four times as long for thousands of files. */
export async function removeTree(directory: string): Promise<void> {
  await runSuccessfully('rm', ['-rf', directory]);
}

/** Runs a program to its end, with nothing on stdin; kills it and its children when it hangs. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Ended> {
  const program = launch(command, args, options, true);
  program.stdin.end();
  const timer = setTimeout(() => program.kill('SIGKILL'), PATIENCE_MS);
  try {
    return await program.ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Like {@link runProgram}, but rejects unless it exits with 0. Resolves to what it wrote to stdout. */
export async function runSuccessfully(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const { exitCode, signal, stdout, stderr } = await runProgram(command, args, options);
  if (exitCode === 0) return stdout.toString();
  throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? exitCode}:\n${stdout}${stderr}`);
}

/** Resolves to the port that a started server logs. */
export async function loggedPort(server: StartedProgram): Promise<number> {
  const port = () => /Server listening at http:\/\/[^"\s]+:(\d+)/.exec(server.stdout().toString())?.[1];
  await Promise.race([waitFor(() => port() !== undefined, 'the server to listen'), server.ended]);
  if (port() === undefined) {
    const { exitCode, stderr } = await server.ended;
    throw new Error(`the server ended with ${exitCode} and did not listen: ${stderr}`);
  }
  return Number(port());
}

/** With `asGroup`, its signals reach its children too, but Ctrl-C in the terminal does not reach it. */
function launch(
  command: string,
  args: readonly string[],
  { cwd = process.cwd(), env = { ...process.env, PATH } }: ProgramOptions,
  asGroup: boolean,
): StartedProgram {
  const child = spawn(command, args, { cwd, env, detached: asGroup });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program may end before it has read everything.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) =>
      resolve({ exitCode, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
    );
  });
  ended.catch(() => undefined);
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: () => Buffer.concat(stdout),
    ended,
    kill: (signal) => {
      const isRunning = child.exitCode === null && child.signalCode === null;
      if (child.pid !== undefined && isRunning) process.kill(asGroup ? -child.pid : child.pid, signal);
    },
  };
}
