import {
  appendFile,
  cp,
  link,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Core } from '../../../src/core/core.ts';
import { Permit } from '../../../src/core/permit.ts';
import { checkRoot } from '../../../src/core/recovery/check/root-check.ts';
import { Records } from '../../../src/storage/records/records.ts';
import type { StreamLink } from '../../../src/storage/records/stream-state.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { recordsIn, removalsIn, storedIn, tombstonesIn } from '../../support/core/stored-records.ts';
import { appendLine, makeFork, makeStream, textOf } from '../../support/core/streams.ts';
import { copyRoot } from '../../support/disk/copied-root.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';

const own = (root: string, ...names: string[]) => path.join(root, RESERVED, ...names);
const producer = (seq: number) => ({ id: 'p', epoch: 0, seq });
const remove = ({ streams }: Core, name: string) => streams.delete(Permit.own(ResourcePath.parse(name)));

async function check(root: string): Promise<{ isWell: boolean; lines: string[] }> {
  const lines: string[] = [];
  const isWell = await checkRoot(await Root.open(root), (line) => lines.push(line));
  return { isWell, lines };
}

async function expectWell(root: string): Promise<void> {
  expect((await check(root)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
}

/** What is said of so many files that were copied. */
const copied = (files: number) =>
  expect.stringMatching(new RegExp(`^the root: was copied; .* of ${files} of its files`));

/** What lies in `aside/`, in order. */
async function asideIn(root: string): Promise<string[]> {
  const names = await readdir(own(root, 'aside')).catch(() => []);
  return Promise.all(names.sort().map((name) => readFile(own(root, 'aside', name), 'utf8')));
}

async function stateOf({ resources }: Core, name: string) {
  const stream = await resources.acquire(Permit.own(ResourcePath.parse(name)));
  const { streamType, state } = stream;
  resources.release(stream);
  return { streamType, ...state };
}

async function append(core: Core, name: string, text: string, seq?: number, close = false): Promise<void> {
  const stream = await core.resources.acquire(Permit.own(ResourcePath.parse(name)));
  const request = { contentType: 'application/x-own', seq: undefined, close, bytes: Buffer.from(text) };
  await stream
    .append({ ...request, producer: seq === undefined ? undefined : producer(seq) })
    .finally(() => core.resources.release(stream));
}

const OWN_TYPE = { contentType: 'application/x-own' };

/** There is no checkpoint meanwhile, on the slowest machine: only the journal has what was appended last. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
});

describe('a root that was copied while a server ran', () => {
  test('goes on in its copy, with what only the journal has', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'closed', '', OWN_TYPE);
    await append(core, 'closed', 'first;');
    await append(core, 'closed', 'last', undefined, true);
    await makeStream(core, 'd/produced', '', OWN_TYPE);
    for (const seq of [0, 1, 2]) await append(core, 'd/produced', `${seq};`, seq);
    await writeFile(path.join(directory, 'plain'), 'plain;');
    await append(core, 'plain', 'more').catch(() => appendLine(core, 'plain', 'more'));
    const copy = await copyRoot(directory);
    const { isWell, lines } = await check(copy);
    expect({ isWell, lines: lines.slice(0, -1) }).toEqual({
      isWell: true,
      lines: [copied(3), expect.stringMatching(/^journal: the server was killed; 3 files/)],
    });
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    expect(await stateOf(other, 'closed')).toMatchObject({ streamType: 'application/x-own', closed: true });
    expect(await textOf(other, 'closed')).toBe('first;last');
    await append(other, 'd/produced', 'again', 2);
    await append(other, 'd/produced', '3;', 3);
    expect(await textOf(other, 'd/produced')).toBe('0;1;2;3;');
    expect(await readFile(path.join(copy, 'plain'), 'utf8')).toBe('plain;more');
    // What was copied is as it was.
    expect(await textOf(core, 'd/produced')).toBe('0;1;2;');
    expect(await asideIn(copy)).toEqual([]);
  });

  test('first its files, and then what is remembered: these get what the journal has', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'first;', 0);
    const copy = await diskDirectory();
    await cp(path.join(directory, 's'), path.join(copy, 's'));
    await append(core, 's', 'second;', 1);
    await append(core, 's', 'third', 2, true);
    await copyRoot(own(directory), own(copy));
    expect((await check(copy)).isWell).toBe(true);
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    expect(await textOf(other, 's')).toBe('first;second;third');
    expect((await stateOf(other, 's')).closed).toBe(true);
  });

  test('first what is remembered, and then its files: what no producer is known to have brought is set aside', async () => {
    const { core, directory } = await startCore();
    for (const name of ['produced', 'other']) await makeStream(core, name, '', OWN_TYPE);
    await append(core, 'produced', 'first;', 0);
    await append(core, 'other', 'first;');
    const copy = await diskDirectory();
    await copyRoot(own(directory), own(copy));
    await append(core, 'produced', 'second', 1);
    await append(core, 'other', 'second');
    for (const name of ['produced', 'other']) await cp(path.join(directory, name), path.join(copy, name));
    expect((await check(copy)).isWell).toBe(true);
    await expectWell(copy);
    expect(await asideIn(copy)).toEqual(['second']);
    const other = (await startCore({ directory: copy })).core;
    expect(await textOf(other, 'produced')).toBe('first;');
    await append(other, 'produced', 'second', 1);
    expect(await textOf(other, 'produced')).toBe('first;second');
    expect(await textOf(other, 'other')).toBe('first;second');
    expect((await stateOf(other, 'other')).streamType).toBe('application/x-own');
  });

  test('a file that has become something else keeps its bytes: what does not fit is told and kept', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'first;', 0);
    await append(core, 's', 'second', 1);
    const copy = await copyRoot(directory);
    await writeFile(path.join(copy, 's'), 'another text altogether');
    const { isWell, lines } = await check(copy);
    expect(isWell).toBe(false);
    expect(lines).toContainEqual(
      expect.stringMatching(/^s: the file was copied at another time than the journal/),
    );
    const texts = [await readFile(path.join(copy, 's'), 'utf8'), ...(await asideIn(copy))].join('');
    expect(texts).toContain('another text altogether');
    expect(texts).toContain('first;second');
    await expectWell(copy);
  });

  test('what its server was appending has not finished, and what had finished and goes on there has not, either', async () => {
    const { open, directory } = await startCore();
    const lease = await open('open', undefined, { session: 'one' });
    lease.append(Buffer.from('part 1 of 2'));
    await lease.end('interrupted').catch(() => {});
    const other = await open('finished', undefined, { session: 'two' });
    other.append(Buffer.from('all of it;'));
    await other.end('finished');
    const copy = await diskDirectory();
    await copyRoot(own(directory), own(copy));
    await appendFile(path.join(directory, 'finished'), 'half of the ne');
    for (const name of ['open', 'finished']) await cp(path.join(directory, name), path.join(copy, name));
    expect((await check(copy)).isWell).toBe(true);
    const records = await recordsIn(copy);
    expect(records.open?.record.append?.state).not.toBe('finished');
    expect(records.finished?.record.append).toMatchObject({ state: 'interrupted', end: 24 });
    await expectWell(copy);
  });

  test('what is missing of a file is told, and it has not finished', async () => {
    const { open, directory } = await startCore();
    const lease = await open('s', undefined, { session: 'one' });
    lease.append(Buffer.from('all of it'));
    await lease.end('finished');
    const copy = await copyRoot(directory);
    await truncate(path.join(copy, 's'), 3);
    const { isWell, lines } = await check(copy);
    expect({ isWell, lines }).toMatchObject({
      isWell: false,
      lines: expect.arrayContaining([expect.stringMatching(/^s: 6 bytes are missing at its end/)]),
    });
    expect((await recordsIn(copy)).s?.record.append).toMatchObject({ state: 'interrupted', end: 3 });
    await expectWell(copy);
  });

  test('forks stay forks, and names are kept for them', async () => {
    const { core, directory } = await startCore();
    for (const name of ['source', 'gone']) await makeStream(core, name, 'text');
    await makeFork(core, 'source', 'fork');
    await makeFork(core, 'fork', 'fork of fork');
    await makeFork(core, 'gone', 'of gone');
    await remove(core, 'gone');
    const copy = await copyRoot(directory);
    expect((await check(copy)).lines.slice(0, -1)).toEqual([copied(4)]);
    await expectWell(copy);
    expect(Object.keys(await tombstonesIn(copy))).toEqual(['gone']);
    const records = await recordsIn(copy);
    const idOf = (name: string) => records[name]?.fingerprint as string;
    expect(records.fork?.record.stream?.origin).toMatchObject({
      path: 'source',
      fingerprint: idOf('source'),
    });
    expect(records['fork of fork']?.record.stream?.origin?.fingerprint).toBe(idOf('fork'));
    const links: StreamLink[] = JSON.parse((await storedIn(copy)).get(`forks!${idOf('source')}`) ?? '[]');
    expect(links).toEqual([{ path: 'fork', fingerprint: idOf('fork') }]);
    const other = (await startCore({ directory: copy })).core;
    for (const name of ['source', 'fork']) await remove(other, name);
    await expect(makeStream(other, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
    await remove(other, 'fork of fork');
    await remove(other, 'of gone');
    for (const name of ['source', 'fork', 'gone']) expect(await makeStream(other, name)).toBe(true);
  });

  test('of two files that were at a path the later one is what a copy there is of', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'log', 'older', { isClosed: true });
    await rename(path.join(directory, 'log'), path.join(directory, 'log.1'));
    await makeStream(core, 'log', 'newer', OWN_TYPE);
    const copy = await copyRoot(directory);
    await check(copy);
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    expect(await stateOf(other, 'log')).toMatchObject({ streamType: 'application/x-own' });
    expect((await stateOf(other, 'log')).closed).toBeUndefined();
    expect(await readFile(path.join(copy, 'log.1'), 'utf8')).toBe('older');
  });

  test('a stream that was being deleted stays where its file is there', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', 'text', { ttlSeconds: 600 });
    await makeFork(core, 's', 'fork');
    const copy = await diskDirectory();
    for (const name of ['s', 'fork']) await cp(path.join(directory, name), path.join(copy, name));
    const { fingerprint } = (await recordsIn(directory)).s as { fingerprint: string };
    // What a deletion says before the name goes, and nothing of what follows.
    const { write } = Records.prototype;
    const writing = vi.spyOn(Records.prototype, 'write').mockImplementationOnce(function first(
      this: Records,
      ...args
    ) {
      return write.apply(this, args);
    });
    writing.mockRejectedValue(storageFailure(systemError('EIO')));
    await remove(core, 's').catch(() => {});
    writing.mockRestore();
    expect(await removalsIn(directory)).toEqual([fingerprint]);
    await copyRoot(own(directory), own(copy));
    await check(copy);
    await expectWell(copy);
    expect([await removalsIn(copy), await tombstonesIn(copy)]).toEqual([[], {}]);
    const other = (await startCore({ directory: copy })).core;
    expect(await stateOf(other, 's')).toMatchObject({ ttlSeconds: 600 });
    expect(await textOf(other, 's')).toBe('text');
  });

  test('neither a symlink nor another name of a copy is given anything', async () => {
    const { core, directory } = await startCore();
    for (const name of ['a', 'b', 'c']) await makeStream(core, name, 'text', { isClosed: true });
    const copy = await copyRoot(directory);
    for (const name of ['b', 'c']) await rm(path.join(copy, name));
    await link(path.join(copy, 'a'), path.join(copy, 'b'));
    await symlink('a', path.join(copy, 'c'));
    expect((await check(copy)).lines.slice(0, -1)).toEqual([
      copied(1),
      ...[1, 2].map(() => expect.stringMatching(/^[abc]: another file is there/)),
    ]);
    expect(Object.keys(await recordsIn(copy))).toHaveLength(1);
    await expectWell(copy);
  });

  test('a check that breaks off goes on where it was', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'source', 'text');
    await makeFork(core, 'source', 'fork');
    const copy = await copyRoot(directory);
    const { write } = Records.prototype;
    let moved = 0;
    const writing = vi.spyOn(Records.prototype, 'write').mockImplementation(function counted(
      this: Records,
      change,
      options,
    ) {
      return write.call(
        this,
        (draft) => {
          change(draft);
          const isMove = [...draft.changes].some(
            ([key, value]) => key.startsWith('file!') && value === undefined,
          );
          if (isMove && ++moved === 2) throw storageFailure(systemError('EIO'));
        },
        options,
      );
    });
    await expect(check(copy)).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    writing.mockRestore();
    expect((await check(copy)).lines.slice(0, -1)).toEqual([copied(1)]);
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    for (const name of ['source', 'fork']) {
      expect(await stateOf(other, name)).toMatchObject({ streamType: 'text/plain' });
    }
    await remove(other, 'source');
    await expect(makeStream(other, 'source')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
  });
});

describe('what is remembered is not given to what is no copy', () => {
  test('in a root of which the own directory alone comes from a copy', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'kept', 'text', OWN_TYPE);
    await makeStream(core, 'replaced', 'text', { ttlSeconds: 1 });
    vi.useRealTimers();
    await core.close();
    const backup = await copyRoot(own(directory));
    await rm(own(directory), { recursive: true });
    await cp(backup, own(directory), { recursive: true });
    await writeFile(path.join(directory, 'new'), 'something longer');
    await rename(path.join(directory, 'new'), path.join(directory, 'replaced'));
    const { lines } = await check(directory);
    expect(lines[0]).toMatch(/^replaced: another file is there/);
    expect(Object.keys(await recordsIn(directory))).toEqual(['kept']);
    await expectWell(directory);
    expect(await readFile(path.join(directory, 'replaced'), 'utf8')).toBe('something longer');
  });

  test('in a root that was served, when all its files were replaced', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', 'text', { isClosed: true });
    vi.useRealTimers();
    await core.close();
    await writeFile(path.join(directory, 'new'), 'something longer');
    await rename(path.join(directory, 'new'), path.join(directory, 's'));
    expect((await check(directory)).lines[0]).toMatch(/^s: another file is there/);
    expect(await recordsIn(directory)).toEqual({});
  });
});

test('a server that starts on a copy says so, until that was checked', async () => {
  const { core, directory } = await startCore();
  await makeStream(core, 's', 'text', { isClosed: true });
  const copy = await copyRoot(directory);
  vi.useRealTimers();
  const told: string[] = [];
  const serve = async () => {
    told.length = 0;
    const { core: server } = await startCore({ directory: copy, report: (message) => told.push(message) });
    await server.close();
  };
  for (const _ of [1, 2]) {
    await serve();
    expect(told).toEqual([expect.stringMatching(/^the root is a copy/)]);
  }
  expect((await check(copy)).lines[0]).toEqual(copied(1));
  await serve();
  expect(told).toEqual([]);
});
