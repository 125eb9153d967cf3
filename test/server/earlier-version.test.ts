import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkDirectory } from '../../src/server/check-directory.ts';
import { recordAt } from '../support/core/stored-records.ts';
import { restoredRoot } from '../support/disk/restored-root.ts';
import { RESERVED } from '../support/disk/root-files.ts';
import { NEVER_MS } from '../support/patience.ts';
import { startServer, type TestServer } from '../support/server/server.ts';
import { refusalOf, sessionOf, V2Peer } from '../support/websocket/v2-peer.ts';

const FIXTURES = ['closed', 'killed'].map((name) => [name, `0.3.0/${name}.tar.gz`] as const);

const JSON_TYPE = { 'content-type': 'application/json' };
const TEXT = { 'content-type': 'text/plain' };

const producer = (id: string, epoch: number, seq: number) => ({
  'producer-id': id,
  'producer-epoch': String(epoch),
  'producer-seq': String(seq),
});

async function ask(server: TestServer, method: string, name: string, headers = {}, body?: string) {
  const answer = await fetch(server.url(`/${name}`), {
    method,
    headers,
    ...(body !== undefined && { body }),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

async function followed(server: TestServer, name: string) {
  const peer = await V2Peer.follow(server.url(`/${name}`));
  await peer.closed();
  return [peer.text, ...peer.ending];
}

async function start(fixture: string, durability: 'os' | 'disk' = 'os') {
  const server = await startServer({ root: await restoredRoot(fixture), graceMs: NEVER_MS, durability });
  return { server, ...server };
}

describe.each(FIXTURES)('a root of 0.3.0 whose server was %s', (_how, fixture) => {
  test.each(['os', 'disk'] as const)(
    'has its streams, with all that their producers have brought (%s)',
    async (durability) => {
      const { server } = await start(fixture, durability);
      const isKilled = fixture.includes('killed');
      const open = await ask(server, 'GET', 'streams/open.txt');
      expect(open.headers.get('content-type')).toBe('text/plain');
      expect(open.text).toMatch(isKilled ? /^one\ntwo\nthree\nx{307200}\n$/ : /^one\ntwo\n$/);
      const seq = isKilled ? '0009' : '0007';
      expect(
        (await ask(server, 'POST', 'streams/open.txt', { ...TEXT, 'stream-seq': seq }, 'x')).status,
      ).toBe(409);
      const events = await ask(server, 'GET', 'streams/events.json', { accept: '*/*' });
      expect(JSON.parse(events.text)).toEqual([0, 1, 2, 3, ...(isKilled ? [4] : [])].map((n) => ({ n })));
      const last = isKilled ? 1 : 0;
      const post = (headers: object, body: string) =>
        ask(server, 'POST', 'streams/events.json', { ...JSON_TYPE, ...headers }, body);
      expect((await post(producer('alpha', 0, last), '{"n":-1}')).status).toBe(204);
      expect((await post(producer('beta', 3, 9), '{"n":-1}')).status).toBe(403);
      expect((await post(producer('alpha', 0, last + 1), '{"n":9}')).status).toBe(200);
      expect((await ask(server, 'POST', 'streams/closed.txt', TEXT, 'more')).status).toBe(409);
      const ttl = await ask(server, 'HEAD', 'streams/ttl.bin');
      expect(ttl.headers.get('stream-ttl')).toBe('3153600000');
      expect((await ask(server, 'HEAD', 'streams/at.txt')).headers.get('stream-expires-at')).toBe(
        '2999-01-01T00:00:00Z',
      );
      expect((await ask(server, 'GET', 'streams/past.txt')).status).toBe(404);
      await expect(stat(path.join(server.root, 'streams/past.txt'))).rejects.toThrow('ENOENT');
    },
  );

  test('has what its appends were like when they ended, and other programs’ files', async () => {
    const { server } = await start(fixture);
    expect(await followed(server, 'builds/ok.log')).toEqual(['built\n', 'finished', 1000]);
    expect(await followed(server, 'builds/failed.log')).toEqual(['broken\n', 'finished', 1000]);
    expect((await ask(server, 'HEAD', 'builds/failed.log')).headers.get('stream-status')).toBe('3');
    expect(await followed(server, 'builds/interrupted.log')).toEqual(['half\n', 'interrupted', 1011]);
    expect(await followed(server, 'plain.txt')).toEqual(['by another program\n', 'finished', 1000]);
    const appender = await V2Peer.append(server.url('/builds/ok.log'), {
      session: sessionOf('n'),
      expect: 6,
    });
    await appender.send('again\n');
    await appender.finish();
    expect(await followed(server, 'builds/ok.log')).toEqual(['built\nagain\n', 'finished', 1000]);
  });

  test('has its forks, and the names of their sources are kept until they are gone', async () => {
    const { server } = await start(fixture);
    expect(JSON.parse((await ask(server, 'GET', 'forks/leaf.json')).text)).toEqual([1, 2, 3, 4, 6, 7]);
    for (const name of ['forks/source.json', 'forks/between.json']) {
      expect((await ask(server, 'GET', name)).status).toBe(410);
      expect((await ask(server, 'PUT', name, JSON_TYPE)).status).toBe(409);
    }
    expect((await ask(server, 'DELETE', 'forks/living.txt')).status).toBe(204);
    expect((await ask(server, 'GET', 'forks/living.txt')).status).toBe(410);
    expect((await ask(server, 'GET', 'forks/of-living.txt')).text).toBe('living\nof living\n');
    for (const name of ['forks/leaf.json', 'forks/of-living.txt']) {
      expect((await ask(server, 'DELETE', name)).status).toBe(204);
    }
    for (const name of ['forks/source.json', 'forks/between.json', 'forks/living.txt']) {
      expect((await ask(server, 'PUT', name, TEXT)).status).toBe(201);
    }
  });

  test('does not claim that a file is whole of which the record is damaged', async () => {
    const { server } = await start(fixture);
    expect(await followed(server, 'streams/damaged.txt')).toEqual([
      'of which nothing is known\n',
      'interrupted',
      1011,
    ]);
    expect((await ask(server, 'POST', 'streams/damaged.txt', TEXT, 'x')).status).toBe(500);
  });

  test('is well after a check, and after a server', async () => {
    const root = await restoredRoot(fixture);
    const lines: string[] = [];
    await checkDirectory(root, (line) => lines.push(line));
    expect(lines.join('\n')).toContain('streams/damaged.txt: what was remembered of it is damaged');
    expect(lines.join('\n')).toContain('streams/past.txt: had outlived its time; deleted');
    const again: string[] = [];
    expect(await checkDirectory(root, (line) => again.push(line))).toBe(true);
    expect(again).toEqual([expect.stringMatching(/: all is well$/)]);
    const server = await startServer({ root });
    expect((await ask(server, 'POST', 'streams/open.txt', TEXT, 'more\n')).status).toBe(204);
    await server.app.close();
    expect(await checkDirectory(root, () => {})).toBe(true);
    expect((await readFile(path.join(root, 'streams/open.txt'), 'utf8')).endsWith('\nmore\n')).toBe(true);
  });
});

describe('a root of 0.3.0 whose server was killed', () => {
  const fixture = '0.3.0/killed.tar.gz';

  test('lets the client go on whose append was under way, and nobody else', async () => {
    const { server } = await start(fixture);
    const { record } = await recordAt(server.root, 'open.log');
    const { session = '', attempt = 0 } = record.append ?? {};
    expect(await refusalOf(server.url('/open.log'), 'APPEND', { session: sessionOf('x') })).toEqual([
      403,
      'HFS_APPEND_CONFLICT',
    ]);
    const appender = await V2Peer.append(server.url('/open.log'), {
      session,
      expect: 0,
      attempt: attempt + 1,
    });
    expect(appender.open?.position).toBe(10);
    await appender.send('over\n');
    await appender.finish();
    expect(await followed(server, 'open.log')).toEqual(['under way\nover\n', 'finished', 1000]);
  });

  test('has what only its journal and its quarantine had', async () => {
    const { server } = await start(fixture);
    expect((await ask(server, 'GET', 'late.txt')).text).toBe('late 0\nlate 1\n');
    expect((await ask(server, 'POST', 'late.txt', TEXT, 'more')).status).toBe(409);
    expect((await ask(server, 'GET', 'quarantined.txt')).text).toBe('base\nfirst\nsecond\n');
    const post = (seq: number) =>
      ask(server, 'POST', 'quarantined.txt', { ...TEXT, ...producer('q', 0, seq) }, `${seq}\n`);
    expect([(await post(1)).status, (await post(2)).status]).toEqual([204, 200]);
    expect((await ask(server, 'GET', 'deleted.txt')).status).toBe(404);
    await server.app.close();
    for (const name of ['quarantine', 'redo']) {
      expect(await readdir(path.join(server.root, RESERVED, name))).toEqual([]);
    }
  });
});
