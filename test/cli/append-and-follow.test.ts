import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { OriginalAppender, OriginalFollower } from '../support/original-clients.ts';
import { OriginalServer } from '../support/original-server.ts';
import { startServer } from '../support/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { buildCommands, RunningCommand, run, startServerCommand } from './command.ts';

const MIB = 1024 * 1024;
const MAX_MEMORY_BYTES = 200 * MIB;

beforeAll(buildCommands, 60_000);

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? -1;
}

describe('httpfstream-append', () => {
  test('appends its standard input and says nothing', async () => {
    const server = await startServer();
    const { exit, stdout, stderr } = await run('httpfstream-append', [server.url('/a')], {
      input: 'hello\n',
    });
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: '', stderr: '' });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('hello\n');
  });

  test('makes an empty file of an empty input', async () => {
    const server = await startServer();
    expect((await run('httpfstream-append', [server.url('/a')])).exit).toBe(0);
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('');
  });

  test.each(['-v', '--verbose'])('with %s it says on stderr what it does', async (option) => {
    const server = await startServer();
    const url = server.url('/a');
    const { exit, stdout, stderr } = await run('httpfstream-append', [option, url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: '' });
    expect(stderr).toBe(`appending from stdin to ${url}\nfinished appending from stdin to ${url}\n`);
  });

  test('sends what it reads at once', async () => {
    const server = await startServer();
    const command = new RunningCommand('httpfstream-append', [server.url('/a')]);
    for (let i = 1; i <= 5; i++) {
      command.child.stdin.write('x');
      await waitFor(async () => (await sizeOf(`${server.root}/a`)) === i, `byte ${i}`);
    }
    command.child.stdin.end();
    expect(await command.exit).toBe(0);
  });

  test('a conflict is told with its status, exit code 1', async () => {
    const server = await startServer();
    const url = server.url('/a');
    await OriginalAppender.connect(url);
    const { exit, stdout, stderr } = await run('httpfstream-append', [url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toBe(
      `failed to append from stdin to ${url}: HTTP status 403: the path already has an active appender\n`,
    );
  });

  test('a conflict is told at once, while nothing comes from standard input', async () => {
    const server = await startServer();
    await OriginalAppender.connect(server.url('/a'));
    const command = new RunningCommand('httpfstream-append', [server.url('/a')]);
    expect(await command.exit).toBe(1);
  });

  test.each([
    ['a refused connection', 'http://127.0.0.1:1/a'],
    ['no URL', 'nonsense'],
    ['another scheme', 'ftp://127.0.0.1/a'],
  ])('%s is one line on stderr and exit code 1', async (_, url) => {
    const { exit, stdout, stderr } = await run('httpfstream-append', [url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toMatch(/^failed to append from stdin to [^\n]+\n$/);
    expect(stderr.startsWith(`failed to append from stdin to ${url}: `)).toBe(true);
  });

  test('a server that goes away is told, exit code 1, while nothing comes from standard input', async () => {
    const server = await startServer();
    const command = new RunningCommand('httpfstream-append', [server.url('/a')]);
    command.child.stdin.write('x');
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 1, 'the byte');
    await server.app.close();
    expect(await command.exit).toBe(1);
    expect(command.stderr).toMatch(/^failed to append from stdin to [^\n]+\n$/);
  });

  test.each([[[]], [['a', 'b']], [['-x', 'http://h/a']]])(
    'the arguments %j are wrong usage: one line, exit code 1',
    async (args) => {
      const { exit, stdout, stderr } = await run('httpfstream-append', args);
      expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
      expect(stderr).toMatch(/^httpfstream-append: [^\n]+\n$/);
    },
  );

  test('-h prints help with examples on stdout, exit code 0', async () => {
    const { exit, stdout, stderr } = await run('httpfstream-append', ['-h']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('-v');
  });

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends it cleanly: what was read is in the file, exit code 130',
    async (signal) => {
      const server = await startServer();
      const url = server.url('/a');
      const command = new RunningCommand('httpfstream-append', ['-v', url]);
      command.child.stdin.write('what was read');
      await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 13, 'the bytes');
      const follower = await OriginalFollower.connect(url);
      command.signal(signal);
      expect(await command.exit).toBe(130);
      expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
      expect(await readFile(`${server.root}/a`, 'utf8')).toBe('what was read');
    },
  );

  test('a second SIGINT does not wait for a server that hangs', async () => {
    const server = await OriginalServer.start();
    const command = new RunningCommand('httpfstream-append', [server.url('/a')]);
    command.child.stdin.write('x');
    await waitFor(() => server.content('/a').length === 1, 'the byte');
    server.hang();
    command.child.stdin.write(randomBytes(32 * MIB));
    command.signal('SIGINT');
    await expect(waitFor(() => command.hasExited, 'an exit that must not come', 300)).rejects.toThrow(
      'in vain',
    );
    command.signal('SIGINT');
    await waitFor(() => command.hasExited, 'the exit', 3000);
    expect(await command.exit).not.toBe(0);
  });

  test('256 MiB take no more memory than little does', async () => {
    const server = await startServerCommand();
    const command = new RunningCommand('httpfstream-append', [server.url('/a')]);
    const block = randomBytes(MIB);
    for (let i = 0; i < 256; i++)
      if (!command.child.stdin.write(block)) await once(command.child.stdin, 'drain');
    await waitFor(async () => (await sizeOf(server.file('a'))) === 256 * MIB, 'all bytes');
    expect(await command.peakMemoryBytes()).toBeLessThan(MAX_MEMORY_BYTES);
    expect(await server.command.peakMemoryBytes()).toBeLessThan(MAX_MEMORY_BYTES);
    command.child.stdin.end();
    expect(await command.exit).toBe(0);
  });
});

describe('httpfstream-follow', () => {
  test('writes an idle file to standard output and says nothing', async () => {
    const server = await startServer();
    await writeFile(`${server.root}/a`, 'hello\n');
    const { exit, stdout, stderr } = await run('httpfstream-follow', [server.url('/a')]);
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: 'hello\n', stderr: '' });
  });

  test('with -v it says on stderr what it does and how much it read', async () => {
    const server = await startServer();
    const url = server.url('/a');
    await writeFile(`${server.root}/a`, 'hello\n');
    const { exit, stdout, stderr } = await run('httpfstream-follow', ['-v', url]);
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: 'hello\n' });
    expect(stderr).toBe(`following data at ${url} (ctrl-C to exit)\nfinished following (read 6 bytes)\n`);
  });

  test('writes what comes at once, and ends with the append', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    for (let i = 1; i <= 5; i++) {
      await appender.write('x');
      await waitFor(() => command.stdoutBytes === i, `byte ${i}`);
    }
    await appender.close();
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test('a missing file is told in the words of the original, exit code 1', async () => {
    const server = await startServer();
    const url = server.url('/none');
    const { exit, stdout, stderr } = await run('httpfstream-follow', [url]);
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toBe(`failed to begin following ${url}: file does not exist\n`);
  });

  test.each([
    ['a refused connection', 'http://127.0.0.1:1/a'],
    ['no URL', 'nonsense'],
  ])('%s is one line on stderr and exit code 1', async (_, url) => {
    const { exit, stdout, stderr } = await run('httpfstream-follow', [url]);
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toMatch(/^failed to begin following [^\n]+\n$/);
    expect(stderr.startsWith(`failed to begin following ${url}: `)).toBe(true);
  });

  test('an appender that is lost is an error, after what came before', async () => {
    const server = await startServer();
    const url = server.url('/a');
    const appender = await OriginalAppender.connect(url);
    await appender.write('hello');
    const command = new RunningCommand('httpfstream-follow', ['-v', url]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    await appender.reset();
    expect(await command.exit).toBe(1);
    expect(command.stdout.toString()).toBe('hello');
    expect(command.stderr).toMatch(/^following data at [^\n]+\nerror following [^\n]+\n$/);
    expect(command.stderr).toContain(`\nerror following ${url}: `);
  });

  test('a server that is killed is an error', async () => {
    const server = await startServerCommand();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('hello');
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    server.command.signal('SIGKILL');
    expect(await command.exit).toBe(1);
    expect(command.stderr).toMatch(/^error following [^\n]+\n$/);
  });

  test.each([[[]], [['a', 'b']], [['-x', 'http://h/a']]])(
    'the arguments %j are wrong usage: one line, exit code 1',
    async (args) => {
      const { exit, stdout, stderr } = await run('httpfstream-follow', args);
      expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
      expect(stderr).toMatch(/^httpfstream-follow: [^\n]+\n$/);
    },
  );

  test('-h prints help with examples on stdout, exit code 0', async () => {
    const { exit, stdout, stderr } = await run('httpfstream-follow', ['-h']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout).toContain('Examples:');
  });

  test('ends quietly when nobody reads its output any more', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('first\n');
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 6, 'the first line');
    command.child.stdout.destroy();
    // The system tells at the next write.
    await waitFor(async () => {
      await appender.write('more\n');
      return command.hasExited;
    }, 'the exit');
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test('ends quietly in the middle of a large idle file, as with head', async () => {
    const server = await startServer();
    await writeFile(`${server.root}/a`, Buffer.alloc(64 * MIB, 'line\n'));
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await once(command.child.stdout, 'data');
    command.child.stdout.destroy();
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test('SIGINT ends it at once', async () => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('x');
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 1, 'the byte');
    command.signal('SIGINT');
    expect([130, 'SIGINT']).toContain(await command.exit);
  });

  test('256 MiB take no more memory than little does, live and idle', async () => {
    const server = await startServerCommand();
    const block = randomBytes(MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const live = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    let liveBytes = 0;
    live.child.stdout.removeAllListeners('data').on('data', (bytes: Buffer) => {
      liveBytes += bytes.length;
    });
    for (let i = 0; i < 256; i++) await appender.write(block);
    await waitFor(() => liveBytes === 256 * MIB, 'all bytes');
    expect(await live.peakMemoryBytes()).toBeLessThan(MAX_MEMORY_BYTES);
    await appender.close();
    expect(await live.exit).toBe(0);

    const idle = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    let idleBytes = 0;
    let peak = 0;
    idle.child.stdout.removeAllListeners('data');
    await pipeline(idle.child.stdout, async (source: AsyncIterable<Buffer>) => {
      for await (const bytes of source) {
        idleBytes += bytes.length;
        if (idleBytes % (16 * MIB) < bytes.length && idleBytes < 256 * MIB) {
          peak = Math.max(peak, await idle.peakMemoryBytes());
        }
      }
    });
    expect(idleBytes).toBe(256 * MIB);
    expect(peak).toBeLessThan(MAX_MEMORY_BYTES);
    expect(await idle.exit).toBe(0);
    expect(await server.command.peakMemoryBytes()).toBeLessThan(MAX_MEMORY_BYTES);
  });
});

describe('both', () => {
  test('64 MiB of random bytes go from standard input to the file to standard output as they are', async () => {
    const server = await startServerCommand();
    const bytes = randomBytes(64 * MIB);
    const append = new RunningCommand('httpfstream-append', [server.url('/a')]);
    append.child.stdin.write(bytes.subarray(0, MIB));
    await waitFor(async () => (await sizeOf(server.file('a'))) === MIB, 'the first bytes');
    const follow = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await waitFor(() => follow.stdoutBytes === MIB, 'the history');
    append.child.stdin.end(bytes.subarray(MIB));
    expect(await append.exit).toBe(0);
    expect(await follow.exit).toBe(0);
    expect((await readFile(server.file('a'))).equals(bytes)).toBe(true);
    expect(follow.stdout.equals(bytes)).toBe(true);
    const idle = await run('httpfstream-follow', [server.url('/a')]);
    expect(idle.bytes.equals(bytes)).toBe(true);
  });

  test('work with the server of the original', async () => {
    const server = await OriginalServer.start({ pingMs: 20 });
    const url = server.url('/dir/a');
    const bytes = randomBytes(2 * MIB);
    const append = new RunningCommand('httpfstream-append', ['-v', url]);
    append.child.stdin.write(bytes.subarray(0, MIB));
    await waitFor(() => server.content('/dir/a').length === MIB, 'the first bytes');
    const follow = new RunningCommand('httpfstream-follow', ['-v', url]);
    await waitFor(() => follow.stdoutBytes === MIB && server.followerPongs > 0, 'the history and a pong');
    const conflict = await run('httpfstream-append', [url], { input: 'x' });
    expect(conflict).toMatchObject({
      exit: 1,
      stderr: `failed to append from stdin to ${url}: HTTP status 403: addWriter: path already has an active writer\n`,
    });
    append.child.stdin.end(bytes.subarray(MIB));
    expect(await append.exit).toBe(0);
    expect(append.stderr).toBe(`appending from stdin to ${url}\nfinished appending from stdin to ${url}\n`);
    expect(await follow.exit).toBe(0);
    expect(follow.stdout.equals(bytes)).toBe(true);
    expect(follow.stderr).toBe(
      `following data at ${url} (ctrl-C to exit)\nfinished following (read ${bytes.length} bytes)\n`,
    );
    expect((await run('httpfstream-follow', [url])).bytes.equals(bytes)).toBe(true);
    expect((await run('httpfstream-follow', [server.url('/none')])).stderr).toBe(
      `failed to begin following ${server.url('/none')}: file does not exist\n`,
    );
  });
});
