import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { CommandHere, RunningCommand, run, runHere } from '../../support/programs/command.ts';
import { runSuccessfully, startProgram } from '../../support/programs/program.ts';
import { APPEND } from '../../support/programs/shell.ts';
import { type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const append = (...args: string[]) => runHere(runAppend, args);

async function fileWith(content: string): Promise<string> {
  const file = path.join(await temporaryDirectory(), 'file');
  await writeFile(file, content);
  return file;
}

const text = (server: TestServer) => readFile(`${server.root}/a`, 'utf8').catch(() => '');
const fifo = async () => {
  const file = path.join(await temporaryDirectory(), 'fifo');
  await runSuccessfully('mkfifo', [file]);
  return file;
};

test('appends what comes through a named pipe, whose writer may come later, between files', async () => {
  const server = await servers.guest();
  const [one, pipe, two] = [await fileWith('one '), await fifo(), await fileWith('two')];
  const files = [one, pipe, two].flatMap((file) => ['--from-file', file]);
  const command = new CommandHere(runAppend, [...files, server.url('/a')]);
  await waitFor(async () => (await text(server)) === 'one ', 'the first file');
  const writer = await open(pipe, 'w');
  await writer.write('through ');
  await waitFor(async () => (await text(server)) === 'one through ', 'what comes at once');
  await writer.write('the pipe ');
  await writer.close();
  expect(await command.exit).toBe(0);
  expect(await text(server)).toBe('one through the pipe two');
});

test.each([
  ['what a shell calls <(COMMAND)', (url: string) => `echo x | ${APPEND} --from-file /dev/fd/3 ${url} 3<&0`],
  ['/dev/stdin, a pipe', (url: string) => `echo x | ${APPEND} --from-file /dev/stdin ${url}`],
  ['/dev/stdin, a file', (url: string) => `${APPEND} --from-file /dev/stdin ${url} < "$0"`],
  ['standard input that is a named pipe, whose writer has left', (url: string) => `${APPEND} ${url} <&4`],
  ['/dev/stdin that is such a pipe', (url: string) => `${APPEND} --from-file /dev/stdin ${url} <&4`],
])('appends %s', async (_, lineOf) => {
  const server = await servers.guest();
  const pipe = await fifo();
  // So that the pipe holds something that nobody writes any more, somebody has it open to read.
  const reader = await open(pipe, 'r+');
  await reader.write('x\n');
  const line = `exec 4<"$1"; echo ready; read go; ${lineOf(server.url('/a'))}`;
  const program = startProgram('/bin/sh', ['-c', line, await fileWith('x\n'), pipe]);
  await waitFor(() => program.stdout().length > 0, 'the shell');
  await reader.close();
  program.stdin.end('\n');
  expect(await program.ended).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await text(server)).toBe('x\n');
});

test('appends /dev/stdin that is a socket', async () => {
  const server = await servers.guest();
  const options = ['--from-file', '/dev/stdin', server.url('/a')];
  expect(await run('httpfstream-append', options, { input: 'x' })).toMatchObject({ exit: 0, stderr: '' });
  expect(await text(server)).toBe('x');
});

test('a URL that ends in / gets the name of a pipe that has one, and is refused for others', async () => {
  const server = await servers.guest();
  const pipe = await fifo();
  const named = new CommandHere(runAppend, ['--from-file', pipe, server.url('/')]);
  await (await open(pipe, 'w')).close();
  expect(await named.exit).toBe(0);
  expect(await readdir(server.root)).toContain('fifo');
  const { exit, stderr } = await append('--from-file', '/dev/stdin', server.url('/'));
  expect(exit).toBe(1);
  expect(stderr).toMatch(/^failed to append from [^\n]+: there is no name to add: add one to the URL\n$/);
});

test('--resume is wrong usage, and nothing is made', async () => {
  const server = await servers.guest();
  const pipe = await fifo();
  const files = ['--from-file', await fileWith('x'), '--from-file', pipe];
  const { exit, stderr } = await append('--resume', ...files, server.url('/a'));
  expect(exit).toBe(2);
  expect(stderr).toMatch(/^failed to append from [^\n]+: --resume needs files, and [^\n]+ can only be read/);
  expect(stderr).toContain(`and ${pipe} can`);
  expect(await readdir(server.root)).not.toContain('a');
});

test('Ctrl-C ends it while it waits for a writer: exit code 130', async () => {
  const server = await servers.guest();
  const options = ['--from-file', await fileWith('x'), '--from-file', await fifo(), server.url('/a')];
  const command = new RunningCommand('httpfstream-append', options);
  await waitFor(async () => (await text(server)) === 'x', 'the file before it');
  command.signal('SIGINT');
  expect(await command.exit).toBe(130);
});
