import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';

export interface TestServer {
  app: FastifyInstance;
  /** Directory that holds the files. */
  root: string;
  port: number;
  /** `http://127.0.0.1:PORT` and a path. */
  url(path: string): string;
}

/** Makes an empty directory that is gone after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-test-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs the plugin in an application on a free port, until the test is over. */
export async function startServer(
  options: Partial<HttpfstreamOptions> & { prefix?: string } = {},
): Promise<TestServer> {
  const root = options.root ?? (await temporaryDirectory());
  const app = Fastify();
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root });
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return { app, root, port, url: (path) => `http://127.0.0.1:${port}${path}` };
}
