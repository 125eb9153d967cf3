import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { expect, it } from 'vitest';
import { Searches } from '../../../src/server/viewer/searches.ts';
import type { SearchLine } from '../../../src/wire/page-requests.ts';
import { MemoryFile } from '../../support/core/memory-file.ts';
import { startServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** With this in it, no computer is through with {@link EVIL_PATTERN}. */
const EVIL_LINE = `${'a'.repeat(60)}!\n`;
const EVIL_PATTERN = '(a+)+$';

async function start(content: string) {
  const server = await startServer();
  await writeFile(path.join(server.root, 'a.log'), content);
  const search = (query: Record<string, string>) =>
    fetch(server.url(`/a.log?${new URLSearchParams({ view: 'search', ...query })}`));
  return { ...server, search };
}

/** Without those that say how far it is: of these there are more, the longer it takes. */
async function linesOf(answer: Response): Promise<SearchLine[]> {
  const text = await answer.text();
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
    .filter((line) => !('progress' in line));
}

it('tells where something is, in lines of JSON, and last what was searched', async () => {
  const { search } = await start('one\ntwo\nthree two\n');
  const answer = await search({ q: 'two', from: '5' });
  expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
  expect(answer.headers.get('cache-control')).toContain('no-store');
  expect(answer.headers.get('search-size')).toBe('18');
  expect(await linesOf(answer)).toEqual([
    { at: 4, length: 3, lineStart: 4, lineEnd: 7 },
    { at: 14, length: 3, lineStart: 8, lineEnd: 17 },
    { end: 'complete', searched: [0, 18], count: 2 },
  ]);
});

it('says at once that it has begun', async () => {
  const { search } = await start('one\n');
  const [line] = (await (await search({ q: 'two', from: '2' })).text()).split('\n');
  expect(JSON.parse(line ?? '')).toEqual({ progress: [2, 2], count: 0 });
});

it('finds what was asked for: by a regular expression, in a direction, so many, one per line', async () => {
  const { search } = await start('a1 a2\nA3 a4\na5\n');
  const found = async (query: Record<string, string>) =>
    (await linesOf(await search(query))).flatMap((line) => ('at' in line ? [line.at] : []));
  expect(await found({ q: 'a\\d', mode: 'regex', case: 'sensitive' })).toEqual([0, 3, 9, 12]);
  expect(await found({ q: 'a', per: 'line' })).toEqual([0, 6, 12]);
  expect(await found({ q: 'a', from: '6', direction: 'backward' })).toEqual([3, 0]);
  expect(await found({ q: 'a', from: '6', direction: 'forward', limit: '2' })).toEqual([6, 9]);
});

it('says that a regular expression is none', async () => {
  const { search } = await start('a\n');
  const [line] = await linesOf(await search({ q: '(', mode: 'regex' }));
  expect(line).toMatchObject({ end: 'invalid', detail: expect.stringContaining('Unterminated group') });
});

it('refuses what means nothing', async () => {
  const { search, url } = await start('a\n');
  for (const query of [
    { q: '' },
    { q: 'x'.repeat(1001) },
    { q: 'a', mode: 'glob' },
    { q: 'a', case: 'upper' },
    { q: 'a', from: '-1' },
    { q: 'a', limit: 'all' },
    { q: 'a', direction: 'up' },
  ]) {
    expect((await search(query as Record<string, string>)).status, JSON.stringify(query)).toBe(400);
  }
  expect((await fetch(url('/b.log?view=search&q=a'))).status).toBe(404);
});

it('ends when its client goes, in the middle of a match too, and lets the next one in', async () => {
  const { search, port } = await start(EVIL_LINE);
  const query = new URLSearchParams({ view: 'search', q: EVIL_PATTERN, mode: 'regex' });
  // More than there may be at the same time, each of which would last for seconds.
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET /a.log?${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve).once('error', resolve));
    socket.destroy();
  }
  await waitFor(
    async () => (await search({ q: 'a!', mode: 'regex' })).ok,
    'a search after many that were given up',
  );
});

it('lets only so many search at the same time', () => {
  const searches = new Searches({ maxSearches: 2 });
  const leave = searches.enter(undefined);
  searches.enter(undefined);
  expect(() => searches.enter(undefined)).toThrow(expect.objectContaining({ code: 'HFS_SERVER_BUSY' }));
  leave();
  searches.enter(undefined);
});

it('leaves some of them to other clients', () => {
  const searches = new Searches({ maxSearches: 3, maxPerClient: 2 });
  const leave = searches.enter('a');
  searches.enter('a');
  expect(() => searches.enter('a')).toThrow(expect.objectContaining({ code: 'HFS_TOO_MANY_REQUESTS' }));
  leave();
  searches.enter('a');
  searches.enter('b');
});

it('gives up a regular expression that takes too long, and says so', async () => {
  const searches = new Searches({ stallMs: 100 });
  const file = new MemoryFile(EVIL_LINE);
  const query = { text: EVIL_PATTERN, mode: 'regex', case: 'sensitive' } as const;
  const range = { from: 0, size: file.bytes.length, direction: 'both', limit: 1, onePerLine: false } as const;
  const ends: unknown[] = [];
  const { signal } = new AbortController();
  for await (const { end, searched } of searches.search(file, query, { ...range, signal }))
    ends.push([end, searched]);
  expect(ends).toEqual([['deadline', [0, 0]]]);
  await searches.close();
});

it('keeps no one else waiting, whatever is searched for where', async () => {
  const searches = new Searches();
  // Nearly there at each place.
  const file = new MemoryFile('é'.repeat(500_000));
  const query = { text: `${'é'.repeat(998)}b`, mode: 'literal', case: 'insensitive' } as const;
  const range = { from: 0, size: file.bytes.length, direction: 'both', limit: 1, onePerLine: false } as const;
  const { signal } = new AbortController();
  let turns = 0;
  const others = setInterval(() => turns++, 1);
  const steps = searches.search(file, query, { ...range, signal });
  const step = await steps.next();
  clearInterval(others);
  expect(step.value).toMatchObject({ matches: [], end: 'complete' });
  await steps.return();
  await searches.close();
  // It takes a second of somebody's time.
  expect(turns).toBeGreaterThan(20);
});

it('ends all when the server closes', async () => {
  const searches = new Searches();
  const file = new MemoryFile(EVIL_LINE);
  const query = { text: EVIL_PATTERN, mode: 'regex', case: 'sensitive' } as const;
  const range = { from: 0, size: file.bytes.length, direction: 'both', limit: 1, onePerLine: false } as const;
  const { signal } = new AbortController();
  const under = ['first', 'second', 'in line'].map(() =>
    searches.search(file, query, { ...range, signal }).next(),
  );
  const ended = Promise.allSettled(under);
  await searches.close();
  for (const { status } of await ended) expect(status).toBe('rejected');
  expect(() => searches.enter(undefined)).toThrow(expect.objectContaining({ code: 'HFS_SERVER_CLOSING' }));
});
