import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { resourceNames } from '../../support/disk/root-files.ts';
import { HANDSHAKE, rawGet, rawHandshake, rawRequest } from '../../support/http/raw.ts';
import { lendReserve } from '../../support/server/reserves.ts';
import { startServer, type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, fileText, openAppender } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';

/** A root that has neighbours, with files whose contents are their names. */
async function serve(...names: string[]): Promise<TestServer & { outside: string }> {
  const base = await temporaryDirectory();
  const root = path.join(base, 'root');
  await lendReserve(root);
  const server = await startServer({ root });
  for (const name of names) await write(server.root, name);
  return { ...server, outside: await writeOutside(root) };
}

/** Makes a directory beside the root, with a file. */
async function writeOutside(root: string): Promise<string> {
  const outside = path.join(path.dirname(root), 'outside');
  await write(outside, 'secret');
  return outside;
}

async function write(root: string, name: string): Promise<void> {
  await mkdir(path.dirname(path.join(root, name)), { recursive: true });
  await writeFile(path.join(root, name), name);
}

/** UTF-8 bytes as they go over the wire when nobody escapes them. */
const unescaped = (text: string) => Buffer.from(text).toString('latin1');

const APPEND = 'X-Verb: APPEND';

/** One where nothing is, for what makes nothing. */
const empty = serverForAll();

describe('reading a path', () => {
  const common = serverForAll();

  it.each([
    ['/a/b', 'a/b'],
    ['/a%2fb', 'a/b'],
    ['/a%2Fb', 'a/b'],
    ['/%61/%62', 'a/b'],
    ['/a/b?x=/../c', 'a/b'],
    ['/a/b?', 'a/b'],
    ['/a\\b', 'a\\b'],
    ['/a%5Cb', 'a\\b'],
    ['/a%20b', 'a b'],
    ['/a+b', 'a+b'],
    ['/a%2Bb', 'a+b'],
    ['/a;b', 'a;b'],
    ['/a%3Bb', 'a;b'],
    ['/a;b=c/d', 'a;b=c/d'],
    ['/a%25b', 'a%b'],
    ['/a%252fb', 'a%2fb'],
    ['/%252e%252e', '%2e%2e'],
    ['/a%2541', 'a%41'],
    ['/a%23b', 'a#b'],
    ['/a%3Fb', 'a?b'],
    ['/a%26%3D%24%2C%40%3A', 'a&=$,@:'],
    ['/%C3%A9', 'é'],
    ['/.hidden', '.hidden'],
    ['/..hidden/f', '..hidden/f'],
    ['/...', '...'],
    ['/A/b', 'A/b'],
    ['/*', '*'],
    ['/:a', ':a'],
    ['/__proto__', '__proto__'],
    [`/${'x'.repeat(255)}`, 'x'.repeat(255)],
    [`/${'d/'.repeat(500)}f`, `${'d/'.repeat(500)}f`],
  ])('%s is the file %j', async (urlPath, name) => {
    const { port, root } = common.whole;
    await write(root, name);
    const answer = await rawGet(port, urlPath);
    expect([answer.status, answer.body]).toEqual([200, name]);
  });

  it.each([
    ['//a', '/a'],
    ['///a', '/a'],
    ['/./a', '/a'],
    ['/a/../b', '/b'],
    ['/../a', '/a'],
    ['/a/./b', '/a/b'],
    ['/a//b', '/a/b'],
    ['/a/b//', '/a/b/'],
    ['/a%2f%2fb', '/a/b'],
    ['/a/%2e%2e/b', '/b'],
    ['/%2e%2e%2fa', '/a'],
    ['/..%2f..%2fetc/passwd', '/etc/passwd'],
    ['/../../../etc/passwd', '/etc/passwd'],
    ['/a/..', '/'],
    ['/a/../?x=1', '/?x=1'],
    ['//a?x=//b', '/a?x=//b'],
    ['//example.com/%2e%2e', '/'],
    ['//example.com', '/example.com'],
    ['/%2fexample.com', '/example.com'],
    ['/%2f%2fexample.com', '/example.com'],
    ['/.//example.com', '/example.com'],
    ['//%5cexample.com', '/%5Cexample.com'],
    ['//evil.example/..', '/'],
    ['//evil.example/%2e%2e/x', '/x'],
    ['/%2f/evil.example', '/evil.example'],
    ['/x/..//evil.example', '/evil.example'],
    ['/http:%2f%2fevil.example', '/http%3A/evil.example'],
    ['//http:evil.example', '/http%3Aevil.example'],
    ['//a%20b', '/a%20b'],
    ['//%C3%A9', '/%C3%A9'],
    ['//a%252fb', '/a%252fb'],
    ['//a%0d%0aX-Injected:1', undefined],
  ])('%s that needs cleaning is sent on to %s', async (urlPath, location) => {
    const { port } = empty.whole;
    const answer = await rawGet(port, urlPath);
    if (location === undefined) {
      expect(answer.status).toBe(400);
      return;
    }
    expect(answer.status).toBe(301);
    expect(answer.headers.location).toMatch(/^\.\.?\//);
    const url = new URL(answer.headers.location ?? '', `http://test${urlPath}`);
    expect(`${url.host}${url.pathname}${url.search}`).toBe(`test${location}`);
  });

  it('never shows what is not below the root, however it is asked', async () => {
    const { port, outside } = await serve('a/f');
    const up = fc.constantFrom(
      '..',
      '%2e%2e',
      '.%2e',
      '..%2f',
      '..%5c',
      '..\\',
      '%2e%2e%2f',
      '',
      '.',
      'a',
      '..;',
    );
    const target = fc.constantFrom(`${path.basename(outside)}/secret`, 'etc/passwd', `${outside}/secret`);
    await fc.assert(
      fc.asyncProperty(fc.array(up, { maxLength: 8 }), target, async (ups, name) => {
        const { status, body } = await rawGet(port, `/${[...ups, name].join('/')}`);
        expect([301, 400, 404]).toContain(status);
        expect(body).not.toMatch(/secret\n?$|root:/);
      }),
      { numRuns: 75 },
    );
  });

  it('takes a URL in absolute form', async () => {
    const { port } = await serve('a');
    expect(await rawRequest(port, 'GET http://test/a HTTP/1.1')).toMatchObject({ status: 200, body: 'a' });
  });

  it('sends every path on at most once before it is the one URL of the file', async () => {
    const { port } = await serve('é b;c%41\\d/f');
    const answer = await rawGet(port, '//x/..//%C3%A9%20b;c%2541%5Cd/./f');
    const { pathname } = new URL(
      answer.headers.location ?? '',
      'http://test//x/..//%C3%A9%20b;c%2541%5Cd/./f',
    );
    const again = await rawGet(port, pathname);
    expect([answer.status, again.status, again.body]).toEqual([301, 200, 'é b;c%41\\d/f']);
  });
});

describe('reading a path that is none', () => {
  const common = serverForAll();
  beforeAll(async () => {
    for (const name of ['a', '.httpfstream/state']) await write(common.whole.root, name);
  });

  it.each([
    ['/%zz', 400],
    ['/%', 400],
    ['/a%2', 400],
    ['/%ff', 400],
    ['/%C3', 400],
    ['/%ED%A0%80', 400],
    [`/${unescaped('é')}`, 400],
    ['/%00', 400],
    ['/a%00.txt', 400],
    ['/%0a', 400],
    ['/%7f', 400],
    ['/x%00/../a', 400],
    [`/${'x'.repeat(256)}`, 400],
    [`/${'d/'.repeat(3000)}f`, 400],
    ['/.httpfstream', 403],
    ['/.httpfstream/', 403],
    ['/.httpfstream/state', 403],
    ['/%2ehttpfstream/state', 403],
    ['/.HTTPFSTREAM/state', 403],
    ['//.httpfstream/state', 403],
    ['/a/../.httpfstream/state', 403],
    ['/.httpfstream%2fstate', 403],
    ['/missing', 404],
    ['/a/below-a-file', 404],
    ['/%2561', 404],
  ])('%s is refused with %d', async (urlPath, status) => {
    const { port } = common.whole;
    const answer = await rawGet(port, urlPath);
    expect([answer.status, answer.body]).not.toContain('.httpfstream/state');
    expect(answer.status).toBe(status);
  });
});

describe('appending to a path', () => {
  it.each([
    ['/a', 'a'],
    ['/a/', 'a'],
    ['/a//', 'a'],
    ['//a', 'a'],
    ['/a/../b', 'b'],
    ['/..%2f..%2fb', 'b'],
    ['/a%2fb', 'a/b'],
    ['/a\\b', 'a\\b'],
    ['/..%5cb', '..\\b'],
    ['/a%20b', 'a b'],
    ['/a+b', 'a+b'],
    ['/a;b', 'a;b'],
    ['/a%25b', 'a%b'],
    ['/a%252fb', 'a%2fb'],
    ['/%C3%A9', 'é'],
    ['/.hidden', '.hidden'],
    ['/deep/er/still/f', 'deep/er/still/f'],
  ])('%s writes the file %j', async (urlPath, name) => {
    const server = await serve();
    const { status, socket } = await rawHandshake(server.port, urlPath, [APPEND]);
    expect(status).toBe(101);
    socket.end(Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello')]));
    await waitFor(async () => (await fileText(server, name)) === 'hello', `hello in ${name}`);
    expect(await resourceNames(server.root)).toHaveLength(1);
  });

  it('to two names of one file is refused with 403, and readers see one resource', async () => {
    const server = await serve('d/f');
    await symlink('d', path.join(server.root, 'link'));
    const appender = await openAppender(server, '/link/f', ' and more');
    for (const urlPath of ['/d/f', '/link/f', '/d//f', '/d/f/']) {
      const answer = await rawHandshake(server.port, urlPath, [APPEND]);
      expect([urlPath, answer.status]).toEqual([urlPath, 403]);
    }
    const follower = await Peer.connect(server.url('/d/f'), 'FOLLOW');
    await appender.send('!');
    await waitFor(() => follower.text === 'd/f and more!', 'the follower to have all');
  });

  it('is possible at once after a refusal and after an end', async () => {
    const server = await serve('d/g');
    expect((await rawHandshake(server.port, '/d', [APPEND])).status).toBe(409);
    await appendAll(server, '/d/new', 'one ');
    await appendAll(server, '/d/new', 'two');
    expect(await fileText(server, 'd/new')).toBe('one two');
  });
});

describe('appending to a path that cannot be', () => {
  const common = serverForAll();
  let outside: string;
  beforeAll(async () => {
    const { root } = common.whole;
    for (const name of ['d/g', 'f']) await write(root, name);
    outside = await writeOutside(root);
    execFileSync('mkfifo', [path.join(root, 'fifo')]);
    await symlink(outside, path.join(root, 'to-directory'));
    await symlink(path.join(outside, 'secret'), path.join(root, 'to-file'));
    await symlink('nowhere', path.join(root, 'dangling'));
    await symlink('loop', path.join(root, 'loop'));
  });

  it.each([
    ['/%00', 400],
    ['/a%0ab', 400],
    [`/${'x'.repeat(256)}`, 400],
    ['/.httpfstream', 403],
    ['/.httpfstream/x', 403],
    ['/x/../.httpfstream/x', 403],
    ['/', 409],
    ['/..', 409],
    ['/d', 409],
    ['/d/', 409],
    ['/f/below', 409],
    ['/f/x/y/z', 409],
    ['/fifo', 409],
    ['/to-directory/new', 403],
    ['/to-directory/secret', 403],
    ['/to-file', 403],
    ['/dangling', 403],
    ['/loop', 403],
  ])('%s is refused with %d, and nothing is made', async (urlPath, status) => {
    const { port, root } = common.whole;
    const before = [...(await readdir(root, { recursive: true })), ...(await readdir(outside))].sort();
    const answer = await rawRequest(port, `GET ${urlPath} HTTP/1.1`, [...HANDSHAKE, APPEND]);
    expect(answer.status).toBe(status);
    expect([...(await readdir(root, { recursive: true })), ...(await readdir(outside))].sort()).toEqual(
      before,
    );
    expect(await readFile(path.join(outside, 'secret'), 'utf8')).toBe('secret');
  });
});

describe('the verb', () => {
  it.each([
    ['/new?verb=APPEND', [], 426],
    ['/new', ['X-Verb: APPEND'], 426],
    ['/new?verb=FOLLOW', ['X-Verb: APPEND'], 426],
    ['/new?verb=APPEND', ['X-Verb: FOLLOW'], 404],
    ['/new?verb=APPEND', ['X-Verb:'], 426],
    ['/new?verb=append', [], 400],
    ['/new', ['X-Verb: append'], 400],
    ['/new', ['X-Verb: DELETE'], 400],
    ['/new', ['X-Verb: APPEND', 'X-Verb: APPEND'], 400],
    ['/new?verb=TAIL', ['X-Verb: FOLLOW'], 400],
    ['/new?verb=FOLLOW', ['X-Verb: TAIL'], 400],
    ['/new?verb=', [], 404],
    ['/new?VERB=APPEND', [], 404],
    ['/new?verb=APPEND&verb=FOLLOW', [], 400],
    ['/new?verb=FOLLOW&verb=APPEND', [], 400],
    ['/new?verb=%41PPEND', [], 426],
    ['/new?verb=APPEND;x', [], 400],
    ['/new?verb=%zz', [], 400],
    ['/new?a=%zz&verb=APPEND', [], 426],
  ] as const)('of %s with %j: without a handshake the answer is %d', async (urlPath, headers, status) => {
    const { port } = empty.whole;
    expect((await rawGet(port, urlPath, headers)).status).toBe(status);
  });
});
