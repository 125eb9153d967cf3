import { linkSync } from 'node:fs';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { JsonEntry } from '../../../src/server/files/directory-response.ts';
import { sortedByName } from '../../../src/server/files/sorted-by-name.ts';
import { RootDirectory } from '../../../src/storage/root/root-directory.ts';
import type { DirectoryList } from '../../../src/wire/page.ts';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { openSocket, parseAnswer, rawGet, readToEnd, writeHead } from '../../support/http/raw.ts';
import { get, head } from '../../support/http/request.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, openAppender } from '../../support/websocket/appends.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const AWKWARD_NAMES = [
  '<b>&"\'.txt',
  'a b',
  ' ',
  '%41',
  '%2e%2e',
  'é',
  '日本語 🙂',
  'a+b',
  'a;b',
  'a?b#c',
  'back\\slash',
  'javascript:alert(1)',
  'colon:name',
  '&amp;',
  '..hidden',
  '~',
];

const common = serverForAll();

/** A directory with files: their names are their contents. */
const furnish = async (...names: string[]) => write(await common.guest(), names);

/** A server of its own with files. */
const serve = (...names: string[]) => serveWith({}, names);

/** The same, where index pages take the place of listings. */
const serveIndex = (...names: string[]) => serveWith({ index: true }, names);

/** Gives `d/first` many more names: that is quicker than as many files. */
function linkMany({ root }: TestServer, count: number, tail = ''): void {
  const first = path.join(root, 'd/first');
  for (let i = 1; i <= count; i++) linkSync(first, path.join(root, 'd', `${i}${tail}`));
}

async function serveWith(options: { index?: boolean }, names: readonly string[]): Promise<TestServer> {
  return write(await startServer(options), names);
}

async function write(server: TestServer, names: readonly string[]): Promise<TestServer> {
  for (const name of names) {
    const file = path.join(server.root, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, name);
  }
  return server;
}

async function page(server: TestServer, urlPath: string): Promise<string> {
  const answer = await get(`${server.url(urlPath)}?raw`, { accept: 'text/html' });
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  return answer.body.toString();
}

async function listing(server: TestServer, urlPath: string): Promise<JsonEntry[]> {
  const answer = await get(server.url(urlPath), { accept: 'application/json' });
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
  return JSON.parse(answer.body.toString()).entries;
}

const namesOf = (entries: readonly JsonEntry[]) => entries.map(({ name }) => name);

/** The links of a page, as a browser takes them. */
function linksOf(html: string, base: string): { text: string; url: string }[] {
  return [...html.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)].map(([, href = '', text = '']) => ({
    text: unescapeHtml(text),
    url: new URL(unescapeHtml(href), base).href,
  }));
}

function unescapeHtml(text: string): string {
  return text.replace(/&#(\d+);/g, (_all, code) => String.fromCharCode(code));
}

describe('a listing', () => {
  it('is a page for people that runs no scripts', async () => {
    const server = await furnish('d/f');
    const answer = await get(server.url('/d/'), {
      accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      vary: 'Accept, Sec-Fetch-Dest',
      'content-length': String(answer.body.length),
    });
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
  });

  it.each([
    ['*/*', 'text/html'],
    ['text/html', 'text/html'],
    ['text/plain', 'text/html'],
    ['application/json', 'application/json'],
    ['application/json, text/html;q=0.9', 'application/json'],
    ['text/html, application/json;q=0.9', 'text/html'],
    ['application/json;q=0', 'text/html'],
  ])('for Accept: %s is %s', async (accept, expected) => {
    const server = await furnish('d/f');
    const { headers } = await get(server.url('/d/'), { accept });
    expect(headers['content-type']).toBe(`${expected}; charset=utf-8`);
    expect(headers.vary).toBe('Accept, Sec-Fetch-Dest');
  });

  it('is a page when nothing is said about what is accepted', async () => {
    const server = await furnish('d/f');
    expect((await get(server.url('/d/'))).headers['content-type']).toBe('text/html; charset=utf-8');
  });

  it('has the same headers for HEAD as for GET', async () => {
    const server = await furnish('d/f');
    for (const accept of ['text/html', 'application/json']) {
      const { date: _date, ...headers } = (await get(server.url('/d/?raw'), { accept })).headers;
      const answer = await head(server.url('/d/?raw'), { accept });
      expect(answer.headers).toMatchObject(headers);
      expect([answer.status, answer.body.length]).toEqual([200, 0]);
    }
  });

  it('tells the size and the time of each file, and which are directories', async () => {
    const server = await furnish('d/f', 'd/sub/g');
    const time = new Date('2024-02-29T12:34:56.789Z');
    await utimes(path.join(server.root, 'd/f'), time, time);
    expect(await listing(server, '/d/')).toEqual([
      { name: 'f', type: 'file', size: 3, modified: '2024-02-29T12:34:56.789Z', live: false },
      { name: 'sub', type: 'directory', modified: expect.any(String), live: false },
    ]);
    const html = await page(server, '/d/');
    expect(html).toMatch(/>f<\/a><td>3<td>2024-02-29T12:34:56.789Z/);
    expect(html).toContain('>sub/</a>');
  });

  it('marks what is being appended, with its committed size, until the append has ended', async () => {
    const server = await furnish('idle');
    const appender = await openAppender(server, '/live', 'hello');
    expect(await listing(server, '/')).toMatchObject([
      { name: 'idle', live: false },
      { name: 'live', live: true, size: 5 },
    ]);
    const html = await page(server, '/');
    expect(html).toMatch(/>live<\/a> <b>live<\/b><td>5</);
    expect(html).not.toMatch(/>idle<\/a> <b>/);
    await appender.finish();
    const isOver = async () => (await listing(server, '/')).every(({ live }) => !live);
    await waitFor(isOver, 'the append to be over');
    expect(await listing(server, '/')).toMatchObject([
      { live: false },
      { name: 'live', live: false, size: 5 },
    ]);
  });

  it('marks every name of a file that is being appended', async () => {
    const server = await furnish();
    await openAppender(server, '/f', 'hello');
    await symlink('f', path.join(server.root, 'link'));
    expect(await listing(server, '/')).toMatchObject([
      { name: 'f', live: true },
      { name: 'link', live: true },
    ]);
  });

  it('is in the order of the names', async () => {
    const server = await furnish('d/b', 'd/a', 'd/C', 'd/10', 'd/9');
    expect(namesOf(await listing(server, '/d/'))).toEqual(['10', '9', 'C', 'a', 'b']);
  });

  it('escapes every name, and every link leads to its file', async () => {
    const server = await furnish(...AWKWARD_NAMES.map((name) => `d/${name}`));
    const html = await page(server, '/d/');
    expect(html).not.toContain('<b>&');
    const links = linksOf(html, server.url('/d/')).filter(({ text }) => text !== '../');
    expect(links.map(({ text }) => text).sort()).toEqual([...AWKWARD_NAMES].sort());
    for (const { text, url } of links) {
      const answer = await get(url);
      expect([text, answer.status, answer.body.toString()]).toEqual([text, 200, `d/${text}`]);
    }
    expect(namesOf(await listing(server, '/d/')).sort()).toEqual([...AWKWARD_NAMES].sort());
  });

  it('escapes the names of directories in titles, links and redirects', async () => {
    const server = await serve(...AWKWARD_NAMES.map((name) => `${name}/f`));
    for (const { text, url } of linksOf(await page(server, '/'), server.url('/'))) {
      expect(url.endsWith('/')).toBe(true);
      const html = (await get(url)).body.toString();
      expect(unescapeHtml(/<h1>(.*)<\/h1>/.exec(html)?.[1] ?? '')).toBe(`/${text}`);
      const bare = url.slice(0, -1);
      const redirect = await get(bare);
      expect(redirect.status).toBe(301);
      expect(new URL(redirect.headers.location ?? '', bare).href).toBe(url);
    }
  });

  it('links to the directory above, except from the root', async () => {
    const server = await serve('a/b/f');
    const [up] = linksOf(await page(server, '/a/b/'), server.url('/a/b/'));
    expect(up).toEqual({ text: '../', url: server.url('/a/') });
    expect(await page(server, '/')).not.toContain('../');
  });

  it('links to what works under a prefix', async () => {
    const server = await startServer({ prefix: '/files' });
    await appendAll(server, '/files/a%20b/f', 'hello');
    const [directory] = linksOf(await page(server, '/files/'), server.url('/files/'));
    const [, file] = linksOf((await get(directory?.url ?? '')).body.toString(), directory?.url ?? '');
    expect((await get(file?.url ?? '')).body.toString()).toBe('hello');
  });

  it('of the root leaves out what is reserved, what leads out and what no URL can name', async () => {
    const server = await serve('.httpfstream/state', 'sub/.httpfstream/f', 'f', 'line\nbreak');
    await symlink('/etc', path.join(server.root, 'etc'));
    await symlink('nowhere', path.join(server.root, 'dangling'));
    expect(namesOf(await listing(server, '/'))).toEqual(['f', 'sub']);
    expect(namesOf(await listing(server, '/sub/'))).toEqual(['.httpfstream']);
    expect((await get(server.url('/sub/.httpfstream/f'))).status).toBe(200);
  });

  it('of an empty directory is empty', async () => {
    const server = await serve();
    expect(await listing(server, '/')).toEqual([]);
    expect(linksOf(await page(server, '/'), server.url('/'))).toEqual([]);
  });

  it('of very many names stops, says so, and leaves nothing open', async () => {
    const server = await serve('d/first');
    linkMany(server, 10_050);
    const before = await openDescriptors();
    const answer = JSON.parse((await get(server.url('/d/'), { accept: 'application/json' })).body.toString());
    expect([answer.truncated, answer.entries.length]).toEqual([true, 10_000]);
    await descriptorsBackTo(before);
  });
});

describe('a long listing', () => {
  const COUNT = 1000;

  /** Enough to take some turns of the event loop. */
  const FEW = 300;

  async function serveMany(count = COUNT): Promise<TestServer> {
    const server = await serve('d/first');
    linkMany(server, count - 1, ` ${'\u00e4'.repeat(100)}`);
    return server;
  }

  it('ends when its client has gone, and one that waits for its turn does, too', async () => {
    const server = await serveMany();
    const before = await openDescriptors();
    const spy = vi.spyOn(RootDirectory.prototype, 'statEntry');
    onTestFinished(() => spy.mockRestore());
    const sockets = await Promise.all(Array.from({ length: 30 }, () => openSocket(server.port)));
    for (const socket of sockets) {
      writeHead(socket, 'GET /d/ HTTP/1.1');
      socket.resume();
    }
    await waitFor(() => spy.mock.calls.length > 0, 'the first names to be looked at');
    for (const socket of sockets) socket.end(() => socket.destroy());
    await descriptorsBackTo(before);
    // Thirty times all of them, if nobody had noticed.
    expect(spy.mock.calls.length).toBeLessThan(15 * COUNT);
    expect(namesOf(await listing(server, '/d/'))).toHaveLength(COUNT);
  });

  it('is read for a few at a time, so that all together take few descriptors', async () => {
    const server = await serveMany(FEW);
    let running = 0;
    let most = 0;
    const entries = RootDirectory.prototype.entries;
    const spy = vi.spyOn(RootDirectory.prototype, 'entries').mockImplementation(async function* (
      this: RootDirectory,
      resource,
    ) {
      most = Math.max(most, ++running);
      try {
        yield* entries.call(this, resource);
      } finally {
        running--;
      }
    });
    onTestFinished(() => spy.mockRestore());
    const all = await Promise.all(Array.from({ length: 12 }, () => listing(server, '/d/')));
    for (const one of all) expect(one).toHaveLength(FEW);
    expect(most).toBeLessThanOrEqual(4);
    expect(running).toBe(0);
  });

  it.each(['text/html', 'application/json'])(
    'is answered to whoever has closed its side: %s',
    async (accept) => {
      const server = await serveMany(FEW);
      const whole = (await get(server.url('/d/?raw'), { accept })).body.toString();
      const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
      onTestFinished(() => void socket.destroy());
      writeHead(socket, 'GET /d/?raw HTTP/1.1', [`Accept: ${accept}`, 'Connection: close']);
      socket.end();
      const { status, body } = parseAnswer(await readToEnd(socket));
      expect(status).toBe(200);
      // Line ends that mean nothing have come while it was read.
      expect(body.replace(/\n+/g, '')).toBe(whole.replace(/\n+/g, ''));
      if (accept === 'application/json') expect(JSON.parse(body)).toEqual(JSON.parse(whole));
    },
  );

  it('is sent in pieces instead of as one text', async () => {
    const server = await serveMany();
    let largest = 0;
    server.app.server.once('connection', (socket) => {
      const write = vi.spyOn(socket, 'write');
      socket.once('close', () => {
        largest = Math.max(...write.mock.calls.map(([chunk]) => chunk.length));
      });
    });
    const { body } = await get(server.url('/d/'));
    expect(body.length).toBeGreaterThan(400 * 1024);
    await waitFor(() => largest > 0, 'the connection to be over');
    expect(largest).toBeLessThan(100 * 1024);
  });
});

describe('the one URL', () => {
  it.each([
    ['/d', '/d/'],
    ['/d?x=1&y=2', '/d/?x=1&y=2'],
    ['/f/', '/f'],
    ['/f/?x=%20', '/f?x=%20'],
    ['/link', '/link/'],
  ])('%s redirects to %s', async (from, to) => {
    const server = await furnish('d/g', 'f');
    await symlink('d', path.join(server.root, 'link'));
    for (const request of [get, head]) {
      const answer = await request(server.url(from));
      expect([answer.status, new URL(answer.headers.location ?? '', server.url(from)).href]).toEqual([
        301,
        server.url(to),
      ]);
    }
  });

  it.each([
    ['/files/d', '/files/d/'],
    ['/files/f/', '/files/f'],
    ['/files//f', '/files/f'],
    ['/files/d/..//f', '/files/f'],
    ['/files//', '/files/'],
  ])('keeps the prefix, and another one that a proxy takes away: %s redirects to %s', async (from, to) => {
    const server = await startServer({ prefix: '/files' });
    await mkdir(path.join(server.root, 'd'));
    await writeFile(path.join(server.root, 'f'), 'hello');
    const answer = await rawGet(server.port, from);
    expect(answer.status).toBe(301);
    for (const origin of ['http://test', 'https://proxy.example/outer', 'http://proxy.example/x/files']) {
      expect(new URL(answer.headers.location ?? '', origin + from).href).toBe(origin + to);
    }
  });
});

describe('the list of a directory, for its page', () => {
  it('says of each name how large and how old it is, and how it stands', async () => {
    const server = await furnish('d/a.log', 'd/sub/f');
    await V2Peer.append(server.url('/d/live'));
    const lost = await V2Peer.append(server.url('/d/waiting'), { session: sessionOf('a') });
    lost.websocket.terminate();
    const ended = await V2Peer.append(server.url('/d/ended'));
    ended.websocket.close(1000, '{"status":3}');
    const rows = async () => {
      const answer = await get(server.url('/d/?view=list'));
      return (JSON.parse(answer.text) as DirectoryList).rows;
    };
    const isSettled = async () => {
      const [, finished, , , waiting] = await rows();
      return finished?.[3] === 'finished' && waiting?.[3] === 'waiting';
    };
    await waitFor(isSettled, 'one append to be over, and another one to be waited for');
    expect(await rows()).toEqual([
      ['a.log', expect.any(Number), expect.any(Number), null],
      ['ended', 0, expect.any(Number), 'finished', 3],
      ['live', 0, expect.any(Number), 'live'],
      ['sub/', null, expect.any(Number), null],
      ['waiting', 0, expect.any(Number), 'waiting'],
    ]);
  });

  it('is sorted in many turns, so that others are served meanwhile', async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => ({ name: String((i * 7919) % 20_000) }));
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    count();
    const sorted = await sortedByName(entries);
    isOver = true;
    expect(turns).toBeGreaterThan(10);
    const names = sorted.map(({ name }) => name);
    expect(names).toEqual(entries.map(({ name }) => name).sort());
  });

  it('is none of a file', async () => {
    const server = await furnish('f');
    expect((await get(server.url('/f?view=list'))).status).toBe(400);
  });
});

describe('an index page', () => {
  it('does not take the place of a listing by being uploaded', async () => {
    const server = await serve('index.html', 'd/index.html');
    expect(await page(server, '/')).toContain('index.html</a>');
    expect(await page(server, '/d/')).toContain('index.html</a>');
    expect((await get(server.url('/d/index.html'))).body.toString()).toBe('d/index.html');
  });

  it('stands for its directory when the server was told so, in the root as well', async () => {
    const server = await serveIndex('index.html', 'd/index.html');
    for (const urlPath of ['/', '/d/']) {
      const answer = await get(server.url(urlPath));
      expect(answer.status).toBe(200);
      expect(answer.body.toString()).toBe(`${urlPath}index.html`.slice(1));
      expect(answer.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8' });
      expect(answer.headers['content-security-policy']).toMatch(/^sandbox/);
      expect(answer.headers.etag).toBe((await get(server.url(`${urlPath}index.html`))).headers.etag);
    }
  });

  it('does not hide the listing from those who want JSON, and says that the answer varies', async () => {
    const server = await serveIndex('d/index.html');
    expect(namesOf(await listing(server, '/d/'))).toEqual(['index.html']);
    expect((await get(server.url('/d/'))).headers.vary).toBe('Accept, Sec-Fetch-Dest');
  });

  it('is sent as far as it is committed while it is being appended', async () => {
    const server = await serveIndex();
    await openAppender(server, '/index.html', '<p>hello');
    expect((await get(server.url('/'))).body.toString()).toBe('<p>hello');
  });

  it('is none when it is a directory, or leads out of the root', async () => {
    const server = await serveIndex('d/index.html/f', 'e/f');
    await symlink('/etc/passwd', path.join(server.root, 'e/index.html'));
    expect(await page(server, '/d/')).toContain('index.html/</a>');
    expect(linksOf(await page(server, '/e/'), server.url('/e/'))).toHaveLength(2);
  });
});
