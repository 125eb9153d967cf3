import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { Refusals } from '../../../src/server/node/connections/refusals.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { lendReserve } from './reserves.ts';
import { listenOnFreePort, temporaryDirectory, type UrlSource } from './server.ts';

/** How long a long-poll waits in these tests. */
export const LONG_POLL_MS = 500;

/** A server whose streams outlive it: the next one serves the same root. */
export interface RestartableServer extends UrlSource {
  readonly root: string;
  readonly port: number;
  stop(): Promise<unknown>;
  start(): Promise<void>;
  restart(): Promise<void>;
}

/** The standalone server within this process, closed in order and started again. */
export class InProcessServer implements RestartableServer {
  readonly root: string;
  readonly #options: Partial<HttpfstreamOptions>;
  #running: { app: FastifyInstance; port: number } | undefined;

  constructor(root: string, options: Partial<HttpfstreamOptions> = {}) {
    this.root = root;
    this.#options = options;
  }

  /** Runs one, or one of a `Kind` of it, on a root of its own until the test is over. */
  static async start(
    options: Partial<HttpfstreamOptions> = {},
    Kind = InProcessServer,
  ): Promise<InProcessServer> {
    const server = new Kind(path.join(await temporaryDirectory(), 'root'), options);
    await lendReserve(server.root);
    onTestFinished(() => server.stop());
    await server.start();
    return server;
  }

  get port(): number {
    if (this.#running === undefined) throw new Error('the server does not run');
    return this.#running.port;
  }

  /** What it has refused since it was started. */
  get refusals(): Refusals {
    if (this.#running === undefined) throw new Error('the server does not run');
    return Refusals.of(this.#running.app.server);
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
    this.#running = { app, port: await listenOnFreePort(app) };
  }

  async stop(): Promise<void> {
    await this.#running?.app.close();
    this.#running = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}
