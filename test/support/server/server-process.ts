import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';

const SERVER = fileURLToPath(new URL('../../../dist/bin/httpfstream-server.js', import.meta.url));

/** `httpfstream-server` as a process of its own, on a free port. */
export class ServerProcess {
  readonly child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  /** Like {@link launch}, but it is killed after the test if it still runs. */
  static async start(...args: Parameters<typeof ServerProcess.launch>): Promise<ServerProcess> {
    const server = await ServerProcess.launch(...args);
    onTestFinished(() => {
      server.child.kill('SIGKILL');
    });
    return server;
  }

  /**
   * Starts it, with more arguments if need be, also for Node, and waits until it
   * listens. To be stopped by the caller.
   *
   * @param options.descriptors how many it may have; default: as many as this process
   * @throws when it does not listen; it does not run then
   */
  static async launch(
    root: string,
    args: readonly string[] = [],
    nodeArgs: readonly string[] = [],
    { descriptors }: { descriptors?: number } = {},
  ): Promise<ServerProcess> {
    const command = [...nodeArgs, SERVER, '-root', root, '-http', '127.0.0.1:0', ...args];
    const limit = descriptors === undefined ? '' : `ulimit -n ${descriptors}; `;
    const child = spawn('sh', ['-c', `${limit}exec "$0" "$@"`, process.execPath, ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const hung = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    try {
      for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
        const port = /listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port === undefined) continue;
        child.stdout?.resume();
        return new ServerProcess(child, Number(port));
      }
    } finally {
      clearTimeout(hung);
    }
    throw new Error('the server ended before it listened');
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Sends a signal and resolves with how the process ended: its exit code or the signal's name. */
  async stop(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    const { child } = this;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill(signal);
    await exited;
    return child.exitCode ?? (child.signalCode as NodeJS.Signals);
  }

  /** Resident memory, in MiB. Linux only. */
  residentMiB(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  }

  /** How many file descriptors it has open. Linux only. */
  descriptorCount(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }
}
