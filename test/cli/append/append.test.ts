import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original/clients.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { CommandHere, RunningCommand, run, runHere } from '../../support/programs/command.ts';
import { APPEND, shell } from '../../support/programs/shell.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor, waitForStandstill, waitWhile } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';

const servers = serverForAll();

const MIB = 1024 * 1024;

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? -1;
}

describe('httpfstream-append', () => {
  test('appends its standard input and says nothing', async () => {
    const server = await servers.guest();
    const { exit, stdout, stderr } = await run('httpfstream-append', [server.url('/a')], {
      input: 'hello\n',
    });
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: '', stderr: '' });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('hello\n');
  });

  test('makes an empty file of an empty input', async () => {
    const server = await servers.guest();
    expect((await runHere(runAppend, [server.url('/a')])).exit).toBe(0);
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('');
  });

  test.each(['-v', '--verbose'])('with %s it says on stderr what it does', async (option) => {
    const server = await servers.guest();
    const url = server.url('/a');
    const { exit, stdout, stderr } = await runHere(runAppend, [option, url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: '' });
    expect(stderr).toBe(`appending from stdin to ${url}\nfinished appending from stdin to ${url}\n`);
  });

  test('sends what it reads at once', async () => {
    const server = await servers.guest();
    const command = new CommandHere(runAppend, [server.url('/a')]);
    for (let i = 1; i <= 5; i++) {
      command.stdin.write('x');
      await waitFor(async () => (await sizeOf(`${server.root}/a`)) === i, `byte ${i}`);
    }
    command.stdin.end();
    expect(await command.exit).toBe(0);
  });

  test('a conflict is told with its status, exit code 1', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    await OriginalAppender.connect(url);
    const { exit, stdout, stderr } = await runHere(runAppend, [url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toBe(
      `failed to append from stdin to ${url}: HTTP status 403: the path already has an active appender\n`,
    );
  });

  test('a conflict is told at once, while nothing comes from standard input', async () => {
    const server = await servers.guest();
    await OriginalAppender.connect(server.url('/a'));
    const command = new CommandHere(runAppend, [server.url('/a')]);
    expect(await command.exit).toBe(1);
  });

  test('a refused connection is one line on stderr and exit code 1', async () => {
    const url = 'http://127.0.0.1:1/a';
    const { exit, stdout, stderr } = await runHere(runAppend, [url], { input: 'x' });
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toMatch(/^failed to append from stdin to [^\n]+\n$/);
    expect(stderr.startsWith(`failed to append from stdin to ${url}: `)).toBe(true);
  });

  test.each([
    [[]],
    [['a', 'b']],
    [['-x', 'http://h/a']],
    [['nonsense']],
    [['ftp://h/a']],
    [['--from-file', 'f', 'nonsense']],
    [['--from-url', 'nonsense', 'http://h/a']],
    [['--from-url', 'ftp://h/a', 'http://h/a']],
  ])('the arguments %j are wrong usage: one line, exit code 2', async (args) => {
    const { exit, stdout, stderr } = await runHere(runAppend, args);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toMatch(/^httpfstream-append: [^\n]+\n$/);
  });

  test('-h prints help with examples on stdout, exit code 0', async () => {
    const { exit, stdout, stderr } = await runHere(runAppend, ['-h']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    for (const text of [
      '-v',
      '--tee',
      '--resume',
      '--from-file',
      '--from-url',
      '--',
      'Exit codes:',
      'Examples:',
    ]) {
      expect(stdout).toContain(text);
    }
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends it cleanly: what was read is in the file, exit code %i', async (signal, exitCode) => {
    const server = await servers.guest();
    const url = server.url('/a');
    const command = new RunningCommand('httpfstream-append', ['-v', url]);
    command.child.stdin.write('what was read');
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 13, 'the bytes');
    const follower = await OriginalFollower.connect(url);
    command.signal(signal);
    expect(await command.exit).toBe(exitCode);
    expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('what was read');
  });

  test('Ctrl-C sends what was read and waits for the server to take more', async () => {
    const server = await FakeServer.start(() => undefined);
    const command = new CommandHere(runAppend, ['--tee', server.url]);
    command.stdin.write(Buffer.alloc(9 * MIB));
    await waitFor(() => command.stdoutBytes === 9 * MIB, 'the copy of what is more than is kept to be sent');
    command.stdin.write(Buffer.alloc(1000));
    await waitFor(() => command.stdin.readableLength === 1000, 'the rest to be read');
    command.signal('SIGINT');
    await waitFor(() => server.connections.length === 1, 'the connection');
    const connection = server.connection(0);
    connection.websocket.on('message', () => {
      connection.tell({ type: 'ack', position: connection.byteCount });
    });
    connection.tell({ type: 'open', generation: 1, position: 0, live: true });
    expect(await command.exit).toBe(130);
    expect(connection.byteCount).toBe(9 * MIB + 1000);
    expect(command.stdoutBytes).toBe(9 * MIB + 1000);
  });

  test.each([[[]], [['--', 'yes']]])(
    'SIGTERM ends it when whoever reads the copy stands still, exit code 143 (%j)',
    async (commandLine) => {
      const server = await servers.guest();
      const options = ['--tee', server.url('/a'), ...commandLine];
      const command = new RunningCommand('httpfstream-append', options, { readsStdout: true });
      command.child.stdin.write(Buffer.alloc(16 * MIB));
      await once(command.child.stdout, 'readable');
      await waitForStandstill(() => sizeOf(`${server.root}/a`), 'the copy to be in its way');
      command.signal('SIGTERM');
      const exit = await new Promise((resolve) => command.child.once('exit', resolve));
      expect(exit).toBe(143);
      expect(command.stderr).toBe('');
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
    await waitWhile(() => !command.hasExited, 'the command goes on');
    command.signal('SIGINT');
    await waitFor(() => command.hasExited, 'the exit');
    expect(await command.exit).toBe(130);
    expect(command.stderr).toBe(`failed to append from stdin to ${server.url('/a')}: interrupted\n`);
  });

  test('a server of the original that goes away is told, exit code 1, while nothing comes from standard input', async () => {
    const server = await OriginalServer.start();
    const command = new CommandHere(runAppend, [server.url('/a')]);
    command.stdin.write('x');
    await waitFor(() => server.content('/a').length === 1, 'the byte');
    server.crash();
    expect(await command.exit).toBe(1);
    expect(command.stderr).toMatch(/^failed to append from stdin to [^\n]+\n$/);
  });

  test('with --tee what is appended goes to standard output, too', async () => {
    const server = await servers.guest();
    const bytes = randomBytes(4 * MIB);
    const outcome = await run('httpfstream-append', ['--tee', server.url('/a')], { input: bytes });
    expect(outcome).toMatchObject({ exit: 0, stderr: '' });
    expect(outcome.bytes.equals(bytes)).toBe(true);
    expect((await readFile(`${server.root}/a`)).equals(bytes)).toBe(true);
  });

  test('with --tee it is no faster than whoever reads its output, and takes no memory for that', async () => {
    const server = await servers.guest();
    const command = new RunningCommand('httpfstream-append', ['--tee', server.url('/a')]);
    command.child.stdout.pause();
    const bytes = randomBytes(44 * MIB);
    command.child.stdin.write(bytes.subarray(0, MIB));
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) > 0, 'the first bytes');
    const littleBytes = await command.peakMemoryBytes();
    command.child.stdin.end(bytes.subarray(MIB));
    // In the time that it takes one whose output nobody holds up, this one would be done, too.
    const other = new CommandHere(runAppend, ['--tee', server.url('/b')]);
    other.stdin.end(bytes);
    expect(await other.exit).toBe(0);
    expect(await sizeOf(`${server.root}/a`)).toBeLessThan(32 * MIB);
    expect((await command.peakMemoryBytes()) - littleBytes).toBeLessThan(32 * MIB);
    command.child.stdout.resume();
    expect(await command.exit).toBe(0);
    expect(command.stdout.equals(bytes)).toBe(true);
    expect(await sizeOf(`${server.root}/a`)).toBe(bytes.length);
  });

  test('with --tee a closed standard output ends the copying only', async () => {
    const server = await servers.guest();
    const command = new RunningCommand('httpfstream-append', ['--tee', server.url('/a')]);
    command.child.stdin.write('x');
    await waitFor(() => command.stdoutBytes === 1, 'the copy');
    command.child.stdout.destroy();
    command.child.stdin.write('y'.repeat(MIB));
    command.child.stdin.end('z');
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
    expect(await sizeOf(`${server.root}/a`)).toBe(MIB + 2);
  });

  test('with --tee a standard output that fails is told and a failure, and the append goes on', async () => {
    const server = await servers.guest();
    const command = shell(`printf xyz | ${APPEND} --tee ${server.url('/a')} > /dev/full`);
    const { exitCode, stderr } = await command.ended;
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(/^cannot write to standard output: ENOSPC[^\n]+\n$/),
    });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('xyz');
  });

  test.each([
    [['--from-file', 'f', '--from-url', 'http://h/b', 'http://h/a'], '--from-url'],
    [['--from-file', 'f', 'http://h/a', '--', 'true'], 'a command'],
    [['--from-url', 'http://h/b', 'http://h/a', '--', 'true'], 'a command'],
    [['http://h/a', '--'], 'a command'],
    [['--resume', 'http://h/a'], '--resume'],
    [['--resume', 'http://h/a', '--', 'true'], '--resume'],
    [['-from-file', 'f', '-from-file', 'g', 'http://h/'], 'end in /'],
    [['--', 'true'], 'URL'],
    [['http://h/logs/'], 'ends in /'],
    [['http://h/logs/', '--', 'true'], 'ends in /'],
    [['--stall-timeout', '0', 'http://h/a'], '--stall-timeout'],
  ])('the arguments %j are wrong usage: one line that names %s, exit code 2', async (args, text) => {
    const { exit, stdout, stderr } = await runHere(runAppend, args);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toMatch(/^httpfstream-append: [^\n]+\n$/);
    expect(stderr).toContain(text);
  });
});
