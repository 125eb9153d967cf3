import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../src/cli/append/run-append.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { OriginalAppender } from '../support/original/clients.ts';
import { OriginalServer } from '../support/original/server.ts';
import { CommandHere, RunningCommand, runHere } from '../support/programs/command.ts';
import { serverForAll } from '../support/server/server-for-all.ts';
import { waitFor } from '../support/wait-for.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

const servers = serverForAll();

const follow = (...args: string[]) => runHere(runFollow, ['--exit-status', ...args]);
const append = (url: string, script: string) => runHere(runAppend, [url, '--', 'sh', '-c', script]);

const unknown = (url: string) => `${url}: the stream finished, and no exit status was told\n`;

describe('httpfstream-follow --exit-status', () => {
  test.each([
    ['exit 0', 0],
    ['exit 3', 3],
    ['exit 255', 255],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
  ])('exits as the command did, followed live and later: %s', async (script, status) => {
    const server = await servers.guest();
    const url = server.url('/a');
    const live = new CommandHere(runFollow, ['--exit-status', '--wait', url]);
    expect((await append(url, `echo built; ${script}`)).exit).toBe(status);
    expect([await live.exit, live.stdout.toString(), live.stderr]).toEqual([status, 'built\n', '']);
    expect(await follow(url)).toEqual({ exit: status, stdout: 'built\n', stderr: '' });
  });

  test('without it the exit code says how the stream ended, as ever', async () => {
    const server = await servers.guest();
    await append(server.url('/a'), 'exit 3');
    expect((await runHere(runFollow, [server.url('/a')])).exit).toBe(0);
  });

  test('with -o, too, and of several URLs it is the largest', async () => {
    const server = await servers.guest();
    await append(server.url('/a'), 'exit 4');
    await append(server.url('/b'), 'exit 3');
    expect((await follow('-o', `${server.root}/copy`, server.url('/a'))).exit).toBe(4);
    expect((await follow(server.url('/a'), server.url('/b'))).exit).toBe(4);
  });

  test.each<[string, (url: string, root: string) => Promise<unknown>]>([
    ['an append of standard input', (url) => runHere(runAppend, [url], { input: 'x' })],
    ['a legacy appender', async (url) => (await OriginalAppender.connect(url)).close()],
    ['a file of another program', (_url, root) => writeFile(`${root}/a`, 'x')],
    [
      'an append after that of the command',
      async (url) => {
        await append(url, 'exit 0');
        await runHere(runAppend, [url], { input: 'x' });
      },
    ],
  ])('exits with 125 and says why when no status is known: %s', async (_, write) => {
    const server = await servers.guest();
    await write(server.url('/a'), server.root);
    expect(await follow(server.url('/a'))).toMatchObject({ exit: 125, stderr: unknown(server.url('/a')) });
  });

  test('exits with 125 for a server of the original’s kind, which cannot tell', async () => {
    const server = await OriginalServer.start();
    await append(server.url('/a'), 'echo x');
    expect(await follow(server.url('/a'))).toMatchObject({ exit: 125, stderr: unknown(server.url('/a')) });
  });

  test('a stream that did not finish, and one that is not there, are what they are without it', async () => {
    const server = await servers.guest();
    const appender = await V2Peer.append(server.url('/a'));
    await appender.close(1001);
    expect((await follow(server.url('/a'))).exit).toBe(3);
    expect((await follow(server.url('/none'))).exit).toBe(1);
  });

  test('exits with 125 when nobody reads what it writes: it has not seen the end', async () => {
    const server = await servers.guest();
    const appender = await V2Peer.append(server.url('/a'));
    await appender.send('x');
    const command = new RunningCommand('httpfstream-follow', ['--exit-status', server.url('/a')]);
    await waitFor(() => command.stdoutBytes === 1, 'the byte');
    command.child.stdout.destroy();
    await appender.send('more');
    expect(await command.exit).toBe(125);
  });

  test('cannot be used with -F, which has no end', async () => {
    const { exit, stderr } = await follow('-F', 'http://127.0.0.1:1/a');
    expect(exit).toBe(2);
    expect(stderr).toMatch(/^httpfstream-follow: [^\n]*--exit-status[^\n]*-F[^\n]*\n$/);
  });
});

describe('httpfstream-append -- COMMAND', () => {
  test('that is stopped by a signal tells how it ended', async () => {
    const server = await servers.guest();
    const script = 'trap "echo bye; exit 9" TERM; echo ready; while :; do sleep 0.05; done';
    const command = new CommandHere(runAppend, [server.url('/a'), '--', 'sh', '-c', script]);
    await waitFor(
      async () => (await fetch(server.url('/a'))).headers.get('content-length') === '6',
      'it to run',
    );
    command.signal('SIGTERM');
    expect(await command.exit).toBe(9);
    expect(await follow(server.url('/a'))).toEqual({ exit: 9, stdout: 'ready\nbye\n', stderr: '' });
  });
});
