import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, RequestListener } from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runAppend } from '../../src/cli/append/run-append.ts';
import { storedToken } from '../../src/cli/credentials.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../support/disk/ordinary-user.ts';
import { startSource } from '../support/http/source.ts';
import { runHere } from '../support/programs/command.ts';
import { startServer, temporaryDirectory } from '../support/server/server.ts';

let home: string;
let file: string;

beforeEach(async () => {
  home = await temporaryDirectory();
  file = path.join(home, 'httpfstream', 'credentials');
  vi.stubEnv('XDG_CONFIG_HOME', home);
});
afterEach(() => void vi.unstubAllEnvs());

async function note(text: string, mode = 0o600): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

const tokenFor = async (url: string) => storedToken(new URL(url))?.();

/** A server with the file `f`; `seen` are the heads of its requests. */
async function startWatched() {
  const server = await startServer();
  await writeFile(path.join(server.root, 'f'), 'content');
  const seen: IncomingHttpHeaders[] = [];
  for (const event of ['request', 'upgrade']) {
    server.app.server.on(event, ({ headers }) => seen.push(headers));
  }
  return { origin: new URL(server.url('/')).origin, seen, url: server.url };
}

const authorizations = (seen: readonly IncomingHttpHeaders[]) =>
  seen.map(({ authorization }) => authorization);

describe('the tokens that the user has noted', () => {
  test('are for the same scheme, host and port only', async () => {
    await note(
      '# mine\n\nhttps://logs.example.com one\n  http://logs.example.com/\ttwo\r\nhttp://localhost:8080 three\nhttps://LOGS.example.com other\n',
    );
    expect(await tokenFor('https://logs.example.com/a?b')).toBe('one');
    expect(await tokenFor('wss://logs.example.com:443/')).toBe('one');
    expect(await tokenFor('http://logs.example.com/a')).toBe('two');
    expect(await tokenFor('ws://logs.example.com/a')).toBe('two');
    expect(await tokenFor('http://localhost:8080/')).toBe('three');
    for (const url of [
      'https://logs.example.com:8443/',
      'https://example.com/',
      'https://a.logs.example.com/',
      'http://localhost/',
      'http://127.0.0.1:8080/',
    ]) {
      expect(await tokenFor(url)).toBeUndefined();
    }
  });

  test('are none when there is no file, nor below ~/.config', async () => {
    expect(await tokenFor('http://localhost/')).toBeUndefined();
    vi.stubEnv('XDG_CONFIG_HOME', '');
    vi.stubEnv('HOME', home);
    expect(await tokenFor('http://localhost/')).toBeUndefined();
    file = path.join(home, '.config', 'httpfstream', 'credentials');
    await note('http://localhost token');
    expect(await tokenFor('http://localhost/')).toBe('token');
  });

  test.each([
    'http://localhost',
    'http://localhost a b',
    'localhost secret',
    'ftp://localhost secret',
    'http://localhost/secret secret',
  ])('are told by the line that is wrong, and not shown: %s', async (line) => {
    await note(`http://other t\n${line}\n`);
    await expect(tokenFor('http://localhost/')).rejects.toThrow(
      `${file}:2: a line must look like "https://logs.example.com TOKEN"`,
    );
  });

  test.each([0o640, 0o604, 0o620, 0o644])('are refused with mode %o', async (mode) => {
    const { url, seen, origin } = await startWatched();
    await note(`${origin} secret`, mode);
    for (const command of [runAppend, runFollow]) {
      const { exit, stderr } = await runHere(command, [url('/f')]);
      expect([exit, stderr]).toEqual([2, expect.stringContaining(`chmod 600 ${file}`)]);
      expect(stderr).not.toContain('secret');
    }
    expect(seen).toEqual([]);
    // They are not looked at when it is said who asks.
    expect((await runHere(runFollow, ['--token', 't', url('/f')])).exit).toBe(0);
  });

  test('are none in the home of another user, which the environment may name', async () => {
    await note('http://localhost token');
    await chmod(home, 0o700);
    const isRoot = process.getuid?.() === 0;
    expect(await asOrdinaryUser(() => tokenFor('http://localhost/'))).toBe(isRoot ? undefined : 'token');
  });

  test('are refused when they are of somebody else', async () => {
    await note('http://localhost token');
    await giveToOrdinaryUser(file);
    if (process.getuid?.() === 0)
      await expect(tokenFor('http://localhost/')).rejects.toThrow('must be yours');
    else expect(await tokenFor('http://localhost/')).toBe('token');
  });

  test('go with every request to their server, and to no other', async () => {
    const { url, seen, origin } = await startWatched();
    const other = await startWatched();
    await note(`${origin} noted\n`);
    expect((await runHere(runFollow, [url('/f'), other.url('/f')])).exit).toBe(0);
    const copy = path.join(home, 'copy');
    await writeFile(copy, 'content');
    expect((await runHere(runFollow, ['-o', copy, url('/f')])).exit).toBe(0);
    expect((await runHere(runAppend, ['--resume', '--from-file', copy, url('/f')])).exit).toBe(0);
    expect((await runHere(runAppend, ['--from-url', other.url('/f'), url('/g')])).exit).toBe(0);
    expect((await runHere(runAppend, ['--from-url', url('/f'), other.url('/h')])).exit).toBe(0);
    expect(new Set(authorizations(seen))).toEqual(new Set(['Bearer noted']));
    expect(new Set(authorizations(other.seen))).toEqual(new Set([undefined]));
  });

  test('do not follow a redirect to elsewhere', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const elsewhere = await startSource(({ headers }, response) => {
      seen.push(headers);
      response.end('bytes');
    });
    const redirect: RequestListener = ({ headers }, response) => {
      seen.push(headers);
      response.writeHead(307, { location: elsewhere }).end();
    };
    const source = await startSource(redirect);
    const { url } = await startWatched();
    await note(`${new URL(source).origin} noted\n`);
    expect((await runHere(runAppend, ['--from-url', source, url('/copy')])).exit).toBe(0);
    expect(authorizations(seen)).toEqual(['Bearer noted', undefined]);
  });

  test('count less than what says who asks', async () => {
    const { url, seen, origin } = await startWatched();
    await note(`${origin} noted\n`);
    await runHere(runFollow, ['--token', 'given', url('/f')]);
    await runHere(runFollow, ['-H', 'Authorization: Basic eA==', url('/f')]);
    await runHere(runFollow, [url('/f').replace('//', '//me:secret@')]);
    vi.stubEnv('HTTPFSTREAM_TOKEN', 'from-environment');
    await runHere(runFollow, [url('/f')]);
    const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    expect(authorizations(seen)).toEqual(['Bearer given', 'Basic eA==', basic, 'Bearer from-environment']);
  });
});

describe('--token-file', () => {
  test('is read again for each request', async () => {
    const tokenFile = path.join(home, 'token');
    const file = path.join(home, 'file');
    await writeFile(tokenFile, 't1\n');
    await writeFile(file, 'content');
    vi.stubEnv('HTTPFSTREAM_TOKEN', 'from-environment');
    const seen: (string | undefined)[] = [];
    const source = await startSource(async ({ headers }, response) => {
      await writeFile(tokenFile, `t${seen.push(headers.authorization) + 1}\n`);
      response.writeHead(404).end();
    });
    // It asks for the size, and then it appends.
    await runHere(runAppend, ['--token-file', tokenFile, '--resume', '--from-file', file, source]);
    await runHere(runFollow, ['-token-file', tokenFile, `${source}f`]);
    expect(seen).toEqual(['Bearer t1', 'Bearer t2', 'Bearer t3']);
  });

  test('that cannot be read, or has no token, is a failure that does not show it', async () => {
    const { url, seen } = await startWatched();
    const tokenFile = path.join(home, 'token');
    expect(await runHere(runFollow, ['--token-file', tokenFile, url('/f')])).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining('ENOENT'),
    });
    await writeFile(tokenFile, 'a secret');
    for (const command of [runAppend, runFollow]) {
      const { exit, stderr } = await runHere(command, ['--token-file', tokenFile, url('/f')]);
      expect([exit, stderr]).toEqual([
        1,
        expect.stringContaining(`${tokenFile}: the token must be visible ASCII`),
      ]);
      expect(stderr).not.toContain('secret');
    }
    await rm(tokenFile);
    expect(seen).toEqual([]);
  });

  test.each([[['--token', 't']], [['-H', 'Authorization: Basic eA==']]])(
    'does not go with %j',
    async (others) => {
      const argv = ['--token-file', 'f', ...others, 'http://127.0.0.1:1/'];
      for (const command of [runAppend, runFollow]) {
        expect(await runHere(command, argv)).toMatchObject({
          exit: 2,
          stderr: expect.stringContaining('--token-file cannot be used with'),
        });
      }
    },
  );
});
