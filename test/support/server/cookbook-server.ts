import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('../../../dist/bin/httpfstream-server.js', import.meta.url));

/** `httpfstream-server` as a process of its own, for all tests of a file. */
export interface CookbookServer {
  /** `http://127.0.0.1:PORT` */
  address: string;
  /** Closes it; kills it when that takes too long. */
  stop(): Promise<void>;
}

/** Starts it on a free port, and waits until it listens. */
export async function startCookbookServer(root: string): Promise<CookbookServer> {
  const child = spawn(process.execPath, [SERVER, '-root', root, '-http', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (address === undefined) continue;
    child.stdout.resume();
    return { address, stop: () => stop(child) };
  }
  throw new Error('the server ended before it listened');
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}
