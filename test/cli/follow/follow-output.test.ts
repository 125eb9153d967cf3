import { mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { startSource } from '../../support/http/source.ts';
import { OriginalAppender } from '../../support/original/clients.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { CommandHere, RunningCommand, run, runHere } from '../../support/programs/command.ts';
import { FOLLOW } from '../../support/programs/shell.ts';
import { hasTerminals, Terminal } from '../../support/programs/terminal.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');

describe('httpfstream-follow -o FILE', () => {
  test('writes into a new file, and nothing to standard output', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello');
    const file = path.join(await temporaryDirectory(), 'copy');
    expect(await run('httpfstream-follow', ['-o', file, server.url('/a')])).toMatchObject({
      exit: 0,
      stdout: '',
      stderr: '',
    });
    expect(await textOf(file)).toBe('hello');
  });

  test.skipIf(!hasTerminals)('shows on a terminal how far it is, and how it went', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(file, Buffer.alloc(1000));
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write(Buffer.alloc(501_000));
    const terminal = new Terminal(`${FOLLOW} -o ${file} ${server.url('/a')}`);
    await waitFor(() => /following 501\.0 kB, \d+\.\d k?M?B\/s/.test(terminal.output), 'the progress');
    expect(terminal.showsCursor).toBe(false);
    await appender.close();
    expect(await terminal.ended).toMatchObject({ exitCode: 0 });
    expect(terminal.output).toMatch(/✔ received 500\.0 kB in \d+\.\d s/);
    expect(terminal.showsCursor).toBe(true);
  });

  test('goes on at the size of an existing file, live', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(file, 'hel');
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('hello');
    const command = new CommandHere(runFollow, ['-output', file, server.url('/a')]);
    await waitFor(async () => (await textOf(file)) === 'hello', 'the history');
    await appender.write(' world');
    await waitFor(async () => (await textOf(file)) === 'hello world', 'what came');
    await appender.close();
    expect(await command.exit).toBe(0);
  });

  test('a file that is complete stays as it is, exit code 0', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await Promise.all([file, `${server.root}/a`].map((each) => writeFile(each, 'hello')));
    expect((await runHere(runFollow, ['-o', file, server.url('/a')])).exit).toBe(0);
    expect(await textOf(file)).toBe('hello');
  });

  test.each([[[]], [['-F']]])(
    'a file that is longer than the resource is an error that names both sizes, exit code 4 (%j)',
    async (options) => {
      const server = await servers.guest();
      const file = path.join(await temporaryDirectory(), 'copy');
      await writeFile(file, 'longer');
      await writeFile(`${server.root}/a`, 'short');
      const { exit, stderr } = await runHere(runFollow, [...options, '-o', file, server.url('/a')]);
      expect(exit).toBe(4);
      expect(stderr).toBe(
        `failed to begin following ${server.url('/a')}: ${file} has 6 bytes, more than the 5 bytes there\n`,
      );
      expect(await textOf(file)).toBe('longer');
    },
  );

  test.each([
    ['at its beginning', 'first and second and third', 'F'],
    ['at its end', `first${'.'.repeat(200_000)}second`, undefined],
  ])('goes on with nothing that is something else %s: exit code 4', async (_, there, first) => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(`${server.root}/a`, `${there} and more`);
    const held = first === undefined ? `${there.slice(0, -1)}D` : `${first}${there.slice(1)}`;
    await writeFile(file, held);
    const { exit, stderr } = await runHere(runFollow, ['-o', file, server.url('/a')]);
    expect(exit).toBe(4);
    expect(stderr).toBe(
      `error following ${server.url('/a')}: ${file} is not the beginning of it: it was made anew, or is something else\n`,
    );
    expect(await textOf(file)).toBe(held);
  });

  test('one that was made anew is not mixed with what is there of the old one, be they of one length', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(`${server.root}/a`, 'old text');
    expect((await runHere(runFollow, ['-o', file, server.url('/a')])).exit).toBe(0);
    await rm(`${server.root}/a`);
    await writeFile(`${server.root}/a`, 'new text');
    expect((await runHere(runFollow, ['-o', file, server.url('/a')])).exit).toBe(4);
    expect(await textOf(file)).toBe('old text');
  });

  /** A file with a text, and the URL of a resource of which a part is answered in some way. */
  const compared = async (held: string, there: string, answerRange: RequestListener) => {
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(file, held);
    const source = await startSource((request, response) => {
      if (request.headers.range === undefined) response.end(there);
      else answerRange(request, response);
    });
    return { file, url: `${source}a` };
  };

  test.each([
    ['status 503', { 'retry-after': '1' }, ': HTTP status 503'],
    ['status 401', {}, ': HTTP status 401'],
    ['status 404', {}, ': file does not exist'],
    ['status 206', { 'content-range': 'bytes 0-3/8' }, 'bytes 0-3/8'],
  ])(
    'nothing is written when the comparison is answered with %s %j: exit code 1',
    async (status, headers, why) => {
      const { file, url } = await compared('OLD text', 'NEW file, is long', (_, response) =>
        response.writeHead(Number(status.slice(7)), headers).end(),
      );
      const { exit, stderr } = await runHere(runFollow, ['-o', file, url]);
      expect(exit).toBe(1);
      expect(stderr).toMatch(/^error following [^\n]+\n$/);
      expect(stderr).toContain(why);
      expect(await textOf(file)).toBe('OLD text');
    },
  );

  test.each([200, 405, 416, 501])('a server that cannot compare (%d) is believed', async (status) => {
    const { file, url } = await compared('hello', 'hello world', (_, response) =>
      response.writeHead(status).end(),
    );
    expect((await runHere(runFollow, ['-o', file, url])).exit).toBe(0);
    expect(await textOf(file)).toBe('hello world');
  });

  test('with -F it is compared again when the server was busy', async () => {
    let refusals = 0;
    const { file, url } = await compared('OLD text', 'NEW file, is long', (_, response) => {
      if (refusals++ === 0) response.writeHead(503).end();
      else response.writeHead(206, { 'content-range': 'bytes 0-7/17' }).end('NEW file');
    });
    const { exit, stderr } = await runHere(runFollow, ['-F', '-o', file, url]);
    expect(exit).toBe(4);
    expect(stderr).toMatch(
      /cannot be reached: HTTP status 503; trying again\n.* is not the beginning of it/s,
    );
    expect(await textOf(file)).toBe('OLD text');
  });

  test('of a resource that answers without end no more is read than is compared: exit code 4', async () => {
    let isGone = false;
    const { file, url } = await compared('OLD text', 'NEW file, is long', (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-7/17' });
      response.once('close', () => {
        isGone = true;
      });
      response.write('OLD text and more');
    });
    expect((await runHere(runFollow, ['-o', file, url])).exit).toBe(4);
    expect(await textOf(file)).toBe('OLD text');
    await waitFor(() => isGone, 'the connection to be let go of');
  });

  test('a comparison that breaks off says nothing of the file: exit code 1', async () => {
    const { file, url } = await compared('hello', 'hello world', (_, { socket }) =>
      socket?.end('HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/11\r\n\r\nhel'),
    );
    const { exit, stderr } = await runHere(runFollow, ['-o', file, url]);
    expect(exit).toBe(1);
    expect(stderr).toBe(`error following ${url}: the beginning of the resource broke off\n`);
    expect(await textOf(file)).toBe('hello');
  });

  test.each([[[]], [['-F']]])(
    'one that is longer than a resource whose size does not come ends at Ctrl-C (%j): exit code 130',
    async (options) => {
      let isAsked = false;
      const source = await startSource(({ method, headers }, response) => {
        if (method === 'HEAD') isAsked = true;
        else if (headers.range === undefined) response.end('short');
        else response.writeHead(416).end();
      });
      const file = path.join(await temporaryDirectory(), 'copy');
      await writeFile(file, 'longer');
      const command = new CommandHere(runFollow, [...options, '-o', file, `${source}a`]);
      await waitFor(() => isAsked, 'the question');
      command.signal('SIGINT');
      expect(await command.exit).toBe(130);
      expect(command.stderr).toBe('');
    },
  );

  test('one that is compared with a resource that does not come ends at Ctrl-C: exit code 130', async () => {
    let isCompared = false;
    const source = await startSource(({ headers }, response) => {
      if (headers.range === undefined) response.end('hello and more');
      else isCompared = true;
    });
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(file, 'hello');
    const command = new CommandHere(runFollow, ['-o', file, `${source}a`]);
    await waitFor(() => isCompared, 'the comparison');
    command.signal('SIGINT');
    expect(await command.exit).toBe(130);
    expect(await textOf(file)).toBe('hello');
  });

  test('with -F it ends when the resource is cut, and never mixes two: exit code 4', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    const append = new CommandHere(runAppend, [server.url('/a')]);
    append.stdin.write('hello');
    await waitFor(async () => (await textOf(`${server.root}/a`)) === 'hello', 'the file');
    const command = new CommandHere(runFollow, ['-F', '-o', file, server.url('/a')]);
    await waitFor(async () => (await textOf(file)) === 'hello', 'the copy');
    await truncate(`${server.root}/a`, 1);
    expect(await command.exit).toBe(4);
    expect(await textOf(file)).toBe('hello');
  });

  test.each([
    ['deleted', undefined],
    ['made anew', 'something else'],
  ])('with -F it ends when an idle resource is %s: exit code 4', async (_, anew) => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'copy');
    await writeFile(`${server.root}/a`, 'hello');
    const command = new CommandHere(runFollow, ['-F', '-o', file, server.url('/a')]);
    await waitFor(async () => (await textOf(file)) === 'hello', 'the copy');
    await rm(`${server.root}/a`);
    if (anew !== undefined) await writeFile(`${server.root}/a`, anew);
    expect(await command.exit).toBe(4);
    expect(await textOf(file)).toBe('hello');
  });

  test('with -F it ends when a resource of a legacy server was deleted: exit code 4', async () => {
    let requests = 0;
    const source = await startSource((_, response) => {
      requests++;
      if (requests === 1) response.end('hello');
      else if (requests === 2) response.writeHead(404).end();
      else response.end('something else');
    });
    const url = `${source}a`;
    const file = path.join(await temporaryDirectory(), 'copy');
    const { exit, stderr } = await runHere(runFollow, ['-F', '-o', file, url]);
    expect({ exit, stderr }).toEqual({
      exit: 4,
      stderr: `failed to begin following ${url}: the file was deleted\n`,
    });
    expect(await textOf(file)).toBe('hello');
  });

  describe.each([
    [
      'this',
      async () => {
        const server = await servers.guest();
        const put = async (text: string) => {
          await writeFile(`${server.root}/new`, text);
          await rename(`${server.root}/new`, `${server.root}/a`);
        };
        return { url: server.url('/a'), put };
      },
    ],
    [
      'the original',
      async () => {
        const server = await OriginalServer.start();
        return { url: server.url('/a'), put: async (text: string) => server.write('/a', text) };
      },
    ],
  ])('with -F, from a server of %s kind, where the resource is not there yet,', (_, start) => {
    const wait = async () => {
      const { url, put } = await start();
      const file = path.join(await temporaryDirectory(), 'copy');
      await writeFile(file, 'hello');
      const command = new CommandHere(runFollow, ['-F', '-o', file, url]);
      await waitFor(() => command.stderr.includes('waiting for it'), 'it to wait');
      return { put, file, command };
    };

    test('the file is taken for its beginning', async () => {
      const { put, file, command } = await wait();
      await put('hello world');
      await waitFor(async () => (await textOf(file)).length > 5, 'the rest');
      expect(await textOf(file)).toBe('hello world');
      command.signal('SIGINT');
      expect(await command.exit).toBe(130);
    });

    test('it ends when one appears that is shorter than the file: exit code 4', async () => {
      const { put, file, command } = await wait();
      await put('hi');
      expect(await command.exit).toBe(4);
      expect(command.stderr).toContain(`${file} has 5 bytes, more than the `);
      expect(await textOf(file)).toBe('hello');
    });
  });

  test('a file that cannot be made is one line on stderr, exit code 1', async () => {
    const server = await servers.guest();
    await mkdir(`${server.root}/directory`);
    const args = ['-o', `${server.root}/directory`, server.url('/a')];
    const { exit, stderr } = await runHere(runFollow, args);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^cannot write to [^\n]+: EISDIR: [^\n]+\n$/);
  });
});

describe('httpfstream-follow with several URLs', () => {
  test('writes each under its header, as tail does, when the source changes', async () => {
    const server = await servers.guest();
    const [a, b] = [server.url('/a'), server.url('/b')];
    const [one, two] = [await OriginalAppender.connect(a), await OriginalAppender.connect(b)];
    const command = new CommandHere(runFollow, [a, b]);
    const expected: string[] = [];
    const writes = [
      [one, 'a1\n', `==> ${a} <==\na1\n`],
      [one, 'a2', 'a2'],
      [two, 'b1\n', `\n==> ${b} <==\nb1\n`],
      [one, 'a3\n', `\n==> ${a} <==\na3\n`],
    ] as const;
    for (const [appender, text, shown] of writes) {
      await appender.write(text);
      expected.push(shown);
      await waitFor(() => command.stdout.toString() === expected.join(''), `${text} to appear`);
    }
    await one.close();
    await two.close();
    expect(await command.exit).toBe(0);
    expect(command.stderr).toBe('');
  });

  test('one that fails does not stop the others; the exit code is the largest', async () => {
    const server = await servers.guest();
    const [a, b, none] = [server.url('/a'), server.url('/b'), server.url('/none')];
    const [one, two] = [await OriginalAppender.connect(a), await OriginalAppender.connect(b)];
    const command = new CommandHere(runFollow, [a, b, none]);
    await waitFor(
      () => command.stderr === `failed to begin following ${none}: file does not exist\n`,
      'the failure',
    );
    await one.write('x');
    await waitFor(() => command.stdout.toString().endsWith('x'), 'the byte');
    await one.reset();
    await waitFor(() => command.stderr.includes(`error following ${a}: `), 'the interruption');
    await two.write('y');
    await waitFor(() => command.stdout.toString().endsWith('y'), 'the byte of the other');
    await two.close();
    expect(await command.exit).toBe(3);
  });

  test('a URL that is given twice is followed once, without a header', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'hello');
    expect(await runHere(runFollow, [server.url('/a'), server.url('/a')])).toMatchObject({
      exit: 0,
      stdout: 'hello',
    });
  });

  test('Ctrl-C ends all: exit code 130', async () => {
    const server = await servers.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('x');
    const command = new RunningCommand('httpfstream-follow', ['-F', server.url('/a'), server.url('/none')]);
    await waitFor(() => command.stdout.toString().endsWith('x'), 'the byte');
    command.signal('SIGINT');
    expect(await command.exit).toBe(130);
  });

  test.skipIf(!hasTerminals)('headers are coloured on a terminal, but not with NO_COLOR', async () => {
    const server = await servers.guest();
    const [a, b] = [server.url('/a'), server.url('/b')];
    await writeFile(`${server.root}/a`, 'a\n');
    await writeFile(`${server.root}/b`, 'b\n');
    const coloured = new Terminal(`${FOLLOW} ${a} ${b}`);
    expect(await coloured.ended).toMatchObject({ exitCode: 0 });
    expect(coloured.output).toContain(`\u001b[1;36m==> ${a} <==\u001b[0m\r\na\r\n`);
    const plain = new Terminal(`${FOLLOW} ${a} ${b}`, { env: { NO_COLOR: '1' } });
    expect(await plain.ended).toMatchObject({ exitCode: 0 });
    expect(plain.output).toContain(`==> ${a} <==\r\na\r\n`);
    expect(plain.output).not.toContain('\u001b');
  });

  test.skipIf(!hasTerminals)('Ctrl-C at a terminal: exit code 130', async () => {
    const server = await servers.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write('x');
    const terminal = new Terminal(`${FOLLOW} ${server.url('/a')}`);
    await waitFor(() => terminal.output.endsWith('x'), 'the byte');
    terminal.ctrlC();
    expect(await terminal.ended).toMatchObject({ exitCode: 130 });
  });
});
