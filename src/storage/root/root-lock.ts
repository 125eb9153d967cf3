import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RootInUseError } from '../../wire/errors.ts';
import { makeDirectories } from '../file-io.ts';
import type { Report } from '../report.ts';
import { OWN_DIRECTORY_MODE } from './own-directory.ts';

/** Longest name of a socket that every system takes. */
const MAX_SOCKET_PATH_BYTES = 103;

/** How often to try, since another one that tries at the same moment is in the way, too, … */
const MAX_ATTEMPTS = 8;

/** … and for how long at most to wait in between. */
const MAX_PAUSE_MS = 100;

/** How often to look whether another server still uses a root that is waited for. */
const LOOK_INTERVAL_MS = 50;

/** What connecting says of a socket at which nobody listens any more. */
const DEAD_CODES = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'];

/**
 * Keeps a root for one server at a time; two would destroy each other's
 * journal. Each listens at a socket of its own in a directory that all who use the
 * root look into: the system ends that with the process, however it ends, and it
 * is seen from other containers on the same machine, but not from other machines.
 */
export class RootLock {
  readonly #server: Server | undefined;
  readonly #name: string;

  private constructor(server: Server | undefined, name: string) {
    this.#server = server;
    this.#name = name;
  }

  /**
   * Locks a root until {@link release}, or the end of the process, which the lock does not hold up.
   * Where that cannot be done it is reported, and the root is used all the same.
   *
   * @param directory for the sockets, absolute; made if it is missing
   * @param options.root how people call the root
   * @param options.waitMs for how long another server may use it before this one gives up. Default 0
   * @throws {RootInUseError} when another server uses the root
   */
  static async acquire(
    directory: string,
    { root, report, waitMs = 0 }: { root: string; report: Report; waitMs?: number },
  ): Promise<RootLock> {
    const waitUntil = performance.now() + waitMs;
    let lock: RootLock | undefined;
    try {
      await makeDirectories(directory, OWN_DIRECTORY_MODE);
      const handle = await fs.promises.open(directory, 'r');
      try {
        lock = await RootLock.#tryOften(directory, handle.fd);
        if (lock === undefined && waitMs > 0)
          report('another server uses the root: waiting for it', { root });
        while (lock === undefined && performance.now() < waitUntil) {
          await delay(LOOK_INTERVAL_MS);
          // To try leaves a name there for a moment, at which others who try stumble.
          if (await isAlone(directory, handle.fd, '')) lock = await RootLock.#tryOften(directory, handle.fd);
        }
      } finally {
        await handle.close();
      }
    } catch (error) {
      report('the root cannot be locked: see to it that no other server uses it', {
        root,
        reason: String(error),
      });
      return new RootLock(undefined, '');
    }
    if (lock === undefined) throw inUse(root);
    return lock;
  }

  /**
   * Finds out, without a lock and without making anything, whether another server uses a root.
   *
   * @throws {RootInUseError} when that is so, as far as it can be known
   */
  static async assertFree(directory: string, root: string): Promise<void> {
    const handle = await fs.promises.open(directory, 'r').catch(() => undefined);
    try {
      const isFree = handle === undefined || (await isAlone(directory, handle.fd, '').catch(() => true));
      if (!isFree) throw inUse(root);
    } finally {
      await handle?.close();
    }
  }

  /** Lets others have the root. Never rejects. */
  async release(): Promise<void> {
    if (this.#server === undefined) return;
    await fs.promises.rm(this.#name, { force: true }).catch(() => undefined);
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  static async #tryOften(directory: string, fd: number): Promise<RootLock | undefined> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
      const lock = await RootLock.#tryOnce(directory, fd).catch(async (error) => {
        // Who cannot be seen can see.
        if (await isAlone(directory, fd, '')) throw error;
      });
      if (lock !== undefined) return lock;
      await delay(Math.random() * MAX_PAUSE_MS);
    }
    return undefined;
  }

  /** Listens first and looks then, so that of two who do so at the same time one sees the other at least. */
  static async #tryOnce(directory: string, fd: number): Promise<RootLock | undefined> {
    const id = randomBytes(8).toString('hex');
    const name = path.join(directory, `${id}.socket`);
    const temporary = path.join(directory, `${id}.tmp`);
    const server = await listen(reachable(temporary, fd));
    const lock = new RootLock(server, name);
    let isFree = false;
    try {
      // What has this name listens or is dead, and never something in between.
      await fs.promises.rename(temporary, name);
      isFree = await isAlone(directory, fd, name);
    } finally {
      if (!isFree) await lock.release();
    }
    return isFree ? lock : undefined;
  }
}

function inUse(root: string): RootInUseError {
  return new RootInUseError(`another server uses ${root}: stop that one, or use another directory`);
}

/** Whether no other socket is alive. Dead ones are removed. */
async function isAlone(directory: string, fd: number, mine: string): Promise<boolean> {
  for (const file of await fs.promises.readdir(directory)) {
    const name = path.join(directory, file);
    if (!file.endsWith('.socket') || name === mine) continue;
    if (await isAlive(reachable(name, fd))) return false;
    await fs.promises.rm(name, { force: true });
  }
  return true;
}

function isAlive(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(name);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(!DEAD_CODES.includes(code)));
  });
}

async function listen(name: string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).destroy());
  await new Promise<void>((resolve, reject) => {
    // Also of what comes later: clients that cannot be accepted have seen what they wanted to see.
    server.on('error', reject);
    // Exclusive: the processes of a cluster would share it.
    server.listen({ path: name, exclusive: true }, resolve);
  });
  return server.unref();
}

/** A name by which a socket may be used: that of a file may be longer. */
function reachable(name: string, directoryFd: number): string {
  const isShort = Buffer.byteLength(name) <= MAX_SOCKET_PATH_BYTES;
  return isShort ? name : `/proc/self/fd/${directoryFd}/${path.basename(name)}`;
}
