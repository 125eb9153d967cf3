import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { startRawServer } from '../../client/client-server.ts';
import { OriginalAppender } from '../../support/original/clients.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { CommandHere, RunningCommand, run, runHere } from '../../support/programs/command.ts';
import { FOLLOW, shell } from '../../support/programs/shell.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const servers = serverForAll();

const MIB = 1024 * 1024;
const SETPRIV = '/usr/bin/setpriv';

describe('httpfstream-follow', () => {
  test('writes an idle file to standard output and says nothing', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello\n');
    const { exit, stdout, stderr } = await run('httpfstream-follow', [server.url('/a')]);
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: 'hello\n', stderr: '' });
  });

  test('with -v it says on stderr what it does and how much it read', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    await writeFile(`${server.root}/a`, 'hello\n');
    const { exit, stdout, stderr } = await runHere(runFollow, ['-v', url]);
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: 'hello\n' });
    expect(stderr).toBe(`following data at ${url} (ctrl-C to exit)\nfinished following (read 6 bytes)\n`);
  });

  test('writes what comes at once, and ends with the append', async () => {
    const server = await servers.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const command = new CommandHere(runFollow, [server.url('/a')]);
    for (let i = 1; i <= 5; i++) {
      await appender.write('x');
      await waitFor(() => command.stdoutBytes === i, `byte ${i}`);
    }
    await appender.close();
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test('a missing file is told in the words of the original, exit code 1', async () => {
    const server = await servers.guest();
    const url = server.url('/none');
    const { exit, stdout, stderr } = await runHere(runFollow, [url]);
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toBe(`failed to begin following ${url}: file does not exist\n`);
  });

  test('a refused connection is one line on stderr and exit code 1', async () => {
    const url = 'http://127.0.0.1:1/a';
    const { exit, stdout, stderr } = await runHere(runFollow, [url]);
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' });
    expect(stderr).toMatch(/^failed to begin following [^\n]+\n$/);
    expect(stderr.startsWith(`failed to begin following ${url}: `)).toBe(true);
  });

  test('an appender that is lost is an error, after what came before: exit code 3', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    const appender = await OriginalAppender.connect(url);
    await appender.write('hello');
    const command = new CommandHere(runFollow, ['-v', url]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    await appender.reset();
    expect(await command.exit).toBe(3);
    expect(command.stdout.toString()).toBe('hello');
    expect(command.stderr).toMatch(
      /^following data at [^\n]+\nerror following [^\n]+\nstopped following \(read 5 bytes\)\n$/,
    );
    expect(command.stderr).toContain(`\nerror following ${url}: `);
  });

  test.each([[[]], [['-x', 'http://h/a']], [['nonsense']], [['http://h/a', 'ftp://h/a']], [['-F', '12']]])(
    'the arguments %j are wrong usage: one line, exit code 2',
    async (args) => {
      const { exit, stdout, stderr } = await runHere(runFollow, args);
      expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
      expect(stderr).toMatch(/^httpfstream-follow: [^\n]+\n$/);
    },
  );

  test('-h prints help with examples on stdout, exit code 0', async () => {
    const { exit, stdout, stderr } = await runHere(runFollow, ['-h']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    for (const text of ['-v', '-n', '-c', '--from', '--wait[=S]', '-F', '-o', 'Examples:']) {
      expect(stdout).toContain(text);
    }
    expect(stdout).toMatch(
      /Exit\scodes:\s0\s.*;\s1\s.*;\s2\s.*;\s3\s.*;\s4\s.*;\s5\s.*;\s130\s.*\s143\s.*\s129\s/s,
    );
  });

  test('a server of the original that goes away is an error, exit code 3', async () => {
    const server = await OriginalServer.start();
    const append = new CommandHere(runAppend, [server.url('/a')]);
    append.stdin.write('hello');
    await waitFor(() => server.content('/a').length === 5, 'the bytes');
    const command = new CommandHere(runFollow, [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    server.crash();
    expect(await command.exit).toBe(3);
    expect(command.stderr).toMatch(/^error following [^\n]+\n$/);
  });

  test('the end of a connection of HTTP/1.0 is taken for the end, which -v tells', async () => {
    const { url } = await startRawServer((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'));
    const { exit, stdout, stderr } = await runHere(runFollow, ['-v', url]);
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: 'hello' });
    expect(stderr).toContain(`${url}: the server has closed the connection: in HTTP/1.0 that is the end`);
    expect((await runHere(runFollow, [url])).stderr).toBe('');
  });

  test('a file that is deleted is an error, exit code 4', async () => {
    const server = await servers.guest();
    const append = new CommandHere(runAppend, [server.url('/a')]);
    append.stdin.write('hello');
    await waitForSize(`${server.root}/a`, 5);
    const command = new CommandHere(runFollow, [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    await unlink(`${server.root}/a`);
    expect(await command.exit).toBe(4);
    expect(command.stdout.toString()).toBe('hello');
    expect(command.stderr).toMatch(/^error following [^\n]+\n$/);
  });

  test('a file that is cut is an error, exit code 4', async () => {
    const server = await servers.guest();
    const append = new CommandHere(runAppend, [server.url('/a')]);
    append.stdin.write('hello');
    await waitForSize(`${server.root}/a`, 5);
    const command = new CommandHere(runFollow, [server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 5, 'the bytes');
    await truncate(`${server.root}/a`, 2);
    expect(await command.exit).toBe(4);
    expect(command.stderr).toMatch(/^error following [^\n]+\n$/);
  });

  test.each([
    [['-n', '2'], '4\n5\n'],
    [['-n2'], '4\n5\n'],
    [['--lines=99'], '1\n2\n3\n4\n5\n'],
    [['-n', '0'], ''],
    [['-n', '+4'], '4\n5\n'],
    [['-n', '+1'], '1\n2\n3\n4\n5\n'],
    [['-n', '+0'], '1\n2\n3\n4\n5\n'],
    [['-n', '+99'], ''],
    [['-2'], '4\n5\n'],
    [['-f', '-2'], '4\n5\n'],
    [['-fn2'], '4\n5\n'],
    [['-c', '3'], '\n5\n'],
    [['-bytes=99'], '1\n2\n3\n4\n5\n'],
    [['-c', '0'], ''],
    [['-c', '+4'], '\n3\n4\n5\n'],
    [['-c', '+1'], '1\n2\n3\n4\n5\n'],
    [['-c', '+0'], '1\n2\n3\n4\n5\n'],
    [['--from', '4'], '3\n4\n5\n'],
    [['-from=10'], ''],
    [['--from', '-2'], '5\n'],
    [['--from', '-99'], '1\n2\n3\n4\n5\n'],
  ])('%j begins where it says', async (options, expected) => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, '1\n2\n3\n4\n5\n');
    const { exit, stdout, stderr } = await runHere(runFollow, [...options, server.url('/a')]);
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: expected, stderr: '' });
  });

  test.each([[['-n', '1']], [['-c', '2']], [['--from', '2']]])('%j goes on live', async (options) => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'a\nb\n');
    const append = new CommandHere(runAppend, [server.url('/a')]);
    append.stdin.write('c\n');
    await waitFor(async () => (await stat(`${server.root}/a`)).size === 6, 'the bytes');
    const command = new CommandHere(runFollow, [...options, server.url('/a')]);
    await waitFor(() => command.stdoutBytes > 0, 'the history');
    append.stdin.end('d\n');
    expect(await command.exit).toBe(0);
    expect(command.stdout.toString()).toBe(options[0] === '--from' ? 'b\nc\nd\n' : 'c\nd\n');
  });

  test('a position beyond the end is an error, exit code 1', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello');
    const { exit, stderr } = await runHere(runFollow, ['--from', '6', server.url('/a')]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to begin following [^\n]+\n$/);
  });

  test.each([['--wait'], ['-wait'], ['--wait=60'], ['-wait=60.5']])(
    '%s waits for a file that is missing',
    async (option) => {
      const server = await servers.guest();
      const command = new CommandHere(runFollow, ['-v', option, server.url('/a')]);
      await waitFor(() => command.stderr.includes('waiting for the file'), 'it to wait');
      await runHere(runAppend, [server.url('/a')], { input: 'hello' });
      expect(await command.exit).toBe(0);
      expect(command.stdout.toString()).toBe('hello');
    },
  );

  test('--wait=S does not wait longer: exit code 1', async () => {
    const server = await servers.guest();
    const url = server.url('/none');
    const begun = performance.now();
    const { exit, stderr } = await runHere(runFollow, ['--wait=1', url]);
    expect({ exit, stderr }).toEqual({
      exit: 1,
      stderr: `failed to begin following ${url}: file does not exist\n`,
    });
    expect(performance.now() - begun).toBeGreaterThan(900);
  });

  test.each([
    [['-n', 'x']],
    [['-n', '-1']],
    [['-n', '1.5']],
    [['-n', '9'.repeat(20)]],
    [['-n', '']],
    [['-c', '-1']],
    [['-c', '+']],
    [['--from', '1e3']],
    [['--wait=x']],
    [['--wait=-1']],
    [['--wait=86401']],
    [['-n', '1', '-c', '1']],
    [['-n', '1', '--from', '1']],
    [['-c', '1', '--from', '1']],
    [['-o', 'f', '-n', '1']],
    [['-o', 'f', '-c', '1']],
    [['-o', 'f', '--from', '1']],
    [['-o', 'f', 'http://h/b']],
    [['-n', '+x']],
    [['-20', '-n', '3x']],
    [['http://h/logs/']],
    [['http://h/*.log']],
    [['--wait', '1']],
    [['--wait', '-F']],
    [['-F', '--wait=5']],
  ])('the options %j are wrong usage: one line, exit code 2', async (options) => {
    const { exit, stdout, stderr } = await runHere(runFollow, [...options, 'http://h/a']);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toMatch(/^httpfstream-follow: [^\n]+\n$/);
  });

  test('with | head -1 it ends soon, also when nothing more comes', async () => {
    const server = await servers.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('first\nsecond\n');
    const { exitCode, stdout, stderr } = await shell(
      `{ ${FOLLOW} ${server.url('/a')}; echo "exit code $?" >&2; } | head -1`,
    ).ended;
    expect({ exitCode, stdout: stdout.toString(), stderr }).toEqual({
      exitCode: 0,
      stdout: 'first\n',
      stderr: 'exit code 0\n',
    });
  });

  test('writes to a pipe that another user made, where it can be run as another one', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello');
    const isRoot = process.getuid?.() === 0 && existsSync(SETPRIV);
    const asNobody = isRoot ? `${SETPRIV} --reuid=65534 --regid=65534 --clear-groups` : '';
    const { stdout, stderr } = await shell(
      `{ ${asNobody} ${FOLLOW} ${server.url('/a')}; echo "exit code $?" >&2; } | cat`,
    ).ended;
    expect({ stdout: stdout.toString(), stderr }).toEqual({ stdout: 'hello', stderr: 'exit code 0\n' });
  });

  test('a standard output that fails is told, exit code 1', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello');
    const { exitCode, stderr } = await shell(`${FOLLOW} ${server.url('/a')} > /dev/full`).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^cannot write to standard output: ENOSPC[^\n]+\n$/);
  });

  test('ends quietly when nobody reads its output any more', async () => {
    const server = await servers.guest();
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
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, '');
    await truncate(`${server.root}/a`, 64 * MIB);
    const command = new RunningCommand('httpfstream-follow', [server.url('/a')]);
    await once(command.child.stdout, 'data');
    command.child.stdout.destroy();
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test.each([[[]], [['-F']]])(
    'SIGTERM ends it when its reader stands still, exit code 143 (%j)',
    async (options) => {
      const server = await servers.guest();
      await writeFile(`${server.root}/a`, '');
      await truncate(`${server.root}/a`, 16 * MIB);
      const command = new RunningCommand('httpfstream-follow', [...options, server.url('/a')], {
        readsStdout: true,
      });
      await once(command.child.stdout, 'readable');
      command.signal('SIGTERM');
      const exit = await new Promise((resolve) => command.child.once('exit', resolve));
      expect(exit).toBe(143);
    },
  );

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends it at once, exit code %i', async (signal, exitCode) => {
    const server = await servers.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('x');
    const command = new RunningCommand('httpfstream-follow', ['-v', server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 1, 'the byte');
    command.signal(signal);
    expect(await command.exit).toBe(exitCode);
    expect(command.stderr).toMatch(/\nstopped following \(read 1 bytes\): interrupted\n$/);
  });
});
