import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { startSource } from '../../support/http/source.ts';
import { OriginalFollower } from '../../support/original/clients.ts';
import { CommandHere, RunningCommand, runHere } from '../../support/programs/command.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const MIB = 1024 * 1024;

const append = (...args: string[]) => runHere(runAppend, args);

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? -1;
}

async function fileWith(content: string | Uint8Array, name = 'file'): Promise<string> {
  const file = path.join(await temporaryDirectory(), name);
  await writeFile(file, content);
  return file;
}

describe('what is there already', () => {
  test('is told when a file goes behind it, with what would go on with a part', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, Buffer.alloc(182_000_000 / 1000));
    const file = await fileWith('more');
    const { exit, stderr } = await append('--from-file', file, server.url('/a'));
    expect(exit).toBe(0);
    expect(stderr).toBe(
      `${file} goes behind 182.0 kB that are there already (--resume goes on with a part)\n`,
    );
  });

  test('is told of a remote file, too, and not of what is meant to be added, goes on, or is the first', async () => {
    const server = await servers.guest();
    const file = await fileWith('abcdef');
    const source = await startSource((_request, response) => response.end('abcdef'));
    expect((await append('--from-file', file, server.url('/a'))).stderr).toBe('');
    expect((await append('--resume', '--from-file', file, server.url('/a'))).stderr).toBe('');
    expect((await append('--from-url', source, server.url('/a'))).stderr).toContain('--resume');
    expect((await runHere(runAppend, [server.url('/a')], { input: 'x' })).stderr).toBe('');
    const pipe = await runHere(runAppend, ['--from-file', '/dev/stdin', server.url('/a')], { input: 'x' });
    expect(pipe.stderr).toBe('');
    expect((await append(server.url('/a'), '--', 'echo', 'x')).stderr).toBe('');
  });
});

describe('--from-file', () => {
  test('appends a file, and with -v says so', async () => {
    const server = await servers.guest();
    const bytes = randomBytes(3 * MIB + 1);
    const [file, url] = [await fileWith(bytes), server.url('/a')];
    const { exit, stdout, stderr } = await append('-v', '--from-file', file, url);
    expect({ exit, stdout, stderr }).toEqual({
      exit: 0,
      stdout: '',
      stderr: `appending from ${file} to ${url}\nfinished appending from ${file} to ${url}\n`,
    });
    expect((await readFile(`${server.root}/a`)).equals(bytes)).toBe(true);
  });

  test('may come several times: the files are appended in that order', async () => {
    const server = await servers.guest();
    const files = [await fileWith('one '), await fileWith(''), await fileWith('two')];
    const options = files.flatMap((file) => ['-from-file', file]);
    expect(await append(...options, server.url('/a'))).toMatchObject({ exit: 0, stderr: '' });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('one two');
  });

  test('a URL that ends in / gets the name of the file', async () => {
    const server = await servers.guest();
    const file = await fileWith('x', 'ä b#c?.txt');
    expect(await append('--from-file', file, server.url('/dir/'))).toMatchObject({ exit: 0, stderr: '' });
    expect(await readFile(`${server.root}/dir/ä b#c?.txt`, 'utf8')).toBe('x');
  });

  test.each(['none', '.'])(
    'a file that cannot be read (%s) is told, and nothing is appended',
    async (name) => {
      const server = await servers.guest();
      const file = path.join(await temporaryDirectory(), name);
      const good = await fileWith('x');
      const url = server.url('/a');
      const { exit, stderr } = await append('--from-file', good, '--from-file', file, url);
      expect(exit).toBe(1);
      expect(stderr).toMatch(/^failed to append from [^\n]+: E(NOENT|ISDIR): [^\n]+\n$/);
      expect(await readdir(server.root)).not.toContain('a');
    },
  );
});

describe('--from-url', () => {
  test('appends what GET answers, after redirects, as it is stored', async () => {
    const server = await servers.guest();
    const source = await startSource((request, response) => {
      if (request.url === '/') response.writeHead(302, { location: '/next?x=1' }).end();
      else response.end(`${request.method} ${request.url} ${request.headers['accept-encoding']}`);
    });
    const url = server.url('/a');
    const { exit, stderr } = await append('-v', '--from-url', source, url);
    expect({ exit, stderr }).toEqual({
      exit: 0,
      stderr: `appending from ${source} to ${url}\nfinished appending from ${source} to ${url}\n`,
    });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('GET /next?x=1 identity');
  });

  test('appends what comes at once, with a copy', async () => {
    const server = await servers.guest();
    const writes: ((text: string) => void)[] = [];
    const source = await startSource((_, response) => writes.push((text) => response.write(text)));
    const command = new CommandHere(runAppend, ['--tee', '--from-url', source, server.url('/a')]);
    await waitFor(() => writes.length === 1, 'the request');
    for (let i = 1; i <= 3; i++) {
      writes[0]?.('x');
      await waitFor(() => command.stdoutBytes === i, `byte ${i}`);
    }
    command.signal('SIGINT');
    expect(await command.exit).toBe(130);
  });

  test.each([
    [
      'the name in Content-Disposition',
      { 'content-disposition': 'attachment; filename="n.txt"' },
      '/x',
      'n.txt',
    ],
    [
      'its extended name first',
      { 'content-disposition': `attachment; filename="n"; filename*=UTF-8''%c3%a4.txt` },
      '/x',
      'ä.txt',
    ],
    ['no path', { 'content-disposition': 'attachment; filename="../../etc/passwd"' }, '/x', 'passwd'],
    [
      'no path of Windows',
      { 'content-disposition': 'attachment; filename="..\\\\..\\\\a.txt"' },
      '/x',
      'a.txt',
    ],
    [
      'no encoded path',
      { 'content-disposition': `attachment; filename*=UTF-8''%2e%2e%2fa.txt` },
      '/x',
      'a.txt',
    ],
    ['no control characters', { 'content-disposition': `attachment; filename*=UTF-8''a%00%0ab` }, '/x', 'ab'],
    ['not ..', { 'content-disposition': 'attachment; filename=".."' }, '/x', 'x'],
    ['the last segment of the URL', {}, '/dir/a%20b.txt?c=/d', 'a b.txt'],
  ])('a URL that ends in / gets %s', async (_, headers: Record<string, string>, urlPath, name) => {
    const server = await servers.guest();
    const source = await startSource((_request, response) => response.writeHead(200, headers).end('x'));
    const url = new URL(urlPath, source).href;
    expect(await append('--from-url', url, server.url('/dir/'))).toMatchObject({ exit: 0, stderr: '' });
    expect(await readdir(`${server.root}/dir`)).toEqual([name]);
  });

  test('a URL that ends in / is refused when there is no name', async () => {
    const server = await servers.guest();
    const source = await startSource((_, response) => response.end('x'));
    const { exit, stderr } = await append('--from-url', source, server.url('/dir/'));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to append from [^\n]+ name [^\n]+\n$/);
    expect(await readdir(server.root)).not.toContain('dir');
  });

  test.each([404, 500])('status %i is told, and nothing is appended', async (status) => {
    const server = await servers.guest();
    const source = await startSource((_, response) => response.writeHead(status).end('no'));
    const url = server.url('/a');
    const { exit, stderr } = await append('--from-url', source, url);
    expect({ exit, stderr }).toEqual({
      exit: 1,
      stderr: `failed to append from ${source} to ${url}: HTTP status ${status}\n`,
    });
    expect(await readdir(server.root)).not.toContain('a');
  });

  test('a server that is not there is told, exit code 1', async () => {
    const server = await servers.guest();
    const { exit, stderr } = await append('--from-url', 'http://127.0.0.1:1/', server.url('/a'));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to append from [^\n]+: [^\n]+\n$/);
  });

  test('a server that wants to speak something else is an error', async () => {
    const server = await servers.guest();
    const source = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n'),
      );
    });
    await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void source.close());
    const url = `http://127.0.0.1:${(source.address() as AddressInfo).port}/a`;
    expect(await append('--from-url', url, server.url('/a'))).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(
        /^failed to append from [^\n]+ switches to a protocol that nobody has asked for\n$/,
      ),
    });
  });

  test.each([
    ['a number that is none', '999 Odd'],
    ['words that are none', '200 \x1b[31mred'],
  ])('an answer whose status is %s is told', async (_, status) => {
    const server = await servers.guest();
    const source = await startSource(
      (_request, { socket }) => void socket?.end(`HTTP/1.1 ${status}\r\n\r\n`),
    );
    expect(await append('--from-url', source, server.url('/a'))).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/^failed to append from [^\n]+: the answer is malformed\n$/),
    });
  });

  test('redirects without end are told', async () => {
    const server = await servers.guest();
    const source = await startSource((_, response) => response.writeHead(302, { location: '/' }).end());
    const { exit, stderr } = await append('--from-url', source, server.url('/a'));
    expect({ exit, stderr }).toMatchObject({ exit: 1, stderr: expect.stringContaining('redirects') });
  });

  test.each([
    ['before its Content-Length', { 'content-length': '100' }],
    ['in the middle of its chunks', {}],
  ])('a body that breaks off %s is no clean end: exit code 1', async (_, headers) => {
    const server = await servers.guest();
    let cut = () => {};
    const source = await startSource((_request, response) => {
      response.writeHead(200, headers);
      response.write('part');
      cut = () => response.destroy();
    });
    const command = new CommandHere(runAppend, ['--from-url', source, server.url('/a')]);
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 4, 'the part');
    const follower = await OriginalFollower.connect(server.url('/a'));
    cut();
    expect(await command.exit).toBe(1);
    expect(command.stderr).toMatch(/^failed to append [^\n]+ broke off after 4 (of 100 )?bytes\n$/);
    expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
  });

  test.each(['1.1', '1.0'])(
    'a body of HTTP/%s whose end nothing but the end of the connection says is no clean end: exit code 1',
    async (version) => {
      const server = await servers.guest();
      let cut = () => {};
      const source = await startSource((_, { socket }) => {
        socket?.write(`HTTP/${version} 200 OK\r\n\r\nhalf of`);
        cut = () => socket?.end();
      });
      const command = new CommandHere(runAppend, ['--from-url', source, server.url('/a')]);
      await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 7, 'the part');
      cut();
      expect(await command.exit).toBe(1);
      expect(command.stderr).toMatch(
        /^failed to append [^\n]+ 7 bytes are all of it \(--allow-unframed [^\n]+\n$/,
      );
      const { exit } = await runHere(runFollow, [server.url('/a')]);
      expect(exit).toBe(3);
    },
  );

  test.each(['1.1', '1.0'])('with --allow-unframed it is one, in HTTP/%s', async (version) => {
    const server = await servers.guest();
    const head = `HTTP/${version} 200 OK\r\n\r\n`;
    const source = await startSource((_, { socket }) => socket?.end(`${head}all of it`));
    const run = await append('--allow-unframed', '--from-url', source, server.url('/a'));
    expect(run).toMatchObject({ exit: 0, stderr: '' });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('all of it');
    expect((await runHere(runFollow, [server.url('/a')])).exit).toBe(0);
  });

  test('--allow-unframed does not take a reset for the end', async () => {
    const server = await servers.guest();
    let cut = () => {};
    const source = await startSource((_, { socket }) => {
      socket?.write('HTTP/1.1 200 OK\r\n\r\nhalf of');
      cut = () => socket?.resetAndDestroy();
    });
    const command = new CommandHere(runAppend, ['--allow-unframed', '--from-url', source, server.url('/a')]);
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 7, 'the part');
    cut();
    expect(await command.exit).toBe(1);
    expect(command.stderr).toMatch(/^failed to append [^\n]+ broke off after 7 bytes\n$/);
  });

  test('nothing (204) is a whole body', async () => {
    const server = await servers.guest();
    const source = await startSource((_, response) => response.writeHead(204).end());
    expect(await append('--from-url', source, server.url('/a'))).toMatchObject({ exit: 0, stderr: '' });
  });

  test('a body that is compressed nevertheless is appended as it is, like its Content-Length says', async () => {
    const server = await servers.guest();
    const bytes = randomBytes(1000);
    const source = await startSource((_, response) =>
      response
        .writeHead(200, {
          'content-encoding': 'gzip',
          'content-type': 'text/html',
          'content-length': bytes.length,
        })
        .end(bytes),
    );
    for (const how of [[], ['--once']]) {
      const url = server.url(`/a${how.length}`);
      expect((await append('--from-url', source, ...how, url)).exit).toBe(0);
      expect((await readFile(`${server.root}/a${how.length}`)).equals(bytes)).toBe(true);
      expect((await fetch(url)).headers.get('content-type')).toBe('application/octet-stream');
    }
  });

  test('96 MiB take no more memory than 24 do', async () => {
    const server = await servers.guest();
    const body = new PassThrough();
    const source = await startSource((_, response) => void body.pipe(response));
    const command = new RunningCommand('httpfstream-append', ['--from-url', source, server.url('/a')]);
    const block = randomBytes(MIB);
    const send = async (fromMib: number, toMib: number) => {
      for (let mib = fromMib; mib < toMib; mib++) if (!body.write(block)) await once(body, 'drain');
      const arrived = async () => (await sizeOf(`${server.root}/a`)) === toMib * MIB;
      await waitFor(arrived, `${toMib} MiB`);
      return command.peakMemoryBytes();
    };
    const littleBytes = await send(0, 24);
    expect((await send(24, 96)) - littleBytes).toBeLessThan(64 * MIB);
    body.end();
    expect(await command.exit).toBe(0);
  });

  test('Ctrl-C is no clean end: the rest is missing; exit code 130', async () => {
    const server = await servers.guest();
    const source = await startSource((_, response) => void response.write('part'));
    const command = new RunningCommand('httpfstream-append', ['--from-url', source, server.url('/a')]);
    const text = () => readFile(`${server.root}/a`, 'utf8').catch(() => '');
    await waitFor(async () => (await text()) === 'part', 'the part');
    const follower = await OriginalFollower.connect(server.url('/a'));
    command.signal('SIGINT');
    expect(await command.exit).toBe(130);
    expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
  });

  test('a part that nobody asked for is none of it: exit code 1', async () => {
    const server = await servers.guest();
    const headers = { 'content-range': 'bytes 10-14/100', 'content-length': '5' };
    const source = await startSource((_request, response) => response.writeHead(206, headers).end('hello'));
    const { exit, stderr } = await runHere(runAppend, ['--from-url', `${source}a`, server.url('/a')]);
    expect(exit).toBe(1);
    expect(stderr).toContain(': the answer is a part, and nobody asked for one\n');
  });
});

describe('--resume', () => {
  test.each([
    ['none', ''],
    ['a part', 'one '],
    ['more than the first file', 'one tw'],
  ])('with files, when %s is there, the rest is appended', async (_, there) => {
    const server = await servers.guest();
    if (there !== '') await writeFile(`${server.root}/a`, there);
    const [one, two] = [await fileWith('one '), await fileWith('two')];
    const options = ['--resume', '--from-file', one, '--from-file', two];
    expect(await append(...options, server.url('/a'))).toMatchObject({ exit: 0, stderr: '' });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('one two');
  });

  test('when all is there nothing is appended: -v says so, exit code 0', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'whole');
    const [file, url] = [await fileWith('whole'), server.url('/a')];
    const { exit, stderr } = await append('-v', '--resume', '--from-file', file, url);
    expect({ exit, stderr }).toEqual({
      exit: 0,
      stderr: `nothing left to append from ${file} to ${url}: all 5 bytes are there\n`,
    });
  });

  test('when all is there and its end was never told, it is told', async () => {
    const server = await startServer({ graceMs: 100 });
    const [file, url] = [await fileWith('whole'), server.url('/a')];
    const lost = new RunningCommand('httpfstream-append', [url]);
    lost.child.stdin.write('whole');
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) === 5, 'all bytes');
    lost.signal('SIGKILL');
    expect(await runHere(runFollow, [url])).toMatchObject({ exit: 3, stdout: 'whole' });
    expect(await append('--resume', '--from-file', file, url)).toMatchObject({ exit: 0, stderr: '' });
    expect(await runHere(runFollow, [url])).toMatchObject({ exit: 0, stdout: 'whole' });
  });

  test('when all of a URL is there it is not asked for a range', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'whole');
    const ranges: unknown[] = [];
    const source = await startSource((request, response) => {
      ranges.push(request.headers.range);
      response.writeHead(200, { 'content-length': 5 }).end('whole');
    });
    const { exit, stderr } = await append('--resume', '--from-url', source, server.url('/a'));
    expect({ exit, stderr, ranges }).toEqual({ exit: 0, stderr: '', ranges: [undefined] });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('whole');
  });

  test('when more is there than the source has, that is an error that names both sizes', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'too much');
    const { exit, stderr } = await append(
      '--resume',
      '--from-file',
      await fileWith('short'),
      server.url('/a'),
    );
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^failed to append from [^\n]+ 8 bytes [^\n]+ 5\n$/);
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('too much');
  });

  test.each([
    ['by a range', true],
    ['by reading over what is there, where the source knows no ranges', false],
  ])('with a URL goes on %s', async (_, knowsRanges) => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'one ');
    const source = await startSource((request, response) => {
      if (knowsRanges && request.headers.range === 'bytes=4-') {
        response.writeHead(206, { 'content-range': 'bytes 4-6/7' }).end('two');
      } else {
        response.writeHead(200, { 'content-length': 7 }).end('one two');
      }
    });
    expect(await append('--resume', '--from-url', source, server.url('/a'))).toMatchObject({
      exit: 0,
      stderr: '',
    });
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('one two');
  });

  test.each(['bytes 3-6/7', 'bytes 4-7/8', 'bytes 4-5/7', 'bytes 4-5/*', 'nonsense'])(
    'with a URL a range that is not the one asked for (%s) is an error, and nothing is appended',
    async (range) => {
      const server = await servers.guest();
      await writeFile(`${server.root}/a`, 'one ');
      const source = await startSource((request, response) => {
        if (request.headers.range === undefined)
          response.writeHead(200, { 'content-length': 7 }).end('one two');
        else response.writeHead(206, { 'content-range': range }).end('two');
      });
      const { exit, stderr } = await append('--resume', '--from-url', source, server.url('/a'));
      expect(exit).toBe(1);
      expect(stderr).toMatch(/^failed to append [^\n]+ range [^\n]+\n$/m);
      expect(await readFile(`${server.root}/a`, 'utf8')).toBe('one ');
    },
  );

  test.each([{}, { 'content-length': 2 }])(
    'with a URL a range that has fewer bytes than it says (%j) is no clean end',
    async (headers) => {
      const server = await servers.guest();
      await writeFile(`${server.root}/a`, 'one ');
      const source = await startSource((request, response) => {
        if (request.headers.range === undefined)
          response.writeHead(200, { 'content-length': 7 }).end('one two');
        else response.writeHead(206, { ...headers, 'content-range': 'bytes 4-6/7' }).end('tw');
      });
      const { exit, stderr } = await append('--resume', '--from-url', source, server.url('/a'));
      expect(exit).toBe(1);
      expect(stderr).toMatch(/^failed to append [^\n]+ broke off after 2 of 3 bytes\n$/);
    },
  );

  test('with a URL of unknown size that ends before what is there, that is an error', async () => {
    const server = await servers.guest();
    await writeFile(`${server.root}/a`, 'too much');
    const source = await startSource((_, response) => {
      response.write('sh');
      response.end('ort');
    });
    const { exit } = await append('--resume', '--from-url', source, server.url('/a'));
    expect(exit).toBe(1);
    expect(await readFile(`${server.root}/a`, 'utf8')).toBe('too much');
  });

  test('an append that was broken off by Ctrl-C is completed', async () => {
    const server = await servers.guest();
    const bytes = randomBytes(16 * MIB);
    const file = await fileWith(bytes);
    const first = new RunningCommand('httpfstream-append', ['--from-file', file, server.url('/a')]);
    await waitFor(async () => (await sizeOf(`${server.root}/a`)) > 0, 'some bytes');
    first.signal('SIGINT');
    await first.exit;
    await waitFor(
      async () => (await append('--resume', '--from-file', file, server.url('/a'))).exit === 0,
      'the rest',
    );
    expect((await readFile(`${server.root}/a`)).equals(bytes)).toBe(true);
  });
});
