import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import type { HeldSocket } from './held-socket.ts';
import type { RestartableServer } from './restartable-server.ts';

const SERVER = fileURLToPath(new URL('../../../dist/bin/httpfstream-server.js', import.meta.url));

export interface ProcessOptions {
  /** Arguments for Node. */
  nodeArgs?: readonly string[];
  /** How many file descriptors it may have. Default: as many as this process. */
  descriptors?: number;
  /** A listening socket that the test holds, and hands over. Default: it opens one of its own. */
  held?: HeldSocket;
  /** Called with each line that it logs until it listens. */
  log?: (line: string) => void;
}

/** `httpfstream-server` as a process of its own, on a free port. Needs the built commands. */
export class ServerProcess implements RestartableServer {
  readonly root: string;
  readonly #args: readonly string[];
  readonly #options: ProcessOptions;
  #running: { child: ChildProcess; port: number } | undefined;

  constructor(root: string, args: readonly string[] = [], options: ProcessOptions = {}) {
    this.root = root;
    this.#args = args;
    this.#options = options;
  }

  /** Starts one; it is killed after the test if it still runs. */
  static async start(...args: ConstructorParameters<typeof ServerProcess>): Promise<ServerProcess> {
    const server = new ServerProcess(...args);
    onTestFinished(() => void server.#running?.child.kill('SIGKILL'));
    await server.start();
    return server;
  }

  /** The one that runs, or did last. */
  get child(): ChildProcess {
    return this.#last.child;
  }

  get port(): number {
    return this.#last.port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /**
   * Starts it and waits until it listens. To be stopped by the caller.
   *
   * @throws when it does not listen; it does not run then
   */
  async start(): Promise<void> {
    const { nodeArgs = [], descriptors, held, log } = this.#options;
    const fixed = ['-root', this.root, '-http', '127.0.0.1:0', '-drain=0'];
    const command = [...nodeArgs, SERVER, ...fixed, ...this.#args];
    const limit = descriptors === undefined ? '' : `ulimit -n ${descriptors}; `;
    const handOver = held === undefined ? '' : 'export LISTEN_PID=$$ LISTEN_FDS=1; ';
    const child = spawn('sh', ['-c', `${limit}${handOver}exec "$0" "$@"`, process.execPath, ...command], {
      stdio: ['ignore', 'pipe', 'inherit', ...(held === undefined ? [] : [held.fd])],
    }) as ChildProcess & { stdout: Readable };
    const hung = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        log?.(line);
        const port = /listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port === undefined) continue;
        child.stdout.resume();
        this.#running = { child, port: Number(port) };
        return;
      }
    } finally {
      clearTimeout(hung);
    }
    throw new Error('the server ended before it listened');
  }

  /** Sends a signal and resolves with how the process ended: its exit code or the signal's name. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | NodeJS.Signals> {
    const { child } = this;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill(signal);
    await exited;
    return child.exitCode ?? (child.signalCode as NodeJS.Signals);
  }

  /** Kills it, and starts it again. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Resident memory, in MiB. Linux only. */
  residentMiB(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  /** How many file descriptors it has open. Linux only. */
  descriptorCount(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  get #last(): { child: ChildProcess; port: number } {
    if (this.#running === undefined) throw new Error('the server was not started');
    return this.#running;
  }
}
