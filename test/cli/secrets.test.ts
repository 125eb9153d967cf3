import { writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, RequestListener } from 'node:http';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runAppend } from '../../src/cli/append/run-append.ts';
import { runFollow } from '../../src/cli/follow/run-follow.ts';
import { requestResource } from '../../src/cli/resource-request.ts';
import { startSource } from '../support/http/source.ts';
import { runHere } from '../support/programs/command.ts';
import { startServer, temporaryDirectory } from '../support/server/server.ts';

afterEach(() => void vi.unstubAllEnvs());

const BASIC = `Basic ${Buffer.from('me:secret').toString('base64')}`;

/** Runs a command in this process; `said` is all that it wrote, to wherever. */
async function run(command: typeof runAppend, ...argv: string[]) {
  const { exit, stdout, stderr } = await runHere(command, argv);
  return { exit, said: stdout + stderr };
}

/** A server with the file `f`, the URL of which can have user and password; `seen` are the heads of its requests. */
async function startWatched() {
  const server = await startServer();
  await writeFile(path.join(server.root, 'f'), 'content');
  const seen: { method: string; headers: IncomingHttpHeaders }[] = [];
  for (const event of ['request', 'upgrade']) {
    server.app.server.on(event, ({ method, headers }) => seen.push({ method, headers }));
  }
  return { seen, url: (at = '', urlPath = '/f') => server.url(urlPath).replace('//', `//${at}`) };
}

describe('user and password of a URL', () => {
  test('reach the server, and no message', async () => {
    const { seen, url } = await startWatched();
    const at = 'me:secret@';
    const runs = [
      await run(runAppend, '-v', url(at)),
      await run(runAppend, '-v', '--resume', '--from-url', url(at), url(at, '/g')),
      await run(runAppend, '-v', url(at, '/h'), '--', 'echo', url(at)),
      await run(runFollow, '-v', url(at)),
      await run(runFollow, url(at), url(at, '/g')),
    ];
    for (const { exit, said } of runs) {
      expect([exit, said]).toEqual([0, expect.not.stringMatching(/secret|me:/)]);
    }
    expect(runs[0]?.said).toContain(url());
    expect(runs[4]?.said).toContain(`==> ${url()} <==`);
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(seen.map(() => BASIC));
    expect(new Set(seen.map(({ method }) => method))).toEqual(new Set(['GET', 'HEAD']));
  });

  test.each([
    ['http://me:secret@127.0.0.1:1/f', /ECONNREFUSED/],
    ['http://me:secret@nowhere.invalid/f', /failed/],
    ['http://me:sec/ret-secret@host/', /invalid URL: http:\/\/host\/\n/],
    ['ftp://me:secret@host/', /must begin with http/],
    ['me:secret@host/', /must begin with http/],
    ['http://me:secret@host:port/', /invalid URL/],
  ])('are in no failure of %s', async (url, why) => {
    for (const [command, ...argv] of [
      [runAppend, '-v', url],
      [runAppend, '-v', '--from-url', url, 'http://127.0.0.1:1/x'],
      [runAppend, '-v', url, '--', 'true'],
      [runFollow, '-v', url],
      [runFollow, '-v', '-o', path.join(await temporaryDirectory(), 'f'), url],
    ] as [typeof runAppend, ...string[]][]) {
      const { exit, said } = await run(command, ...argv);
      expect([exit, said]).toEqual([expect.toBeOneOf([1, 2]), expect.stringMatching(why)]);
      expect(said).not.toMatch(/secret|me:/);
    }
  });

  test.each([
    ['--from-ulr=http://me:secret@127.0.0.1:1/f', 'http://127.0.0.1:1/'],
    ['http://127.0.0.1:1/', 'http://me:secret@127.0.0.1:1/', '--', 'true', 'http://me:secret@127.0.0.1:1/'],
  ])('are not told of wrong usage (%j)', async (...argv) => {
    const { exit, said } = await run(runAppend, ...argv);
    expect(exit).toBe(2);
    expect(said).toMatch(/^httpfstream-append: [^\n]+\n/);
    expect(said).not.toMatch(/secret|me:/);
  });

  test('are not told when the server refuses', async () => {
    const refuse: RequestListener = (_request, response) => void response.writeHead(401).end('who are you?');
    const url = `${(await startSource(refuse)).replace('//', '//me:secret@')}f`;
    for (const command of [runAppend, runFollow]) {
      const { exit, said } = await run(command, '-v', url);
      expect([exit, said]).toEqual([1, expect.stringMatching(/401/)]);
      expect(said).not.toMatch(/secret|me:/);
    }
  });
});

describe('-H and --token', () => {
  test('go with every request to the server', async () => {
    const { seen, url } = await startWatched();
    const options = ['-H', 'X-One: 1', '--header=x-two: 2', '-token', 'top-secret'];
    const file = path.join(await temporaryDirectory(), 'file');
    await writeFile(file, 'content and more');
    expect((await run(runAppend, ...options, '--resume', '--from-file', file, url())).exit).toBe(0);
    expect((await run(runFollow, ...options, url())).said).toBe('content and more');
    await writeFile(file, 'much more content than the server has');
    expect((await run(runFollow, ...options, '-o', file, url())).exit).toBe(4);
    const expected = { 'x-one': '1', 'x-two': '2', authorization: 'Bearer top-secret' };
    expect(seen.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'GET', 'GET', 'HEAD']);
    for (const { headers } of seen) expect(headers).toMatchObject(expected);
  });

  test('the token may come from the environment; what is on the command line wins', async () => {
    const { seen, url } = await startWatched();
    vi.stubEnv('HTTPFSTREAM_TOKEN', 'from-environment');
    await run(runFollow, url());
    await run(runFollow, '--token=given', url());
    await run(runFollow, '-H', 'Authorization: Basic eA==', url());
    await run(runFollow, url('me:secret@'));
    vi.stubEnv('HTTPFSTREAM_TOKEN', '');
    await run(runFollow, url());
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer from-environment',
      'Bearer given',
      'Basic eA==',
      'Bearer from-environment',
      undefined,
    ]);
  });

  test('do not go to where something is taken from', async () => {
    const { url } = await startWatched();
    const seen: IncomingHttpHeaders[] = [];
    const source = await startSource(({ headers }, response) => {
      seen.push(headers);
      response.end('bytes');
    });
    const options = ['--token', 'top-secret', '-H', 'Cookie: a=secret', '--from-url', source];
    expect((await run(runAppend, ...options, url('', '/copy'))).exit).toBe(0);
    expect(seen).toHaveLength(1);
    expect(JSON.stringify(seen)).not.toMatch(/secret|cookie|authorization/);
  });

  test.each([
    [['-H', 'secret'], 'Name: value'],
    [['-H', 'Host: secret'], 'host'],
    [['--token', 'a secret'], 'token'],
    [['--token', 'secret', '-H', 'Authorization: secret'], 'authorization'],
  ])('%j is wrong usage, and the secret is not shown', async (options, names) => {
    for (const command of [runAppend, runFollow]) {
      const { exit, said } = await run(command, ...options, 'http://127.0.0.1:1/');
      expect([exit, said]).toEqual([2, expect.stringContaining(names)]);
      expect(said).not.toContain('secret');
      expect(said.split('\n')).toHaveLength(2);
    }
    vi.stubEnv('HTTPFSTREAM_TOKEN', 'a secret');
    expect((await run(runFollow, 'http://127.0.0.1:1/')).said).not.toContain('secret');
  });
});

describe('a redirect', () => {
  const forAll = { range: 'bytes=0-' };
  const headers = { ...forAll, authorization: 'Bearer secret', cookie: 'a=secret', 'x-key': 'secret' };

  /** A server that sends those who ask for `/` on to `location`. */
  async function startRedirecting(location: (own: string) => string) {
    const seen: IncomingHttpHeaders[] = [];
    const own: string = await startSource(({ url, headers }, response) => {
      seen.push(headers);
      if (url?.split('?', 1)[0] === '/') response.writeHead(302, { location: location(own) }).end();
      else response.end('here');
    });
    return { own, seen };
  }

  test.each([
    ['a path', () => '/next'],
    ['the whole URL', (own: string) => `${own}next`],
  ])('within the server, by %s, takes the secrets along', async (_how, location) => {
    const { own, seen } = await startRedirecting(location);
    await requestResource(own, { method: 'GET', headers });
    await requestResource(own.replace('//', '//me:secret@'), { method: 'GET', headers: forAll });
    expect(seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
      BASIC,
      BASIC,
    ]);
  });

  test('to another port does not, nor does the way back', async () => {
    const other = await startRedirecting(() => `${first.own}next`);
    const first = await startRedirecting(() => other.own);
    for (const url of [first.own, first.own.replace('//', '//me:secret@')]) {
      first.seen.length = 0;
      other.seen.length = 0;
      await requestResource(url, { method: 'GET', headers });
      expect(first.seen[0]).toMatchObject(headers);
      const later = [...other.seen, ...first.seen.slice(1)];
      expect(later).toHaveLength(2);
      for (const head of later) {
        expect(head).toMatchObject(forAll);
        expect(JSON.stringify(head)).not.toMatch(/secret|authorization|cookie|x-key/);
      }
    }
  });

  test.each([
    ['leads out of HTTP', 'ftp://host/path?key=secret'],
    ['is malformed', 'http://[host/path#secret'],
    ['has credentials', '//me:secret@127.0.0.1:1/path'],
    ['has credentials', 'https:/me:secret@127.0.0.1:1/path'],
    ['has credentials', '\\\\me:secret@127.0.0.1:1/path'],
    ['redirects', '/?path=secret'],
  ])('that %s, and repeats a secret (%s), is refused, and the secret not shown', async (why, location) => {
    const { own } = await startRedirecting(() => location);
    const { exit, said } = await run(runAppend, '--from-url', own, 'http://127.0.0.1:1/');
    expect([exit, said]).toEqual([1, expect.stringContaining(why)]);
    expect(said).not.toMatch(/secret|me:/);
  });

  test('brings no user and password of its own: it is refused, and they are not shown', async () => {
    const { own, seen } = await startRedirecting((url) => `${url.replace('//', '//evil:evil@')}next`);
    const { exit, said } = await run(runAppend, '--from-url', own, 'http://127.0.0.1:1/');
    expect([exit, said]).toEqual([1, expect.stringContaining('a redirect has credentials')]);
    expect(said).not.toContain('evil');
    expect(seen).toHaveLength(1);
  });
});
