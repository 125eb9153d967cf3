import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import type { UrlSource } from '../streams/stream-peer.ts';
import { temporaryDirectory } from './server.ts';
import { ServerProcess } from './server-process.ts';

/** How long a long-poll waits in these tests. */
export const LONG_POLL_MS = 500;

/** A server whose streams outlive it: the next one serves the same root. */
export interface StreamsServer extends UrlSource {
  readonly root: string;
  readonly port: number;
  stop(): Promise<void>;
  start(): Promise<void>;
  restart(): Promise<void>;
}

/** The standalone server within this process, closed in order and started again. */
export class InProcessServer implements StreamsServer {
  readonly root: string;
  readonly #options: Partial<HttpfstreamOptions>;
  #app: FastifyInstance | undefined;

  constructor(root: string, options: Partial<HttpfstreamOptions>) {
    this.root = root;
    this.#options = options;
  }

  get port(): number {
    if (this.#app === undefined) throw new Error('the server does not run');
    return (this.#app.server.address() as AddressInfo).port;
  }

  url(urlPath: string): string {
    return `http://127.0.0.1:${this.port}${urlPath}`;
  }

  async start(): Promise<void> {
    const app = await createStandaloneServer({
      closeTimeoutMs: 200,
      longPollMs: LONG_POLL_MS,
      ...this.#options,
      root: this.root,
      logger: pino({ level: 'silent' }),
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    this.#app = app;
  }

  async stop(): Promise<void> {
    await this.#app?.close();
    this.#app = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}

/** `httpfstream-server` as a process, killed and started again. Needs the built commands. */
export class KilledServer implements StreamsServer {
  readonly root: string;
  readonly #args: readonly string[];
  #process: ServerProcess | undefined;

  constructor(root: string, args: readonly string[] = []) {
    this.root = root;
    this.#args = args;
  }

  get process(): ServerProcess {
    if (this.#process === undefined) throw new Error('the server does not run');
    return this.#process;
  }

  get port(): number {
    return this.process.port;
  }

  url(urlPath: string): string {
    return this.process.url(urlPath);
  }

  async start(): Promise<void> {
    this.#process = await ServerProcess.launch(this.root, this.#args);
  }

  /** With `kill -9`. */
  async stop(): Promise<void> {
    const stopped = this.#process;
    this.#process = undefined;
    await stopped?.stop('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}

/** Runs the standalone server on a root of its own until the test is over. */
export async function startStreams(options: Partial<HttpfstreamOptions> = {}): Promise<StreamsServer> {
  const server = new InProcessServer(path.join(await temporaryDirectory(), 'root'), options);
  onTestFinished(() => server.stop());
  await server.start();
  return server;
}

/** Runs a server process on a root of its own until the test is over. */
export async function startKilled(args: readonly string[] = []): Promise<KilledServer> {
  const server = new KilledServer(path.join(await temporaryDirectory(), 'root'), args);
  onTestFinished(() => server.stop());
  await server.start();
  return server;
}
