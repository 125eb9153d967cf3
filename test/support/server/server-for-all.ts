import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { beforeAll } from 'vitest';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { makeDirectory } from './reserves.ts';
import {
  createPluginServer,
  createSilentStandalone,
  listenOnFreePort,
  type PluginOptions,
  startServer,
  type TestServer,
  type UrlSource,
} from './server.ts';

/** A directory of a server, as if it was the root. */
export interface OwnDirectory extends UrlSource {
  root: string;
  /** A path in the whole server, from one in the directory. */
  path(urlPath: string): string;
}

/** Where a test has paths and files that are nobody else's. The directory is not made. */
export function ownDirectory(server: UrlSource & { readonly root: string }): OwnDirectory {
  const name = randomUUID();
  const below = (urlPath: string) => `/${name}${urlPath}`;
  return { root: path.join(server.root, name), path: below, url: (urlPath) => server.url(below(urlPath)) };
}

/** One server for many tests. */
export interface ServerForAll {
  /** All of it, for tests that need a path as it is, and neither change what others see nor mind what they do. */
  readonly whole: TestServer;
  /** Makes a directory for a test: what it does there nobody else sees. */
  guest(): Promise<TestServer & OwnDirectory>;
}

/**
 * Runs the plugin for all tests of the file, or of the `describe`, that calls this: to start a server takes longer than
 * what most tests do with it. Not for those that close it, or look at what it has as a whole: connections, descriptors,
 * all names in the root.
 */
export function serverForAll(options: PluginOptions = {}): ServerForAll {
  return runForAll((root) => createPluginServer(root, options));
}

/** Where a path is asked for as it is: as a guest, but for the root and what is reserved in it, which are no guest's. */
export function guestFor(common: ServerForAll, urlPath: string): Promise<TestServer> {
  return urlPath === '/' || urlPath.startsWith('/.') ? startServer() : common.guest();
}

/** The same with the standalone server. */
export function standaloneForAll(options: Partial<HttpfstreamOptions> = {}): ServerForAll {
  return runForAll((root) => createSilentStandalone(root, { closeTimeoutMs: 200, ...options }));
}

function runForAll(create: (root: string) => Promise<FastifyInstance>): ServerForAll {
  let running: TestServer | undefined;
  const whole = () => {
    if (running === undefined) throw new Error('it runs for tests only');
    return running;
  };
  beforeAll(async () => {
    const directory = await makeDirectory('quick');
    const root = path.join(directory, 'root');
    await mkdir(root);
    const app = await create(root);
    const port = await listenOnFreePort(app);
    running = { app, port, root, url: (urlPath) => `http://127.0.0.1:${port}${urlPath}` };
    return async () => {
      await app.close();
      await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    };
  });
  return {
    get whole() {
      return whole();
    },
    async guest() {
      const own = ownDirectory(whole());
      await mkdir(own.root);
      return { ...whole(), ...own };
    },
  };
}
