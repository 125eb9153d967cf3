import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { assertGlibc, PtyCommand } from '../../../src/cli/append/pty-command.ts';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { pattern } from '../../support/pattern.ts';
import { CommandHere, run, runHere } from '../../support/programs/command.ts';
import { hasPty } from '../../support/programs/has-pty.ts';
import { hasTerminals, Terminal } from '../../support/programs/terminal.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const WITHOUT_PACKAGE = fileURLToPath(new URL('../../support/programs/without-package.mjs', import.meta.url));
const APPEND = fileURLToPath(new URL('../../../dist/bin/httpfstream-append.js', import.meta.url));
const SIZE = { columns: 80, rows: 24 };

const appendPty = (url: string, ...command: string[]) => runHere(runAppend, ['--pty', url, '--', ...command]);
const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');

describe.runIf(hasPty)('httpfstream-append --pty -- COMMAND', () => {
  test('runs it on a terminal of 80 columns and 24 rows, its standard input and /dev/tty, too', async () => {
    const server = await servers.guest();
    const script = 'for i in 0 1 2; do test -t $i && echo $i; done; stty size; echo direct > /dev/tty';
    const { exit, stderr } = await appendPty(server.url('/a'), 'sh', '-c', script);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(await textOf(`${server.root}/a`)).toBe('0\r\n1\r\n2\r\n24 80\r\ndirect\r\n');
  });

  test('what it writes comes at once, where it would wait in a buffer otherwise', async () => {
    const server = await servers.guest();
    const script = '(echo at once; sleep 300) | sed ""';
    const command = new CommandHere(runAppend, ['--pty', server.url('/a'), '--', 'sh', '-c', script]);
    await waitFor(async () => (await textOf(`${server.root}/a`)) === 'at once\r\n', 'the line');
    command.signal('SIGTERM');
    expect(await command.exit).toBe(143);
  });

  test.each([
    ['exit 3', 3],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
  ])('exits as the command does, and its followers are told: %s', async (script, status) => {
    const server = await servers.guest();
    expect((await appendPty(server.url('/a'), 'sh', '-c', script)).exit).toBe(status);
    expect((await runHere(runFollow, ['--exit-status', server.url('/a')])).exit).toBe(status);
  });

  test('bytes come through as they are', async () => {
    const server = await servers.guest();
    const file = `${await temporaryDirectory()}/bytes`;
    // All but what ends a line, which terminals have their own way of.
    const bytes = Buffer.from(pattern(0, 300_000).map((byte) => (byte === 10 ? 0 : byte)));
    await writeFile(file, bytes);
    expect((await appendPty(server.url('/a'), 'cat', file)).exit).toBe(0);
    expect((await readFile(`${server.root}/a`)).equals(bytes)).toBe(true);
  });

  test('who reads its standard input is told that nobody types', async () => {
    const server = await servers.guest();
    expect((await appendPty(server.url('/a'), 'sh', '-c', 'cat; cat; read line; echo over')).exit).toBe(0);
    expect(await textOf(`${server.root}/a`)).toBe('over\r\n');
  });

  test('Ctrl-C reaches all that runs there', async () => {
    const server = await servers.guest();
    const inner = "trap 'exit 0' INT; echo ready; while :; do sleep 0.1; done";
    const script = `trap "echo stopped; exit 7" INT; sh -c "${inner}"`;
    const command = new CommandHere(runAppend, ['--pty', server.url('/a'), '--', 'sh', '-c', script]);
    await waitFor(async () => (await textOf(`${server.root}/a`)) === 'ready\r\n', 'the command');
    command.signal('SIGINT');
    expect(await command.exit).toBe(7);
    expect(await textOf(`${server.root}/a`)).toContain('stopped');
  });

  test.each([
    ['/none/such', 127, 'command not found'],
    ['no-such-command', 127, 'command not found'],
    ['/', 126, 'EACCES'],
  ])('%s cannot be run, which is told, and nothing is appended', async (name, code, message) => {
    const server = await servers.guest();
    const { exit, stderr } = await appendPty(server.url('/a'), name);
    expect(exit).toBe(code);
    expect(stderr).toMatch(new RegExp(`^failed to run [^\\n]+${message}[^\\n]*\\n$`));
    expect(await readdir(server.root)).not.toContain('a');
  });
});

test.runIf(hasPty && hasTerminals)('at a terminal --pty gives the command one of that size', async () => {
  const server = await servers.guest();
  const append = `${process.execPath} ${APPEND} --pty ${server.url('/a')} -- stty size`;
  await new Terminal(`sh -c 'stty rows 33; exec ${append}'`, { columns: 101 }).ended;
  expect(await textOf(`${server.root}/a`)).toBe('33 101\r\n');
});

describe.runIf(hasPty)('a command on a terminal', () => {
  test('whose output is read slowly loses nothing at its end', async () => {
    const file = `${await temporaryDirectory()}/bytes`;
    const bytes = Buffer.alloc(200_000, 'x');
    await writeFile(file, bytes);
    const command = await PtyCommand.start(['cat', file], SIZE);
    const chunks: Buffer[] = [];
    for await (const chunk of command.output) {
      chunks.push(chunk as Buffer);
      // So that the command waits for its reader now and then.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    expect(await command.exit).toBe(0);
  });

  test('whose output nobody reads before its end loses nothing either', async () => {
    const command = await PtyCommand.start(['sh', '-c', 'head -c 72000 /dev/zero; exit 5'], SIZE);
    // More than the readable holds: the rest is in the terminal when the command ends.
    expect(await command.exit).toBe(5);
    const chunks = (await command.output.toArray()) as Buffer[];
    expect(Buffer.concat(chunks)).toHaveLength(72_000);
  });
});

describe('httpfstream-append --pty', () => {
  test('means nothing without a command', async () => {
    const { exit, stderr } = await runHere(runAppend, ['--pty', 'http://127.0.0.1:1/a']);
    expect({ exit, stderr }).toEqual({
      exit: 2,
      stderr: 'httpfstream-append: --pty needs a command after --\n',
    });
  });

  test('says what it needs where that is not installed, and runs nothing', async () => {
    const server = await servers.guest();
    const { exit, stderr } = await run('httpfstream-append', ['--pty', server.url('/a'), '--', 'true'], {
      env: {
        NODE_OPTIONS: `--import ${pathToFileURL(WITHOUT_PACKAGE)}`,
        WITHOUT_PACKAGE: '@lydell/node-pty',
      },
    });
    expect({ exit, stderr }).toEqual({
      exit: 126,
      stderr:
        'failed to run `true`: --pty needs the optional package @lydell/node-pty, which is not installed\n',
    });
    expect(await readdir(server.root)).not.toContain('a');
  });

  test('is refused where the C library is not glibc, with which it would crash', () => {
    expect(() => assertGlibc('linux', { header: {} })).toThrow('needs glibc');
    expect(() => assertGlibc('linux', { header: { glibcVersionRuntime: '2.36' } })).not.toThrow();
    expect(() => assertGlibc('darwin', { header: {} })).not.toThrow();
  });
});
