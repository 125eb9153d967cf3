import { rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import {
  createServers,
  createStandaloneServer,
  type Servers,
  type StandaloneOptions,
} from '../../../src/server/standalone.ts';
import { lendReserve, makeDirectory, type Place } from './reserves.ts';

/** Makes URLs; also of a server that listens somewhere else each time it is started. */
export interface UrlSource {
  /** `http://127.0.0.1:PORT` and a path. */
  url(path: string): string;
}

export interface TestServer extends UrlSource {
  app: FastifyInstance;
  /** Directory that holds the files. */
  root: string;
  port: number;
}

/**
 * Makes an empty directory that is gone after the test: in memory, where that can be. There files are made at no cost,
 * which on a disk from which many were deleted shortly before is half of what the system does for a test.
 */
export function temporaryDirectory(): Promise<string> {
  return directoryOfTest('quick');
}

/** The same on the disk: for tests of what is stored and recovered, of disks, and of what must be a file that runs. */
export function diskDirectory(): Promise<string> {
  return directoryOfTest('disk');
}

async function directoryOfTest(place: Place): Promise<string> {
  const directory = await makeDirectory(place);
  // What a test has left behind may still write there for a moment: a checkpoint, say.
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}

/** Lets an application listen on a free port, until the test is over. */
export async function listen(app: FastifyInstance): Promise<Omit<TestServer, 'root'>> {
  const port = await listenOnFreePort(app);
  onTestFinished(() => app.close());
  return { app, port, url: (urlPath) => `http://127.0.0.1:${port}${urlPath}` };
}

/** What the plugin is registered with. */
export type PluginOptions = Partial<HttpfstreamOptions> & { prefix?: string };

/** Runs the plugin in an application on a free port, until the test is over. */
export async function startServer(options: PluginOptions = {}): Promise<TestServer> {
  const root = options.root ?? (await temporaryDirectory());
  if (options.root === undefined) await lendReserve(root);
  return { ...(await listen(await createPluginServer(root, options))), root };
}

/** To be closed by the caller. */
export async function createPluginServer(root: string, options: PluginOptions): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(httpfstream, { closeTimeoutMs: 200, ...options, root });
  return app;
}

/** Runs the standalone server on a free port, until the test is over. */
export async function startStandalone(): Promise<TestServer> {
  const root = path.join(await temporaryDirectory(), 'root');
  await lendReserve(root);
  const app = await createSilentStandalone(root);
  const server = await listen(app);
  cutConnectionsAfterTest(app);
  return { ...server, root };
}

/** To be closed by the caller. */
export function createSilentStandalone(
  root: string,
  options: Partial<HttpfstreamOptions> = {},
): Promise<FastifyInstance> {
  return createStandaloneServer({ ...options, root, logger: pino({ level: 'silent' }) });
}

/** Runs the standalone server, and the one for who runs it, on free ports, until the test is over. */
export async function startServers(
  options: Partial<StandaloneOptions> = {},
): Promise<TestServer & { admin: UrlSource } & Pick<Servers, 'changeLimits'>> {
  const root = path.join(await temporaryDirectory(), 'root');
  await lendReserve(root);
  const { app, admin, changeLimits } = await createServers({
    ...{ root, logger: pino({ level: 'silent' }), closeTimeoutMs: 200 },
    ...options,
  });
  const server = await listen(app);
  const port = await listenOnFreePort(admin);
  return { ...server, root, changeLimits, admin: { url: (urlPath) => `http://127.0.0.1:${port}${urlPath}` } };
}

/** Keeps a connection that the server forgot from holding up the end of the test. */
export function cutConnectionsAfterTest(app: FastifyInstance): void {
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
}

/** Resolves with the port. To be closed by the caller. */
export async function listenOnFreePort(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}
