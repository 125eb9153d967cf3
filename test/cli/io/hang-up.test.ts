import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type CommandName, RunningCommand } from '../../support/programs/command.ts';
import { hasPty } from '../../support/programs/has-pty.ts';
import { loggedPort, PATH, runSuccessfully, startProgram } from '../../support/programs/program.ts';
import { FOLLOW, shell } from '../../support/programs/shell.ts';
import { hasTerminals, Terminal } from '../../support/programs/terminal.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

/** The file that a shell runs for a command. */
const fileOf = (name: CommandName) => fileURLToPath(new URL(`../../../dist/bin/${name}.js`, import.meta.url));

/** Runs a command as the system runs its file, by the shell that it names, with `nohup` before it. */
const withNohup = (name: CommandName, ...args: string[]) =>
  startProgram('nohup', ['/bin/sh', fileOf(name), ...args]);

const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');

describe('with nohup, SIGHUP is nothing', () => {
  test('to a server', async () => {
    const server = withNohup(
      'httpfstream-server',
      `-root=${await temporaryDirectory()}`,
      '-http=127.0.0.1:0',
    );
    const port = await loggedPort(server);
    server.kill('SIGHUP');
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    server.kill('SIGTERM');
    const { exitCode, stdout } = await server.ended;
    expect(exitCode).toBe(0);
    expect(stdout.toString()).toContain('"signal":"SIGTERM"');
  });

  test('to an append, and to the command whose output it appends', async () => {
    const server = await servers.guest();
    const script = 'echo $$; read line; echo "$line"';
    const command = withNohup('httpfstream-append', server.url('/a'), '--', 'sh', '-c', script);
    const text = () => textOf(`${server.root}/a`);
    await waitFor(async () => (await text()).endsWith('\n'), 'the command');
    command.kill('SIGHUP');
    process.kill(Number(await text()), 'SIGHUP');
    command.stdin.end('goes on\n');
    expect(await command.ended).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await text()).toMatch(/^\d+\ngoes on\n$/);
  });

  test.runIf(hasPty)('to a command on a terminal of its own', async () => {
    const server = await servers.guest();
    const fifo = path.join(await temporaryDirectory(), 'fifo');
    await runSuccessfully('mkfifo', [fifo]);
    const script = 'echo $$; read line < "$0"; echo "$line"';
    const command = withNohup(
      'httpfstream-append',
      '--pty',
      server.url('/a'),
      '--',
      'sh',
      '-c',
      script,
      fifo,
    );
    const text = () => textOf(`${server.root}/a`);
    await waitFor(async () => /^\d+\r\n$/m.test(await text()), 'the command');
    process.kill(Number.parseInt(await text(), 10), 'SIGHUP');
    await writeFile(fifo, 'goes on\n');
    expect(await command.ended).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await text()).toMatch(/^\d+\r\ngoes on\r\n$/);
  });

  test('to an append whose command is not there: exit code 127', async () => {
    const server = await servers.guest();
    const command = withNohup('httpfstream-append', server.url('/a'), '--', '/none/such');
    expect(await command.ended).toMatchObject({ exitCode: 127 });
  });
});

describe('where Node itself was run with nohup, SIGHUP is nothing to a follow', () => {
  const survives = async (start: (url: string, out: string) => unknown) => {
    const server = await servers.guest();
    const out = path.join(await temporaryDirectory(), 'out');
    const url = server.url('/a');
    start(url, out);
    await waitFor(async () => /^\d+$/m.test(await textOf(out)), 'its number');
    const pid = Number.parseInt(await textOf(out), 10);
    onTestFinished(() => void process.kill(pid, 'SIGKILL'));
    await waitFor(async () => (await textOf(out)).includes('waiting for it'), 'it to follow');
    process.kill(pid, 'SIGHUP');
    await fetch(url, { method: 'PUT', body: 'after it' });
    await waitFor(async () => (await textOf(out)).includes('after it'), 'what comes');
  };

  test('by a shell that says so', () =>
    survives((url, out) => {
      const command = `echo $$ > ${out}; exec ${FOLLOW} -F ${url} >> ${out} 2>&1`;
      startProgram('/bin/sh', ['-c', command], { env: { PATH, _: '/usr/bin/nohup' } });
    }));

  test('by a script that ignores it', () =>
    survives((url, out) =>
      shell(`trap '' HUP; ${FOLLOW} -F ${url} >> ${out} 2>&1 & echo $! > ${out}; wait`),
    ));

  test.skipIf(!hasTerminals)('at a terminal', () =>
    survives((url, out) => {
      const command = `echo $$ > ${out}; exec nohup ${FOLLOW} -F ${url} >> ${out} 2>&1`;
      return new Terminal(`sh -c '${command.replaceAll("'", "'\\''")}'`);
    }),
  );
});

test('without nohup a command that is run by its file ends on SIGHUP', async () => {
  const server = await servers.guest();
  const command = startProgram('/bin/sh', [fileOf('httpfstream-append'), '--tee', server.url('/a')]);
  command.stdin.write('x');
  await waitFor(() => command.stdout().length === 1, 'the copy');
  command.kill('SIGHUP');
  expect(await command.ended).toMatchObject({ exitCode: 129, stderr: '' });
});

test('a command gets no word of how its append was started', async () => {
  const server = await servers.guest();
  const env = { HTTPFSTREAM_SIGHUP: 'default' };
  const command = new RunningCommand('httpfstream-append', ['--tee', server.url('/a'), '--', 'env'], { env });
  expect(await command.exit).toBe(0);
  expect(command.stdout.toString()).not.toContain('HTTPFSTREAM_SIGHUP');
});
