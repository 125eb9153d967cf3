import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, link, mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Fastify from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { RootLock } from '../../../src/storage/root/root-lock.ts';
import { RootInUseError } from '../../../src/wire/errors.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../../support/disk/ordinary-user.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { run, runHere } from '../../support/programs/command.ts';
import { diskDirectory, startServer } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor } from '../../support/wait-for.ts';

interface Told {
  message: string;
  detail: Readonly<Record<string, unknown>>;
}

/** A directory for locks, and what locking it has told. */
async function lockable(directory?: string) {
  const at = directory ?? path.join(await diskDirectory(), 'lock');
  const told: Told[] = [];
  const acquire = async (waitMs = 0) => {
    const lock = await RootLock.acquire(at, {
      root: 'the root',
      waitMs,
      report: (message, detail) => told.push({ message, detail }),
    });
    onTestFinished(() => lock.release());
    return lock;
  };
  return { at, told, acquire };
}

/** Leaves a socket at which nobody listens any more, as a process does that is killed. */
async function leaveDeadSocket(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const name = path.join(directory, randomBytes(8).toString('hex'));
  const server = createServer().listen(name);
  await once(server, 'listening');
  // Closing takes away the name that it listened at.
  await link(name, `${name}.socket`);
  await new Promise((resolve) => server.close(resolve));
}

describe('a root', () => {
  test('is kept for one, and another one may have it afterwards', async () => {
    const { acquire, at, told } = await lockable();
    const lock = await acquire();
    await expect(acquire()).rejects.toThrow(
      new RootInUseError('another server uses the root: stop that one, or use another directory'),
    );
    await lock.release();
    expect(await readdir(at)).toEqual([]);
    await acquire();
    expect(told).toEqual([]);
  });

  test('is waited for, for a while', async () => {
    const { acquire, told } = await lockable();
    const lock = await acquire();
    await expect(acquire(1)).rejects.toThrow(RootInUseError);
    const next = acquire(PATIENCE_MS);
    await waitFor(() => told.length === 2, 'the second one to wait');
    await lock.release();
    await next;
  });

  test('is kept for one of two servers in one process', async () => {
    const { root, app } = await startServer();
    const other = Fastify();
    await expect(other.register(httpfstream, { root })).rejects.toBeInstanceOf(RootInUseError);
    await other.close();
    await app.close();
    await startServer({ root });
  });

  test('that was not free is not released by the one that could not have it', async () => {
    const { acquire } = await lockable();
    await acquire();
    await expect(acquire()).rejects.toBeInstanceOf(RootInUseError);
    await expect(acquire()).rejects.toBeInstanceOf(RootInUseError);
  });

  test('is free after a start that failed', async () => {
    const root = await diskDirectory();
    // No part of a log can be where a directory is.
    await mkdir(path.join(root, '.httpfstream/redo/0000000001.log'), { recursive: true });
    await expect(Fastify().register(httpfstream, { root })).rejects.toThrow();
    expect(await readdir(path.join(root, '.httpfstream/lock'))).toEqual([]);
  });

  test('is free when its holder was killed', async () => {
    const { acquire, at } = await lockable();
    await leaveDeadSocket(at);
    await leaveDeadSocket(at);
    await acquire();
    expect(await readdir(at)).toHaveLength(1);
  });

  test('is never had by two of many who come at the same moment, also after a kill', async () => {
    for (let round = 0; round < 8; round++) {
      const { acquire, at } = await lockable();
      await leaveDeadSocket(at);
      const results = await Promise.allSettled(Array.from({ length: 6 }, acquire));
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(2);
    }
  });

  test('may have a path that is longer than what a socket takes', async () => {
    const { acquire, told } = await lockable(
      path.join(await diskDirectory(), 'a'.repeat(100), 'b'.repeat(100)),
    );
    const lock = await acquire();
    expect(told).toEqual([]);
    await expect(acquire()).rejects.toBeInstanceOf(RootInUseError);
    await lock.release();
    await acquire();
    expect(told).toEqual([]);
  });

  test('that is in use is refused to one that could not lock it', async () => {
    const { acquire, at, told } = await lockable();
    await mkdir(at, { recursive: true });
    for (const directory of [at, path.dirname(at)]) await giveToOrdinaryUser(directory);
    const lock = await asOrdinaryUser(acquire);
    await chmod(at, 0o555);
    await expect(asOrdinaryUser(acquire)).rejects.toBeInstanceOf(RootInUseError);
    expect(told).toEqual([]);
    await chmod(at, 0o755);
    await lock.release();
  });

  test('that cannot be locked is used, and that is told', async () => {
    const file = path.join(await diskDirectory(), 'file');
    await writeFile(file, '');
    const { acquire, told } = await lockable(path.join(file, 'lock'));
    await (await acquire()).release();
    expect(told).toEqual([
      {
        message: 'the root cannot be locked: see to it that no other server uses it',
        detail: { root: 'the root', reason: expect.stringContaining('ENOTDIR') },
      },
    ]);
  });
});

describe('httpfstream-server', () => {
  test('is not kept running by its lock', async () => {
    const module = fileURLToPath(new URL('../../../build/src/storage/root/root-lock.js', import.meta.url));
    const directory = path.join(await diskDirectory(), 'lock');
    const script = `import { RootLock } from ${JSON.stringify(module)};
      await RootLock.acquire(${JSON.stringify(directory)}, { root: '', report: console.error });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
    // It was locked, and not released.
    expect(await readdir(directory)).toHaveLength(1);
  });

  test('does not start where another one runs, paused ones too, and does where one was killed', async () => {
    const root = await diskDirectory();
    const server = await ServerProcess.start(root);
    const refused = {
      exit: 1,
      stderr: `httpfstream-server: another server uses ${root}: stop that one, or use another directory\n`,
    };
    const start = (address = '127.0.0.1:0') => runHere(runServer, ['-root', root, '-http', address]);
    expect(await run('httpfstream-server', ['-root', root, '-http', '127.0.0.1:0'])).toMatchObject(refused);
    // That its port is in use, too, matters less.
    expect(await start(`127.0.0.1:${server.port}`)).toMatchObject(refused);
    server.child.kill('SIGSTOP');
    expect(await start()).toMatchObject(refused);
    await server.stop('SIGKILL');
    const next = await ServerProcess.start(root);
    expect(await next.stop('SIGTERM')).toBe(0);
    expect(await readdir(path.join(root, '.httpfstream/lock'))).toEqual([]);
  });
});
