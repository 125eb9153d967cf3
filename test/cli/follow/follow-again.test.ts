import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { OriginalAppender } from '../../support/original/clients.ts';
import { CommandHere, portOf, runHere, startServerCommand } from '../../support/programs/command.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeServer } from '../../support/websocket/fake-server.ts';
import { append, followAgain } from './following-again.ts';

const servers = serverForAll();

describe('httpfstream-follow -F', () => {
  test('goes on over appenders, until Ctrl-C: exit code 130', async () => {
    const server = await servers.guest();
    const { command, shows } = followAgain(server);
    await append(server, 'one ');
    await shows('one ');
    await append(server, 'two ');
    await shows('one two ');
    const lost = await OriginalAppender.connect(server.url('/a'));
    await lost.write('three ');
    await shows('one two three ');
    await lost.reset();
    await append(server, 'four');
    await shows('one two three four');
    command.signal('SIGINT');
    expect(await command.exit).toBe(130);
  });

  test('asks again when it was told that it asks too often', async () => {
    const server = await FakeServer.start(
      (connection) => {
        connection.tell({ type: 'open', generation: 1, position: 0, live: true });
        connection.send('hello');
      },
      (number) => (number === 0 ? '429' : undefined),
    );
    const { shows, says } = followAgain({ url: () => server.url });
    await says('cannot be reached: HTTP status 429; trying again');
    await shows('hello');
  });

  test('waits for a file that is not there, and says so once', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    const { command, shows, says } = followAgain(server, '-n', '1');
    await says('file does not exist');
    await append(server, 'one\ntwo\n');
    await shows('one\ntwo\n');
    expect(command.stderr).toBe(
      `httpfstream-follow: ${url}: file does not exist; waiting for it\nhttpfstream-follow: ${url} has appeared; following the new file\n`,
    );
  });

  test.each([
    ['-n', '1', 'two\n'],
    ['-c', '3', 'wo\n'],
    ['--from', '4', 'two\n'],
  ])('%s %s counts at the beginning only', async (option, value, beginning) => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'one\ntwo\n');
    const { shows } = followAgain(server, option, value);
    await shows(beginning);
    await append(server, 'three\nfour\n');
    await shows(`${beginning}three\nfour\n`);
  });

  test('sees what another program appends to the file', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'one ');
    const { shows } = followAgain(server);
    await shows('one ');
    await appendFile(`${server.root}/a`, 'two');
    await shows('one two');
  });

  test('waits for a server that is away, says so once, and that it is there again', async () => {
    const server = await startServerCommand();
    await writeFile(server.file('a'), 'one ');
    const { command, shows, says } = followAgain(server);
    await shows('one ');
    server.command.signal('SIGKILL');
    // Its connections may be gone before its port is free.
    await server.command.exit;
    // As it is told of one who is connected at this moment, or asks again.
    await waitFor(() => /connection lost \(|cannot be reached: /.test(command.stderr), 'it to be told');
    await appendFile(server.file('a'), 'two');
    await portOf(new CommandHere(runServer, [`-root=${server.root}`, `-http=127.0.0.1:${server.port}`]));
    await shows('one two');
    await says(`${server.url('/a')}: connected again\n`);
    expect(command.stderr.match(/\n/g)).toHaveLength(2);
  });

  test.each([429, 503])('waits when it is refused with %i, and says so once', async (status) => {
    const server = await FakeServer.start(
      (connection) => {
        connection.tell({ type: 'open', generation: 1, position: 0, live: true });
        connection.send('one');
      },
      (number) => (number < 2 ? String(status) : undefined),
    );
    const command = new CommandHere(runFollow, ['-F', server.url]);
    await waitFor(() => command.stdout.toString() === 'one', 'what comes in the end');
    expect(command.stderr).toBe(
      `httpfstream-follow: ${server.url} cannot be reached: HTTP status ${status}; trying again\n` +
        `httpfstream-follow: ${server.url}: connected\n`,
    );
  });

  test('says once that a server breaks the rules each time', async () => {
    const server = await FakeServer.start((connection) => connection.send('too early'));
    const command = new CommandHere(runFollow, ['-F', server.url]);
    await waitFor(() => server.queries.length === 3, 'the third attempt');
    expect(command.stderr).toBe(
      `httpfstream-follow: ${server.url}: the server sent bytes before it said which; asking again\n`,
    );
  });

  test('what cannot become better ends it: exit code 1', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'short');
    const { exit, stderr } = await runHere(runFollow, ['-F', '--from', '9', server.url('/a')]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to begin following [^\n]+\n$/);
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('short');
  });

  test('with -v each end is told', async () => {
    const server = await servers.guest();
    const url = server.url('/a');
    await writeFile(`${server.root}/a`, 'one');
    const { command, says } = followAgain(server, '-v');
    await says(`${url}: finished (read 3 bytes); asking again\n`);
    const lost = await OriginalAppender.connect(url);
    await lost.write('two');
    await waitFor(() => command.stdoutBytes === 6, 'the bytes');
    await lost.reset();
    await says(`${url}: interrupted (read 3 bytes); asking again\n`);
    command.signal('SIGTERM');
    expect(await command.exit).toBe(143);
  });
});
