import { spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { upload } from '../../support/http/request.ts';
import { startSource } from '../../support/http/source.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { CommandHere, runHere } from '../../support/programs/command.ts';
import { startProgram } from '../../support/programs/program.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

interface Asked {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A server that notes what it is asked, and leaves the answer to `answer`; by default that is `answer`. */
async function startModel(
  answer: (response: ServerResponse, asked: Asked) => void = (response) => response.end('answer'),
) {
  const asked: Asked[] = [];
  const url = await startSource(async (request: IncomingMessage, response) => {
    const { method, url, headers } = request;
    const seen = { method, url, headers, body: await buffer(request) };
    asked.push(seen);
    answer(response, seen);
  });
  return { url, asked };
}

const append = (...args: string[]) => runHere(runAppend, args);

const contentOf = (root: string) => readFile(path.join(root, 'a'), 'utf8').catch(() => undefined);

const hasCurl = spawnSync('curl', ['--version']).status === 0;

describe('a request is what curl makes of the same options', () => {
  test
    .runIf(hasCurl)
    .each([
      ['-d x=1'],
      ['-d x=1 -d y=2'],
      ['-dx=1'],
      ['-d ='],
      ['-d @lines'],
      ['-d @lines --data-binary @lines -d end'],
      ['--data-binary @bytes'],
      ['-d @-'],
      ['--data-binary @-'],
      ['-X PUT -d x'],
      ['-XPATCH --data x'],
      ['--request POST'],
      ['-X DELETE'],
      ['-X GET -H X-One:1'],
      ['-H Content-Type:application/json -d {}'],
      ['-H content-type:text/plain -H X-One:1 -H X-Two:two --data-binary @lines'],
    ])('%s', async (text) => {
    const options = text.split(' ');
    const input = 'from\r\nstandard\ninput\n';
    const directory = await temporaryDirectory();
    await writeFile(path.join(directory, 'lines'), 'one\ntwo\r\nthree\n');
    await writeFile(
      path.join(directory, 'bytes'),
      Uint8Array.from({ length: 255 }, (_, i) => i + 1),
    );
    const model = await startModel();
    const curl = startProgram('curl', ['-sf', ...options, model.url], { cwd: directory });
    curl.stdin.end(input);
    expect((await curl.ended).exitCode).toBe(0);
    const server = await servers.guest();
    const ours = options.map((option) => option.replace(/^@(?=lines|bytes)/, `@${directory}/`));
    const { exit, stderr } = await runHere(runAppend, ['--from-url', model.url, ...ours, server.url('/a')], {
      input,
    });
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    const [theirs, own] = model.asked.map(({ method, headers, body }) => ({
      method,
      body,
      type: headers['content-type'],
      one: headers['x-one'],
      two: headers['x-two'],
      length: headers['content-length'] ?? '0',
    }));
    expect(own).toEqual({ ...theirs, length: theirs?.length });
    expect(await contentOf(server.root)).toBe('answer');
  });
});

test('of a file NUL is left out, too, but by --data-binary', async () => {
  const file = path.join(await temporaryDirectory(), 'file');
  await writeFile(file, 'a\0\nb');
  const model = await startModel();
  const server = await servers.guest();
  await append('--from-url', model.url, '-d', `@${file}`, '--data-binary', `@${file}`, server.url('/a'));
  expect(model.asked[0]?.body.toString()).toBe('ab&a\0\nb');
});

describe('-H', () => {
  const secrets = ['-H', 'Authorization: Bearer secret', '-H', 'X-Key: secret'];

  test('is for --from-url when there is a request, and --token for the server', async () => {
    const model = await startModel();
    const server = await startServer();
    const seen: IncomingHttpHeaders[] = [];
    server.app.server.on('upgrade', ({ headers }) => seen.push(headers));
    const options = [...secrets, '-H', 'Sec-Any: 1', '--token', 'ours', '-d', 'x'];
    const { exit, stdout, stderr } = await append(
      '-v',
      ...options,
      '--from-url',
      model.url,
      server.url('/a'),
    );
    expect(exit).toBe(0);
    expect(stdout + stderr).not.toMatch(/secret|ours/);
    const [asked] = model.asked;
    expect(asked?.headers).toMatchObject({
      authorization: 'Bearer secret',
      'x-key': 'secret',
      'sec-any': '1',
    });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.authorization).toBe('Bearer ours');
    expect(JSON.stringify(seen)).not.toContain('secret');
  });

  test.each([303, 307])('does not follow a redirect (%d) to elsewhere', async (status) => {
    const other = await startModel();
    const model = await startModel((response) => response.writeHead(status, { location: other.url }).end());
    const server = await startServer();
    expect(await append(...secrets, '-d', 'x', '--from-url', model.url, server.url('/a'))).toMatchObject({
      exit: 0,
      stderr: '',
    });
    const [asked] = other.asked;
    expect(asked).toMatchObject(
      status === 303 ? { method: 'GET', body: Buffer.alloc(0) } : { method: 'POST', body: Buffer.from('x') },
    );
    expect(JSON.stringify(asked?.headers)).not.toContain('secret');
  });

  test('is not shown by a server that refuses, and repeats it', async () => {
    const model = await startModel((response, { headers }) => {
      response.writeHead(401).end(`wrong key: ${headers.authorization}`);
    });
    const server = await servers.guest();
    const { exit, stderr } = await append(
      '-v',
      ...secrets,
      '-d',
      'x',
      '--from-url',
      model.url,
      server.url('/a'),
    );
    expect(exit).toBe(1);
    expect(stderr).toMatch(/: HTTP status 401\n$/);
    expect(stderr).not.toContain('secret');
    expect(await readdir(server.root)).not.toContain('a');
  });
});

test('a file to be sent that cannot be read is told before anything is asked or made', async () => {
  const model = await startModel();
  const server = await servers.guest();
  for (const more of [[], ['--once']]) {
    const { exit, stderr } = await append('--from-url', model.url, '-d', '@none', ...more, server.url('/a'));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to append from [^\n]+ENOENT[^\n]+\n$/);
  }
  expect(model.asked).toEqual([]);
  expect(await readdir(server.root)).not.toContain('a');
});

describe('the type of the file', () => {
  const typeOf = async (url: string) => (await fetch(url)).headers.get('content-type');

  test.each([[[]], [['-d', 'question']], [['--once', '-d', 'question']]])(
    'is that of the answer (%j), or what --content-type says',
    async (options) => {
      const server = await servers.guest();
      const model = await startModel((response) =>
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: hello\n\n'),
      );
      const request = [...options, '--from-url', model.url];
      expect(await append(...request, server.url('/a.json'))).toMatchObject({ exit: 0, stderr: '' });
      expect(await typeOf(server.url('/a.json'))).toBe('text/event-stream');
      await append('--content-type', 'text/x-own', ...request, server.url('/b'));
      expect(await typeOf(server.url('/b'))).toBe('text/x-own');
    },
  );

  test('is what --content-type says of standard input, a file, and what a command writes', async () => {
    const server = await servers.guest();
    const file = path.join(await temporaryDirectory(), 'file');
    await writeFile(file, 'from a file');
    for (const source of [[], ['--from-file', file], ['--', 'echo', 'hello']]) {
      const url = server.url(`/${source.length}.html`);
      const [options, command] = source[0] === '--' ? [[], source] : [source, []];
      const run = await append('--content-type=text/csv', ...options, url, ...command);
      expect(run).toMatchObject({ exit: 0, stderr: '' });
      expect(await typeOf(url)).toBe('text/csv');
    }
  });

  test('that has no effect is said, and is no error', async () => {
    const server = await servers.guest();
    const run = async (...args: readonly string[]) => {
      const { exit, stderr } = await append(...args);
      expect(exit).toBe(0);
      return stderr;
    };
    const again = (name: string, type: string) => run(`--content-type=${type}`, server.url(name));
    await upload(server.url('/a?verb=APPEND&content-type=text/csv'), 'a,b');
    await upload(server.url('/b?verb=APPEND'), 'text');
    expect(await again('/a', 'text/html')).toContain(
      'no effect: what is there already is of the type text/csv',
    );
    expect(await again('/b', 'text/html')).toContain(
      'no effect: something is there already, and was given none',
    );
    expect([await again('/a', 'text/csv'), await again('/c', 'text/csv')]).toEqual(['', '']);
    const model = await startModel((response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end(),
    );
    const typed = ['--content-type=text/html', server.url('/a')];
    expect(await run('--from-url', model.url, ...typed)).toContain('no effect');
    expect(await run(...typed, '--', 'true')).toContain('no effect');
    // Nobody has asked for the type that an answer has.
    expect(await run('--from-url', model.url, server.url('/a'))).not.toContain('no effect');
  });

  test.each(['csv', ''])('must be one, which %j is not', async (type) => {
    const { exit, stderr } = await append('--content-type', type, 'http://127.0.0.1:1/a');
    expect([exit, stderr]).toEqual([2, expect.stringContaining(`"${type}" is not a content type`)]);
  });
});

describe('--once', () => {
  const once = (model: { url: string }, url: string, ...more: string[]) => [
    '--once',
    '--from-url',
    model.url,
    '-X',
    'POST',
    '-d',
    'question',
    ...more,
    url,
  ];

  test('asks once, however many come, and all read the answer while it comes', async () => {
    const server = await servers.guest();
    const answers: ServerResponse[] = [];
    const model = await startModel((response) => {
      answers.push(response);
      response.write('the ');
    });
    const commands = Array.from(
      { length: 8 },
      () => new CommandHere(runAppend, once(model, server.url('/a'), '--tee')),
    );
    for (const command of commands) await waitFor(() => command.stdoutBytes === 4, 'the beginning');
    answers[0]?.end('answer');
    expect(await Promise.all(commands.map(({ exit }) => exit))).toEqual(commands.map(() => 0));
    expect(commands.map(({ stdout }) => stdout.toString())).toEqual(commands.map(() => 'the answer'));
    const readers = commands.filter(({ stderr }) => /^[^\n]+ is there already[^\n]+\n$/.test(stderr));
    expect(readers).toHaveLength(7);
    expect(model.asked).toHaveLength(1);
    const later = await append(...once(model, server.url('/a'), '--tee'));
    expect(later).toMatchObject({ exit: 0, stdout: 'the answer' });
    expect((await append(...once(model, server.url('/a')))).stdout).toBe('');
    expect(model.asked).toHaveLength(1);
  });

  test('of an answer that broke off nobody is told that it is whole', async () => {
    const server = await servers.guest();
    const model = await startModel((response) => response.write('the '));
    const first = new CommandHere(runAppend, once(model, server.url('/a')));
    await waitFor(async () => (await contentOf(server.root)) === 'the ', 'the beginning');
    first.signal('SIGINT');
    expect(await first.exit).toBe(130);
    const { exit, stdout, stderr } = await append(...once(model, server.url('/a'), '--tee'));
    expect([exit, stdout]).toEqual([1, 'the ']);
    expect(stderr).toMatch(/failed to read [^\n]+ interrupted[^\n]+\n$/);
    expect(model.asked).toHaveLength(1);
  });

  test('asks again when nothing of an answer has come', async () => {
    const server = await servers.guest();
    let status = 500;
    const model = await startModel((response) => response.writeHead(status).end('answer'));
    const failed = await append(...once(model, server.url('/a')));
    expect(failed).toMatchObject({ exit: 1, stderr: expect.stringContaining('HTTP status 500') });
    expect((await runHere(runFollow, [server.url('/a')])).exit).toBe(3);
    status = 200;
    expect((await append(...once(model, server.url('/a')))).exit).toBe(0);
    expect(await runHere(runFollow, [server.url('/a')])).toMatchObject({ exit: 0, stdout: 'answer' });
  });

  test('does not ask when something is there', async () => {
    const server = await servers.guest();
    await writeFile(path.join(server.root, 'a'), 'old');
    const model = await startModel();
    const run = await append(...once(model, server.url('/a'), '--tee'));
    expect(run).toMatchObject({ exit: 0, stdout: 'old' });
    expect(model.asked).toEqual([]);
  });

  test('is stopped by DELETE, which the model is told', async () => {
    const server = await servers.guest();
    let hasGone = false;
    const model = await startModel((response) => {
      response.once('close', () => {
        hasGone = true;
      });
      response.write('the ');
    });
    const command = new CommandHere(runAppend, once(model, server.url('/a')));
    await waitFor(async () => (await contentOf(server.root)) === 'the ', 'the beginning');
    expect((await fetch(server.url('/a'), { method: 'DELETE' })).status).toBe(204);
    expect(await command.exit).toBe(1);
    await waitFor(() => hasGone, 'the model to be told');
  });

  test('who reads can be stopped, and nobody else is', async () => {
    const server = await servers.guest();
    let answer: ServerResponse | undefined;
    const model = await startModel((response) => {
      answer = response;
      response.write('the ');
    });
    const first = new CommandHere(runAppend, once(model, server.url('/a')));
    await waitFor(async () => (await contentOf(server.root)) === 'the ', 'the beginning');
    const second = new CommandHere(runAppend, once(model, server.url('/a'), '--tee'));
    await waitFor(() => second.stdoutBytes === 4, 'the copy');
    second.signal('SIGTERM');
    expect(await second.exit).toBe(143);
    answer?.end('answer');
    expect(await first.exit).toBe(0);
    expect(await contentOf(server.root)).toBe('the answer');
  });

  test("asks nothing for a server of the original's kind, which cannot say who was first", async () => {
    const server = await OriginalServer.start();
    const model = await startModel();
    const { exit, stderr } = await append(...once(model, server.url('/a')));
    expect([exit, stderr]).toEqual([1, expect.stringContaining('original')]);
    expect(model.asked).toEqual([]);
  });
});
