import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createStandaloneServer, type StandaloneOptions } from '../../../src/server/standalone.ts';
import { lendReserve } from '../server/reserves.ts';
import { listenOnFreePort, temporaryDirectory } from '../server/server.ts';

/** A server that comes back at the address where it was: a page goes nowhere else. */
export class ViewerServer {
  readonly root: string;
  readonly #options: Partial<StandaloneOptions>;
  #app: FastifyInstance | undefined;
  #port = 0;

  private constructor(root: string, options: Partial<StandaloneOptions>) {
    this.root = root;
    this.#options = options;
  }

  /** Runs one on a root of its own, until the test is over. */
  static async start(options: Partial<StandaloneOptions> = {}): Promise<ViewerServer> {
    const server = new ViewerServer(path.join(await temporaryDirectory(), 'root'), options);
    await lendReserve(server.root);
    onTestFinished(() => server.stop());
    await server.start();
    return server;
  }

  url(urlPath: string): string {
    return `http://127.0.0.1:${this.#port}${urlPath}`;
  }

  async start(): Promise<void> {
    const logger = pino({ level: 'silent' });
    this.#app = await createStandaloneServer({
      closeTimeoutMs: 200,
      ...this.#options,
      root: this.root,
      logger,
    });
    if (this.#port === 0) this.#port = await listenOnFreePort(this.#app);
    else await this.#app.listen({ host: '127.0.0.1', port: this.#port });
  }

  async stop(): Promise<void> {
    await this.#app?.close();
    this.#app = undefined;
  }
}
