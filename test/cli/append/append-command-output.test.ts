import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original/clients.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { RunningCommand, run, runHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const append = (...args: string[]) => runHere(runAppend, args);
const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');

describe('httpfstream-append -- COMMAND', () => {
  test('appends its stdout and stderr in the order in which they come; with -v says so', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    const script = 'for i in 1 2 3; do echo out $i; echo err $i >&2; done';
    const { exit, stdout, stderr } = await append('-v', url, '--', 'sh', '-c', script);
    expect({ exit, stdout, stderr }).toEqual({
      exit: 0,
      stdout: '',
      stderr: `appending from \`sh -c ${script}\` to ${url}\nfinished appending from \`sh -c ${script}\` to ${url}\n`,
    });
    expect(await textOf(`${server.root}/a`)).toBe('out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n');
  });

  test('a command may open /dev/stdout and /dev/stderr', async () => {
    const server = await servers.guest();
    const script = 'echo out > /dev/stdout; echo err > /dev/stderr';
    expect((await append(server.url('/a'), '--', 'sh', '-c', script)).exit).toBe(0);
    expect(await textOf(`${server.root}/a`)).toBe('out\nerr\n');
  });

  test('appends what it writes at once, and gives it standard input', async () => {
    const server = await servers.guest();
    const command = new RunningCommand('httpfstream-append', [server.url('/a'), '--', 'cat']);
    for (let i = 1; i <= 3; i++) {
      command.child.stdin.write('x');
      await waitFor(async () => (await textOf(`${server.root}/a`)).length === i, `byte ${i}`);
    }
    command.child.stdin.end();
    expect(await command.exit).toBe(0);
  });

  test('nothing after -- is touched', async () => {
    const server = await servers.guest();
    const { exit } = await append(
      '--tee',
      server.url('/a'),
      '--',
      'echo',
      '-tee',
      '--verbose',
      '--',
      '$HOME',
      '-h',
    );
    expect(exit).toBe(0);
    expect(await textOf(`${server.root}/a`)).toBe('-tee --verbose -- $HOME -h\n');
  });

  test.each([
    ['exit 0', 0],
    ['exit 3', 3],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
  ])('exits as the command does (%s)', async (script, exitCode) => {
    const server = await servers.guest();
    const follower = async () => (await OriginalFollower.connect(server.url('/a'))).outcome;
    const { exit, stderr } = await append(server.url('/a'), '--', 'sh', '-c', `echo x; ${script}`);
    expect({ exit, stderr }).toEqual({ exit: exitCode, stderr: '' });
    expect((await follower()).bytes.toString()).toBe('x\n');
  });

  test('a command that does not exist is told, exit code 127, and nothing is appended', async () => {
    const server = await servers.guest();
    const { exit, stderr } = await append(server.url('/a'), '--', '/none/such');
    expect({ exit, stderr }).toEqual({
      exit: 127,
      stderr: 'failed to run `/none/such`: command not found\n',
    });
    expect(await readdir(server.root)).not.toContain('a');
  });

  test('a directory for temporary files that is missing is told as that, and the command is not blamed', async () => {
    const env = { TMPDIR: '/none/such' };
    const { exit, stderr } = await run('httpfstream-append', ['http://localhost/a', '--', 'true'], { env });
    expect(exit).toBe(126);
    expect(stderr).toMatch(/^failed to run `true`: cannot make a pipe in \/none\/such: ENOENT[^\n]*\n$/);
  });

  test('a command that may not be run is told, exit code 126', async () => {
    const server = await servers.guest();
    const directory = path.join(await temporaryDirectory(), 'directory');
    await mkdir(directory);
    const { exit, stderr } = await append(server.url('/a'), '--', directory);
    expect(exit).toBe(126);
    expect(stderr).toMatch(/^failed to run [^\n]+EACCES[^\n]*\n$/);
  });

  test('a URL that is none is told before the command runs', async () => {
    const file = path.join(await temporaryDirectory(), 'made');
    const { exit, stderr } = await append('nonsense', '--', 'touch', file);
    expect({ exit, stderr }).toEqual({ exit: 2, stderr: 'httpfstream-append: invalid URL: nonsense\n' });
    expect(await textOf(file).then(() => readdir(path.dirname(file)))).toEqual([]);
  });

  test.each([
    ['exit 0', 1],
    ['exit 7', 7],
  ])(
    'when the append is refused that is told, the command runs to its end (%s), and --tee shows it',
    async (end, code) => {
      const server = await servers.guest();
      await OriginalAppender.connect(server.url('/a'));
      const script = `i=0; while [ $i -lt 2000 ]; do printf '%01000d' 0; i=$((i+1)); done; ${end}`;
      const { exit, stdout, stderr } = await append('--tee', server.url('/a'), '--', 'sh', '-c', script);
      expect(exit).toBe(code);
      expect(stdout).toHaveLength(2_000_000);
      expect(stderr).toMatch(/^failed to append from [^\n]+: HTTP status 403: [^\n]+\n$/);
    },
  );

  test('when the append fails on the way the command goes on, also with nobody who reads the copy', async () => {
    const server = await OriginalServer.start();
    const done = path.join(await temporaryDirectory(), 'done');
    const script = `echo begin; read line; i=0; while [ $i -lt 2000 ]; do printf '%01000d' 0; i=$((i+1)); done; touch ${done}; exit 5`;
    const command = new RunningCommand('httpfstream-append', [
      '--tee',
      server.url('/a'),
      '--',
      'sh',
      '-c',
      script,
    ]);
    await waitFor(() => server.content('/a').length === 6, 'the beginning');
    server.crash();
    await waitFor(() => command.stderr.includes('failed to append'), 'the failure');
    command.child.stdout.destroy();
    command.child.stdin.end('\n');
    expect(await command.exit).toBe(5);
    expect(await readFile(done, 'utf8')).toBe('');
  });

  test.each(['TERM', 'HUP'])(
    'SIG%s is passed on to the command, and what it still says is appended',
    async (name) => {
      const server = await servers.guest();
      const script = `trap "echo goodbye; exit 9" ${name}; echo hello; while :; do sleep 0.05; done`;
      const command = new RunningCommand('httpfstream-append', [server.url('/a'), '--', 'sh', '-c', script]);
      await waitFor(async () => (await textOf(`${server.root}/a`)) === 'hello\n', 'the command');
      const follower = await OriginalFollower.connect(server.url('/a'));
      command.signal(`SIG${name}` as NodeJS.Signals);
      expect(await command.exit).toBe(9);
      expect(await follower.outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
      expect(await textOf(`${server.root}/a`)).toBe('hello\ngoodbye\n');
    },
  );

  test('waits no more for what the command left behind after Ctrl-C', async () => {
    const server = await servers.guest();
    const script = 'sleep 20 & echo $!';
    const command = new RunningCommand('httpfstream-append', [
      '--linger=60',
      server.url('/a'),
      '--',
      'sh',
      '-c',
      script,
    ]);
    const text = () => textOf(`${server.root}/a`);
    await waitFor(async () => (await text()).endsWith('\n'), 'what it says');
    const stat = async () => textOf(`/proc/${command.child.pid}/task/${command.child.pid}/children`);
    await waitFor(async () => (await stat()).trim() === '', 'the command to be gone');
    command.signal('SIGINT');
    expect(await command.exit).toBe(0);
    process.kill(Number(await text()));
  });

  test('an existing file is appended to', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'before\n');
    expect((await append(server.url('/a'), '--', 'echo', 'after')).exit).toBe(0);
    expect(await textOf(`${server.root}/a`)).toBe('before\nafter\n');
  });
});
