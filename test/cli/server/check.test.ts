import { randomBytes } from 'node:crypto';
import {
  appendFile,
  chmod,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import {
  dueIn,
  forksIn,
  recordAt,
  recordsIn,
  rewriteRecords,
  storedIn,
  storeOf,
  tombstonesIn,
  withStore,
} from '../../support/core/stored-records.ts';
import { copyRoot } from '../../support/disk/copied-root.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../../support/disk/ordinary-user.ts';
import { fingerprintOf } from '../../support/disk/restored-root.ts';
import { run, runHere } from '../../support/programs/command.ts';
import { librariesIn, tellLoaded } from '../../support/programs/loaded-libraries.ts';
import { diskDirectory, startServer, type TestServer } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** What takes more than a second says so. */
const PROGRESS = /^the server before this one was killed: /;

interface Checked {
  exit: number;
  /** What was found. */
  lines: string[];
  summary: string;
}

/** What reads the store of records. */
const STORE = [
  'classic-level',
  'abstract-level',
  'level-supports',
  'level-transcoder',
  'module-error',
  'maybe-combine-errors',
  'node-gyp-build',
];

async function check(root: string): Promise<Checked> {
  const { exit, stdout, stderr } = await runHere(runServer, ['--check', '-root', root]);
  expect(stderr).toBe('');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .filter((line) => !PROGRESS.test(line));
  return { exit, lines: lines.slice(0, -1), summary: lines.at(-1) as string };
}

/** What a second run must say of everything. */
async function isWell(root: string): Promise<void> {
  const { exit, lines, summary } = await check(root);
  expect({ exit, lines }).toEqual({ exit: 0, lines: [] });
  expect(summary).toMatch(/: all is well$/);
}

const own = (root: string, ...names: string[]) => path.join(root, '.httpfstream', ...names);

async function put(server: TestServer, name: string, headers: Record<string, string> = {}, body = 'text') {
  const answer = await fetch(server.url(`/${name}`), {
    method: 'PUT',
    headers: { 'content-type': 'text/plain', ...headers },
    ...(body !== '' && { body }),
  });
  expect(answer.status).toBe(201);
}

async function post(url: string, body: string, headers: Record<string, string> = {}): Promise<number> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'text/plain', ...headers },
    body,
  });
  return answer.status;
}

/** A root that a server has filled and closed. */
async function filled(fill: (server: TestServer) => Promise<void>): Promise<string> {
  const server = await startServer();
  await fill(server);
  await server.app.close();
  return server.root;
}

/** Paths of the files of which something is remembered. */
const remembered = async (root: string) => Object.keys(await recordsIn(root)).sort();
const asideNames = (root: string) => readdir(own(root, 'aside')).catch(() => []);

describe('httpfstream-server --check', () => {
  test('says that all is well, changes nothing, and loads no server', async () => {
    const root = await filled(async (server) => {
      await put(server, 'a/plain');
      await put(server, 'json', { 'content-type': 'application/json' }, '[1,{"a":[2]},"x\\ny"]');
      await put(server, 'empty', { 'content-type': 'application/json' }, '');
      await put(server, 'ttl', { 'stream-ttl': '600' });
      await put(server, 'closed', { 'stream-closed': 'true' });
      await put(server, 'fork', { 'stream-forked-from': '/closed' });
      await put(server, 'buried');
      await put(server, 'of-buried', { 'stream-forked-from': '/buried' });
      expect((await fetch(server.url('/buried'), { method: 'DELETE' })).status).toBe(204);
      expect(await post(server.url('/a/plain'), 'more', producer(0))).toBe(200);
      expect((await fetch(server.url('/session?verb=APPEND'), { method: 'PUT', body: 'x' })).status).toBe(
        201,
      );
    });
    await writeFile(path.join(root, 'foreign.json'), 'no JSON');
    const before = await snapshot(root);
    const args = ['-check', '-root', root];
    const { exit, stdout, stderr } = await run('httpfstream-server', args, { env: tellLoaded() });
    expect({ exit, libraries: librariesIn(stderr) }).toEqual({
      exit: 0,
      libraries: ['commander', ...STORE],
    });
    expect(stdout).toBe('9 files looked at, of 8 of them something is remembered: all is well\n');
    expect(await snapshot(root)).toEqual(before);
  });

  test('refuses while a server runs', async () => {
    const { root } = await startServer();
    expect(await run('httpfstream-server', ['--check', '-root', root])).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: `httpfstream-server: another server uses ${root}: stop that one, or use another directory\n`,
    });
  });

  test('makes no root that is not there', async () => {
    const root = path.join(await diskDirectory(), 'missing');
    expect(await runHere(runServer, ['--check', '-root', root])).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: `httpfstream-server: there is no directory ${root}\n`,
    });
    await expect(stat(root)).rejects.toThrow('ENOENT');
  });

  test.runIf(process.getuid?.() === 0)('refuses to leave files that the server cannot read', async () => {
    const root = await filled((server) => put(server, 'a'));
    await giveToOrdinaryUser(own(root));
    expect(await run('httpfstream-server', ['--check', '-root', root])).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: `httpfstream-server: ${root} is served by the user 65534: check it as that user\n`,
    });
  });

  test('lets a server have the root afterwards', async () => {
    const root = await filled((server) => put(server, 'a'));
    await isWell(root);
    expect(await readdir(own(root, 'lock'))).toEqual([]);
    await startServer({ root });
  });
});

/** Everything in a root, but for the directories that come and go, and how the store of records lies there. */
async function snapshot(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.parentPath !== storeOf(root));
  const contents = files.map(async ({ parentPath, name }) => {
    const file = path.join(parentPath, name);
    return [file, `${(await stat(file)).mtimeMs} ${await readFile(file, 'latin1')}`] as const;
  });
  return Object.fromEntries([...(await Promise.all(contents)), ...(await storedIn(root))]);
}

function producer(seq: number): Record<string, string> {
  return { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(seq) };
}

describe('what a server has left that was killed', () => {
  test('is made good from its log', async () => {
    const root = await diskDirectory();
    const server = await ServerProcess.start(root);
    const url = server.url('/s');
    await fetch(url, { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    for (let seq = 0; seq < 20; seq++) expect(await post(url, `line ${seq}\n`, producer(seq))).toBe(200);
    await server.stop('SIGKILL');
    // As if the system had not taken it to the disk.
    await truncate(path.join(root, 's'), 30);
    const { exit, lines } = await check(root);
    expect({ exit, lines }).toEqual({
      exit: 0,
      lines: [expect.stringMatching(/^journal: the server was killed; 1 files? brought up to date$/)],
    });
    const text = Array.from({ length: 20 }, (_, seq) => `line ${seq}\n`).join('');
    expect(await readFile(path.join(root, 's'), 'utf8')).toBe(text);
    expect((await recordAt(root, 's')).record.stream).toMatchObject({
      size: text.length,
      producers: [['p', 0, 19]],
    });
    await isWell(root);
  });

  test('and whose log is torn: bytes of which no producer knows are set aside', async () => {
    const root = await diskDirectory();
    const server = await ServerProcess.start(root);
    const url = server.url('/s');
    await fetch(url, { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    expect(await post(url, 'first\n', producer(0))).toBe(200);
    await waitFor(
      async () => ((await recordAt(root, 's')).record.stream?.producers ?? []).length > 0,
      'a checkpoint',
    );
    expect(await post(url, 'second\n', producer(1))).toBe(200);
    await server.stop('SIGKILL');
    for (const name of await readdir(own(root, 'redo'))) await truncate(own(root, 'redo', name), 5);
    const { exit, lines } = await check(root);
    expect({ exit, lines }).toEqual({
      exit: 0,
      lines: [expect.stringMatching(/^s: 7 bytes of which no producer knows; moved to .*aside/)],
    });
    expect(await readFile(path.join(root, 's'), 'utf8')).toBe('first\n');
    const [aside] = await asideNames(root);
    expect(await readFile(own(root, 'aside', aside as string), 'utf8')).toBe('second\n');
    await isWell(root);
  });

  test('and whose log is damaged: that is told, and that something may be lost', async () => {
    const root = await diskDirectory();
    const server = await ServerProcess.start(root);
    await fetch(server.url('/s'), { method: 'PUT', headers: { 'content-type': 'text/plain' } });
    expect(await post(server.url('/s'), 'first\n', producer(0))).toBe(200);
    expect(await post(server.url('/s'), 'second\n', producer(1))).toBe(200);
    await server.stop('SIGKILL');
    const [segment] = (await readdir(own(root, 'redo'))).map((name) => own(root, 'redo', name));
    const bytes = await readFile(segment as string);
    bytes[20] = (bytes[20] as number) ^ 1;
    await writeFile(segment as string, bytes);
    const { exit, lines } = await check(root);
    expect(exit).toBe(1);
    const told = lines.find((line) => line.startsWith(`${segment}: a journal is damaged`));
    const { position, aside } = JSON.parse(/\((\{.*\})\)$/.exec(told ?? '')?.[1] ?? '{}');
    expect([position, await readFile(aside)]).toEqual([0, bytes]);
    await isWell(root);
  });

  /** A root with a file that was being made, of which something is remembered, and one that has both of its names. */
  async function unfinished(): Promise<{ root: string; leftOvers: string[]; fingerprint: string }> {
    const root = await filled((server) => put(server, 'published'));
    const leftOver = own(root, 'incoming/x');
    await writeFile(leftOver, 'left over');
    const twice = own(root, 'incoming/twice');
    await link(path.join(root, 'published'), twice);
    const fingerprint = await fingerprintOf(leftOver);
    const record = { path: 'x', stream: { version: 1, size: 9 } };
    await withStore(root, (store) => store.put(`file!${fingerprint}`, JSON.stringify(record)));
    return { root, leftOvers: [leftOver, twice], fingerprint };
  }

  test('is removed: files that were not written to their end', async () => {
    const { root, leftOvers } = await unfinished();
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines.sort()).toEqual(
      leftOvers.map((name) => `${name}: was not written to its end; removed`).sort(),
    );
    for (const name of leftOvers) await expect(stat(name)).rejects.toThrow('ENOENT');
    expect(await remembered(root)).toEqual(['published']);
    expect(await readFile(path.join(root, 'published'), 'utf8')).toBe('text');
    await isWell(root);
  });

  test('is removed at its next start, too', async () => {
    const { root } = await unfinished();
    const server = await startServer({ root });
    expect(await readdir(own(root, 'incoming'))).toEqual([]);
    expect(await remembered(root)).toEqual(['published']);
    expect((await fetch(server.url('/published'))).headers.get('content-type')).toBe('text/plain');
  });

  test('is deleted to the end when its name was gone by then, and stays when it was not', async () => {
    const root = await filled(async (server) => {
      for (const name of ['gone', 'stays']) {
        await put(server, name);
        await put(server, `of-${name}`, { 'stream-forked-from': `/${name}` });
      }
    });
    const { gone, stays } = await recordsIn(root);
    await withStore(root, async (store) => {
      await store.put(`removal!${gone?.fingerprint}`, 'gone');
      await store.put(`removal!${stays?.fingerprint}`, 'stays');
    });
    await unlink(path.join(root, 'gone'));
    await isWell(root);
    expect(await remembered(root)).toEqual(['of-gone', 'of-stays', 'stays']);
    const server = await startServer({ root });
    expect((await fetch(server.url('/gone'))).status).toBe(410);
    expect((await fetch(server.url('/stays'))).headers.get('content-type')).toBe('text/plain');
  });
});

describe('what is remembered of a file', () => {
  test('is moved aside when it is damaged, and nobody is told that the file is whole', async () => {
    const root = await filled((server) => put(server, 'a'));
    await rewriteRecords(root, () => 'damaged');
    const { exit, lines } = await check(root);
    expect({ exit, lines }).toEqual({
      exit: 0,
      lines: [expect.stringMatching(/^a: what was remembered of it is damaged; moved to .*aside/)],
    });
    const [aside] = await asideNames(root);
    expect(await readFile(own(root, 'aside', aside as string), 'utf8')).toBe('damaged');
    await isWell(root);
    const server = await startServer({ root });
    await expect((await fetch(server.url('/a?verb=FOLLOW'))).text()).rejects.toThrow();
  });

  test('is removed when the file is no more, and stays when it was renamed', async () => {
    const root = await filled(async (server) => {
      await put(server, 'deleted', { 'stream-ttl': '600' });
      await put(server, 'renamed', { 'content-type': 'text/x-own' });
      await put(server, 'odd');
    });
    await unlink(path.join(root, 'deleted'));
    await mkdir(path.join(root, 'd'));
    await rename(path.join(root, 'renamed'), path.join(root, 'd/new'));
    // No text, and no path that a URL could name.
    const odd = Buffer.concat([Buffer.from(`${root}/odd-`), Buffer.from([0xff, 0x0a])]);
    await rename(path.join(root, 'odd'), odd);
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines).toEqual(['deleted: is no more; what was remembered of it is removed']);
    expect(await dueIn(root)).toEqual([]);
    expect(await remembered(root)).toEqual(['odd', 'renamed']);
    await isWell(root);
    const server = await startServer({ root });
    expect((await fetch(server.url('/d/new'))).headers.get('content-type')).toBe('text/x-own');
  });

  test('goes to the copies when the whole root was copied: closed streams stay closed', async () => {
    let offset = '';
    const root = await filled(async (server) => {
      await put(server, 'closed', { 'stream-closed': 'true' });
      await put(server, 'open', { 'stream-ttl': '9999' });
      offset = (await fetch(server.url('/open'))).headers.get('stream-next-offset') as string;
    });
    const copy = await copyRoot(root);
    expect((await check(copy)).exit).toBe(0);
    await isWell(copy);
    const server = await startServer({ root: copy });
    expect(await post(server.url('/closed'), 'more')).toBe(409);
    expect((await fetch(server.url('/open'))).headers.get('stream-ttl')).toBe('9999');
    expect((await fetch(server.url(`/open?offset=${offset}`))).status).toBe(200);
  });

  test('goes to the copies when the root was copied while a server ran: what was under way there has not finished', async () => {
    const server = await startServer();
    const appender = await V2Peer.append(server.url('/broken'), { session: 'x'.repeat(32) });
    await appender.append('part 1 of 2', 11);
    // The store has the record; the copy of the file has more than that knows.
    const redo = path.join(server.root, '.httpfstream', 'redo');
    await waitFor(async () => (await readdir(redo)).length === 0, 'a checkpoint');
    const copy = await copyRoot(server.root);
    expect((await check(copy)).lines).toEqual([
      expect.stringMatching(/^the root: was copied; 1 of its files/),
    ]);
    const other = await startServer({ root: copy, graceMs: 100 });
    const follower = await V2Peer.follow(other.url('/broken'));
    await follower.closed();
    expect([follower.text, follower.end?.reason]).toEqual(['part 1 of 2', 'interrupted']);
  });

  test('goes to a copy of the file that came in its place', async () => {
    const root = await filled((server) => put(server, 'a'));
    await cp(path.join(root, 'a'), path.join(root, 'copy'));
    await rename(path.join(root, 'copy'), path.join(root, 'a'));
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^a: is a copy of the file/)]);
    expect(await asideNames(root)).toHaveLength(0);
    await isWell(root);
  });

  test('is not removed because a symlink hides the file, or leads to it', async () => {
    const root = await filled((server) => put(server, 'd/a'));
    await symlink('d', path.join(root, 'link'));
    await symlink('.', path.join(root, 'd/loop'));
    await symlink(root, path.join(root, 'd/up'));
    await symlink('nothing', path.join(root, 'dangling'));
    await isWell(root);
  });

  test.runIf(process.getuid?.() === 0)('is left as it is when a directory cannot be read', async () => {
    const root = await filled(async (server) => {
      await put(server, 'd/a');
      await put(server, 'b');
    });
    await giveToOrdinaryUser(root);
    await unlink(path.join(root, 'b'));
    await chmod(path.join(root, 'd'), 0);
    const { checkDirectory } = await import('../../../src/server/check-directory.ts');
    for (const name of await readdir(own(root), { recursive: true }))
      await giveToOrdinaryUser(own(root, name));
    await giveToOrdinaryUser(own(root));
    const lines: string[] = [];
    const isGood = await asOrdinaryUser(() => checkDirectory(root, (line) => lines.push(line)));
    expect(isGood).toBe(false);
    expect(lines[0]).toBe(`${root}/d: cannot be read; what is remembered of its files is left as it is`);
    expect(await remembered(root)).toEqual(['b', 'd/a']);
  });

  test('is corrected when the file has become shorter, and that is a loss', async () => {
    const root = await filled(async (server) => {
      await put(server, 'stream', { 'stream-closed': 'true' }, 'x'.repeat(100));
      const answer = await fetch(server.url('/session?verb=APPEND'), {
        method: 'PUT',
        body: 'y'.repeat(100),
      });
      expect(answer.status).toBe(201);
    });
    await truncate(path.join(root, 'stream'), 60);
    await truncate(path.join(root, 'session'), 90);
    const { exit, lines, summary } = await check(root);
    expect(exit).toBe(1);
    expect(lines.sort()).toEqual([
      'session: 10 bytes are missing at its end; it is remembered to end at 90, interrupted',
      'stream: 40 bytes are missing at its end; it is remembered to end at 60, interrupted',
    ]);
    expect(summary).toMatch(/: 0 findings put right, 2 that are not, or not without a loss$/);
    await isWell(root);
    const server = await startServer({ root });
    for (const name of ['session', 'stream'])
      await expect((await fetch(server.url(`/${name}?verb=FOLLOW`))).text()).rejects.toThrow();
    expect((await fetch(server.url('/stream?offset=-1'))).headers.get('stream-next-offset')).toMatch(
      /_0*60$/,
    );
  });

  test('is more than the file itself says when other programs append', async () => {
    const root = await filled((server) => put(server, 'a'));
    await appendFile(path.join(root, 'a'), 'more');
    await isWell(root);
    expect(await readFile(path.join(root, 'a'), 'utf8')).toBe('textmore');
  });
});

describe('a stream', () => {
  test('that has outlived its time is deleted, with what was remembered of it', async () => {
    // Long enough for a slow machine to make a fork of it before.
    const expiryMs = Date.now() + 4000;
    const root = await filled(async (server) => {
      await put(server, 'ttl', { 'stream-ttl': '1' });
      await put(server, 'at', { 'stream-expires-at': new Date(expiryMs).toISOString() });
      await put(server, 'fork', { 'stream-forked-from': '/at', 'stream-ttl': '600' });
      await put(server, 'stays', { 'stream-ttl': '600' });
    });
    const overMs = Math.max(expiryMs, Date.now() + 1500);
    await waitFor(() => Date.now() > overMs, 'their time');
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines.sort()).toEqual([
      'at: had outlived its time; deleted',
      'ttl: had outlived its time; deleted',
    ]);
    expect(await remembered(root)).toEqual(['fork', 'stays']);
    expect(Object.keys(await tombstonesIn(root))).toEqual(['at']);
    await isWell(root);
    const server = await startServer({ root });
    expect((await fetch(server.url('/at'))).status).toBe(410);
    expect((await fetch(server.url('/ttl'))).status).toBe(404);
  });

  test('that is to be deleted in time is noted for it', async () => {
    const root = await filled((server) => put(server, 'ttl', { 'stream-ttl': '600' }));
    const [noted] = await dueIn(root);
    const { record: before } = await recordAt(root, 'ttl');
    await withStore(root, async (store) => {
      const { fingerprint } = await recordAt(root, 'ttl');
      const { dueMs: _, ...record } = before;
      await store.batch([
        { type: 'put', key: `file!${fingerprint}`, value: JSON.stringify(record) },
        { type: 'del', key: `due!${noted}` },
      ]);
    });
    const { exit, lines } = await check(root);
    expect({ exit, lines }).toEqual({
      exit: 0,
      lines: ['ttl: that it is to be deleted in time was not noted; noted'],
    });
    expect(await dueIn(root)).toEqual([noted]);
    // A check is no access.
    expect((await recordAt(root, 'ttl')).record).toEqual(before);
    await isWell(root);
  });

  test.each([
    ['a line that is none', '{"a":1}\nnonsense\n{"b":2}\n', 8],
    ['two values in a line', '1 2\n', 0],
    ['an empty line', '1\n\n2\n', 2],
    ['a line without an end', '1\n2', 2],
    ['what is no UTF-8', Buffer.from([0x22, 0xff, 0x22, 0x0a]), 0],
  ])('of JSON values is told of when it has %s, and left as it is', async (_what, bytes, position) => {
    const root = await filled((server) => put(server, 'json', { 'content-type': 'application/json' }, '[]'));
    await writeFile(path.join(root, 'json'), bytes);
    for (let round = 0; round < 2; round++) {
      const { exit, lines } = await check(root);
      expect({ exit, lines }).toEqual({
        exit: 1,
        lines: [`json: a stream of JSON values, and the line at ${position} is none; left as it is`],
      });
    }
    expect(await readFile(path.join(root, 'json'))).toEqual(Buffer.from(bytes));
  });

  test('of JSON values may have lines that are longer than a block', async () => {
    const long = JSON.stringify(randomBytes(1_500_000).toString('hex'));
    const root = await filled((server) =>
      put(server, 'json', { 'content-type': 'application/json' }, `[${long},1,${long}]`),
    );
    await isWell(root);
  });
});

describe('what streams and their forks remember of each other', () => {
  test('is corrected when forks are no more, through all generations', async () => {
    const root = await filled(async (server) => {
      await put(server, 'living');
      await put(server, 'lost', { 'stream-forked-from': '/living' });
      await put(server, 'kept', { 'stream-forked-from': '/living' });
      // Not in the order in which they are found.
      await put(server, 'd');
      await put(server, 'c', { 'stream-forked-from': '/d' });
      await put(server, 'b', { 'stream-forked-from': '/c' });
      await put(server, 'a', { 'stream-forked-from': '/b' });
      await put(server, 'e', { 'stream-forked-from': '/a' });
      for (const name of ['/b', '/a', '/d', '/c'])
        expect((await fetch(server.url(name), { method: 'DELETE' })).status).toBe(204);
    });
    expect(Object.keys(await tombstonesIn(root)).sort()).toEqual(['a', 'b', 'c', 'd']);
    await unlink(path.join(root, 'lost'));
    await unlink(path.join(root, 'e'));
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines.sort()).toEqual([
      'a: was deleted, and none of its forks is left; its name is free',
      'b: was deleted, and none of its forks is left; its name is free',
      'c: was deleted, and none of its forks is left; its name is free',
      'd: was deleted, and none of its forks is left; its name is free',
      'e: is no more; what was remembered of it is removed',
      'living: 1 of its forks are no more; forgotten',
      'lost: is no more; what was remembered of it is removed',
    ]);
    expect(await tombstonesIn(root)).toEqual({});
    expect(await forksIn(root, 'living')).toEqual(['kept']);
    await isWell(root);
    const server = await startServer({ root });
    await put(server, 'a');
  });

  test('stays while a fork of a fork lives', async () => {
    const root = await filled(async (server) => {
      await put(server, 'a');
      await put(server, 'b', { 'stream-forked-from': '/a' });
      await put(server, 'c', { 'stream-forked-from': '/b' });
      for (const name of ['/b', '/a'])
        expect((await fetch(server.url(name), { method: 'DELETE' })).status).toBe(204);
    });
    await isWell(root);
    expect(Object.keys(await tombstonesIn(root)).sort()).toEqual(['a', 'b']);
  });

  test('is moved aside when it is damaged, and undone when a deletion came to no end', async () => {
    const root = await filled(async (server) => {
      await put(server, 'a');
      await put(server, 'b', { 'stream-forked-from': '/a' });
      await put(server, 'c', { 'stream-forked-from': '/b' });
      expect((await fetch(server.url('/b'), { method: 'DELETE' })).status).toBe(204);
    });
    const buried = (await tombstonesIn(root)).b;
    // As a loss of power may leave it: the file is there again, and what was remembered of it is not.
    await writeFile(path.join(root, 'b'), 'text');
    const fingerprint = await fingerprintOf(path.join(root, 'b'));
    await withStore(root, async (store) => {
      await store.put('tombstone!odd', 'damaged');
      await store.put('tombstone!b', JSON.stringify({ ...buried, fingerprint }));
    });
    const { exit, lines } = await check(root);
    expect(exit).toBe(0);
    expect(lines.sort()).toEqual([
      'a: 1 of its forks are no more; forgotten',
      'b: was not deleted to the end, and lives; that it was deleted is forgotten',
      expect.stringMatching(/^odd: was deleted, and for which forks it is kept is damaged; moved to .*aside/),
    ]);
    await isWell(root);
    const server = await startServer({ root });
    expect(await (await fetch(server.url('/b'))).text()).toBe('text');
  });
});
