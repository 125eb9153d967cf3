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
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Core } from '../../../src/core/core.ts';
import { Permit } from '../../../src/core/permit.ts';
import { checkRoot } from '../../../src/core/recovery/check/root-check.ts';
import type { FileRecord } from '../../../src/storage/records/file-record.ts';
import { Records } from '../../../src/storage/records/records.ts';
import type { StreamLink } from '../../../src/storage/records/stream-state.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { RepairFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { recordsIn, removalsIn, storedIn, tombstonesIn } from '../../support/core/stored-records.ts';
import { appendLine, makeFork, makeStream, storeFile, textOf } from '../../support/core/streams.ts';
import { copyRoot } from '../../support/disk/copied-root.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';

const own = (root: string, ...names: string[]) => path.join(root, RESERVED, ...names);
const producer = (seq: number) => ({ id: 'p', epoch: 0, seq });
const remove = ({ streams }: Core, name: string) => streams.delete(Permit.own(ResourcePath.parse(name)));

const OWN_TYPE = { contentType: 'application/x-own' };

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
  expect.stringMatching(new RegExp(`^the root: was copied; ${files} of its files`));

/** What is said of one that cannot be known for a copy. */
const distrusted = (name: string) =>
  expect.stringMatching(new RegExp(`^${name}: what is remembered of it is of another`));

/** As `cp -a` does. */
async function copyFiles(from: string, to: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await cp(path.join(from, name), path.join(to, name), { preserveTimestamps: true });
  }
}

/** Brings what is remembered of streams up to date. */
async function checkpoint({ resources }: Core, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const stream = await resources.acquire(Permit.own(ResourcePath.parse(name)));
    await stream.checkpoint().finally(() => resources.release(stream));
  }
}

/**
 * A copy of a root with a stream that a producer has appended to, and one that is closed: its files, some of what the
 * server keeps, and, after a checkpoint, the rest.
 */
async function copiedAround(before: readonly string[], after: readonly string[]): Promise<string> {
  const { core, directory } = await startCore();
  const names = ['produced', 'closed'];
  for (const name of names) await makeStream(core, name, '', OWN_TYPE);
  await append(core, 'produced', 'first;', 0);
  await append(core, 'closed', 'all', undefined, true);
  const copy = await diskDirectory();
  await copyFiles(directory, copy, names);
  for (const name of before) await copyRoot(own(directory, name), own(copy, name));
  await checkpoint(core, names);
  for (const name of after) await copyRoot(own(directory, name), own(copy, name));
  return copy;
}

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

async function append(
  core: Core,
  name: string,
  text: string,
  seq?: number,
  close = false,
  contentType = OWN_TYPE.contentType,
): Promise<void> {
  const stream = await core.resources.acquire(Permit.own(ResourcePath.parse(name)));
  const request = { contentType, seq: undefined, close, bytes: Buffer.from(text) };
  await stream
    .append({ ...request, producer: seq === undefined ? undefined : producer(seq) })
    .finally(() => core.resources.release(stream));
}

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
    await appendLine(core, 'plain', 'more');
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

  test('first what is remembered, and then its files: what has more than the journal goes on to is not cut, and has not finished', async () => {
    const { core, open, directory } = await startCore();
    for (const name of ['produced', 'other']) await makeStream(core, name, '', OWN_TYPE);
    await append(core, 'produced', 'first;', 0);
    await append(core, 'other', 'first;');
    const lease = await open('finished', undefined, { session: 'one' });
    lease.append(Buffer.from('all of it;'));
    await lease.end('finished');
    const copy = await diskDirectory();
    await copyRoot(own(directory), own(copy));
    await append(core, 'produced', 'second', 1);
    await append(core, 'other', 'second');
    await appendFile(path.join(directory, 'finished'), 'half of the ne');
    await copyFiles(directory, copy, ['produced', 'other', 'finished']);
    const { isWell, lines } = await check(copy);
    const names = ['produced', 'other', 'finished'];
    expect({ isWell, lines }).toMatchObject({
      isWell: false,
      lines: expect.arrayContaining(names.map(distrusted)),
    });
    await expectWell(copy);
    const records = await recordsIn(copy);
    for (const name of names) expect(records[name]?.record.append?.state).toBe('interrupted');
    const other = (await startCore({ directory: copy })).core;
    for (const name of ['produced', 'other']) {
      expect(await textOf(other, name)).toBe('first;second');
      expect((await stateOf(other, name)).streamType).toBe('application/x-own');
    }
    // Whose bytes these are is forgotten: they are not to come again.
    await expect(append(other, 'produced', 'second', 1)).rejects.toMatchObject({ code: 'HFS_PRODUCER_GAP' });
  });

  test('what a session and a producer have appended is there once', async () => {
    const { core, open, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'first;', 0);
    const lease = await open('s', undefined, { session: 'one' });
    lease.append(Buffer.from('session;'));
    await lease.end('finished');
    await append(core, 's', 'second;', 1);
    const copy = await diskDirectory();
    await copyRoot(own(directory), own(copy));
    await append(core, 's', 'third;', 2);
    await copyFiles(directory, copy, ['s']);
    await check(copy);
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    await append(other, 's', 'third;', 2).catch(() => {});
    expect(await textOf(other, 's')).toBe('first;session;second;third;');
  });

  test('what there was a checkpoint of between its journal and its records is there', async () => {
    const copy = await copiedAround(['redo'], ['identity', 'records']);
    expect((await check(copy)).isWell).toBe(true);
    const other = (await startCore({ directory: copy })).core;
    expect((await stateOf(other, 'closed')).closed).toBe(true);
    await append(other, 'produced', 'first;', 0);
    expect(await textOf(other, 'produced')).toBe('first;');
  });

  test('in the other order nothing is cut off, and nothing has finished', async () => {
    const copy = await copiedAround(['identity', 'records'], []);
    const { isWell, lines } = await check(copy);
    expect({ isWell, lines }).toMatchObject({
      isWell: false,
      lines: expect.arrayContaining(['produced', 'closed'].map(distrusted)),
    });
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    expect(await textOf(other, 'produced')).toBe('first;');
    expect(await stateOf(other, 'produced')).toMatchObject({ streamType: 'application/x-own' });
    for (const name of ['produced', 'closed']) {
      expect((await recordsIn(copy))[name]?.record.append?.state).toBe('interrupted');
    }
  });

  test('a file that has become something else keeps its bytes, and is neither closed nor deleted', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'first;', 0);
    await append(core, 's', 'second', 1, true);
    await makeStream(core, 'short', 'text', { expiresAt: new Date(Date.now() + 1).toISOString() });
    const copy = await copyRoot(directory);
    for (const name of ['s', 'short']) await writeFile(path.join(copy, name), 'another text altogether');
    const { isWell, lines } = await check(copy);
    expect(isWell).toBe(false);
    expect(lines).toContainEqual(
      expect.stringMatching(/^s: the file was copied at another time than the journal/),
    );
    expect(lines).toEqual(expect.arrayContaining(['s', 'short'].map(distrusted)));
    for (const name of ['s', 'short']) {
      expect(await readFile(path.join(copy, name), 'utf8')).toBe('another text altogether');
    }
    expect(await asideIn(copy)).toContain('first;second');
    const { record } = (await recordsIn(copy)).s as { record: FileRecord };
    expect(record).toMatchObject({ append: { state: 'interrupted' }, stream: OWN_TYPE });
    expect(record.stream?.closed).toBeUndefined();
    await expectWell(copy);
  });

  test('what its server was appending has not finished', async () => {
    const { open, directory, contents } = await startCore();
    const lease = await open('s', undefined, { session: 'one' });
    lease.append(Buffer.from('part 1 of 2'));
    await vi.waitFor(async () => expect(`${await contents('s')}`).toBe('part 1 of 2'));
    const copy = await copyRoot(directory);
    expect((await check(copy)).isWell).toBe(true);
    expect((await recordsIn(copy)).s?.record.append?.state).toBe('open');
    await expectWell(copy);
  });

  test('what lacks bytes is told, is not closed, and has not finished', async () => {
    const { core, open, directory } = await startCore();
    const lease = await open('s', undefined, { session: 'one' });
    lease.append(Buffer.from('all of it'));
    await lease.end('finished');
    await makeStream(core, 'closed', 'all of it', { isClosed: true });
    const copy = await copyRoot(directory);
    for (const name of ['s', 'closed']) await truncate(path.join(copy, name), 3);
    const { isWell, lines } = await check(copy);
    expect({ isWell, lines }).toMatchObject({
      isWell: false,
      lines: expect.arrayContaining(['s', 'closed'].map(distrusted)),
    });
    for (const name of ['s', 'closed']) {
      const { append: last, stream } = (await recordsIn(copy))[name]?.record ?? {};
      expect([last, stream?.closed]).toMatchObject([{ state: 'interrupted', end: 3 }, undefined]);
    }
    await expectWell(copy);
  });

  test('a stream that was deleted before the journal was copied is not in the file that came after it', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'old secret;');
    const copy = await diskDirectory();
    for (const name of ['identity', 'records']) await copyRoot(own(directory, name), own(copy, name));
    await remove(core, 's');
    await makeStream(core, 's');
    await copyRoot(own(directory, 'redo'), own(copy, 'redo'));
    await copyFiles(directory, copy, ['s']);
    await check(copy);
    expect(await readFile(path.join(copy, 's'), 'utf8')).toBe('');
    await expectWell(copy);
  });

  test('a log that was rotated after it was copied is not taken for the new one', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'log', '', OWN_TYPE);
    await append(core, 'log', 'old log of more bytes;', 0);
    const copy = await diskDirectory();
    await copyFiles(directory, copy, ['log']);
    await rename(path.join(directory, 'log'), path.join(directory, 'log.1'));
    await makeStream(core, 'log', '', { contentType: 'application/x-new' });
    await append(core, 'log', 'new;', undefined, false, 'application/x-new');
    await checkpoint(core, ['log']);
    await copyRoot(own(directory), own(copy));
    await check(copy);
    await expectWell(copy);
    expect(await readFile(path.join(copy, 'log'), 'utf8')).toBe('old log of more bytes;');
    expect((await recordsIn(copy)).log?.record.append?.state).toBe('interrupted');
  });

  test.each([
    ['that is empty', ''],
    ['of as many bytes as the journal goes on from', 'bbbb'],
    ['that begins alike', 'aaaa;and goes on with something of its own'],
  ])('nothing is written to another file %s, and nothing of it is cut off or deleted', async (_, text) => {
    const { core, directory } = await startCore();
    const isLong = text.length > 4;
    await makeStream(core, 'log', text === '' || isLong ? '' : 'aaaa', {
      ...OWN_TYPE,
      ...(isLong && { expiresAt: new Date(Date.now() + 3_600_000).toISOString() }),
    });
    await append(core, 'log', isLong ? 'aaaa;' : 'secret;', 0).catch(() => {});
    await rename(path.join(directory, 'log'), path.join(directory, 'log.1'));
    await writeFile(path.join(directory, 'log'), text);
    const copy = await copyRoot(directory);
    expect((await check(copy)).isWell).toBe(false);
    expect(await readFile(path.join(copy, 'log'), 'utf8')).toBe(text);
    const { append: last, stream, dueMs } = (await recordsIn(copy)).log?.record ?? {};
    expect([last?.state, stream?.expiresAt, dueMs]).toEqual(['interrupted', undefined, undefined]);
    await expectWell(copy);
  });

  test.each([
    ['differs', 'x'.repeat(30)],
    ['is empty', ''],
    ['begins alike', 'AAAAAx'],
  ])('what a session has brought is not written to a file that %s', async (_, text) => {
    const { open, directory, contents } = await startCore({ durability: 'disk' });
    const lease = await open('s', undefined, { session: 'one' });
    for (const letter of ['A', 'B']) {
      lease.append(Buffer.from(letter.repeat(30)));
      await vi.waitFor(async () => expect(`${await contents('s')}`).toContain(letter.repeat(30)));
      await vi.waitFor(() => expect(lease.safePosition).toBe(letter === 'A' ? 30 : 60));
    }
    const copy = await copyRoot(directory);
    await writeFile(path.join(copy, 's'), text);
    expect((await check(copy)).isWell).toBe(false);
    expect(await readFile(path.join(copy, 's'), 'utf8')).toBe(text);
    expect((await recordsIn(copy)).s?.record.append?.state).toBe('interrupted');
    await expectWell(copy);
  });

  test('what would be deleted in time is kept where a session has brought more than is remembered', async () => {
    const { core, open, directory, contents } = await startCore();
    await makeStream(core, 's', '', { expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
    const lease = await open('s', undefined, { session: 'one' });
    lease.append(Buffer.from('text'));
    await vi.waitFor(async () => expect(`${await contents('s')}`).toBe('text'));
    const copy = await copyRoot(directory);
    await check(copy);
    const { append: last, stream, dueMs } = (await recordsIn(copy)).s?.record ?? {};
    expect([last?.state, stream?.expiresAt, dueMs]).toEqual(['open', undefined, undefined]);
    await expectWell(copy);
  });

  test('a copy of a copy is one', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', 'text', { isClosed: true });
    const copy = await copyRoot(directory);
    expect((await check(copy)).isWell).toBe(true);
    const old = new Date(1);
    await utimes(path.join(copy, 's'), old, old);
    const next = await diskDirectory();
    await copyFiles(copy, next, ['s']);
    await copyRoot(own(copy), own(next));
    expect(await check(next)).toMatchObject({ isWell: true, lines: [copied(1), expect.anything()] });
    await expectWell(next);
  });

  test('a file that was forked and nothing else stays one', async () => {
    const { core, directory } = await startCore();
    await storeFile(core, directory, 'plain', 'text');
    await makeFork(core, 'plain', 'fork');
    const copy = await copyRoot(directory);
    expect((await check(copy)).isWell).toBe(true);
    const other = (await startCore({ directory: copy })).core;
    await remove(other, 'plain');
    await expect(makeStream(other, 'plain')).rejects.toMatchObject({ code: 'HFS_STREAM_CONFLICT' });
  });

  test('what was renamed before is not there, and what was remembered of it is set aside', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 'a', 'text', { isClosed: true });
    await makeStream(core, 'other', 'text');
    await rename(path.join(directory, 'a'), path.join(directory, 'b'));
    const copy = await copyRoot(directory);
    expect((await check(copy)).lines).toContainEqual(
      expect.stringMatching(/^a: is not in the copy; .* moved to/),
    );
    expect((await asideIn(copy)).join()).toContain('"closed":true');
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
      expect.stringMatching(/^[ab]: another file is there/),
      expect.stringMatching(/^c: is not in the copy/),
    ]);
    expect(Object.keys(await recordsIn(copy))).toHaveLength(1);
    await expectWell(copy);
  });

  test('what the disk kept from being brought up to date is given to its copy by the next check', async () => {
    const { core, directory } = await startCore();
    await makeStream(core, 's', '', OWN_TYPE);
    await append(core, 's', 'first;', 0);
    const copy = await copyRoot(directory);
    const writing = vi.spyOn(RepairFile.prototype, 'writeAt').mockRejectedValue(systemError('EIO'));
    expect((await check(copy)).isWell).toBe(false);
    writing.mockRestore();
    expect((await check(copy)).lines).toContainEqual(copied(1));
    await expectWell(copy);
    const other = (await startCore({ directory: copy })).core;
    expect((await stateOf(other, 's')).streamType).toBe('application/x-own');
    expect(await textOf(other, 's')).toBe('first;');
    expect(await asideIn(copy)).toEqual([]);
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

test('a server that starts on a copy that was not checked says so', async () => {
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
  await serve();
  expect(told).toEqual([expect.stringMatching(/^the root is a copy/)]);
  // It is the root that is served since.
  await serve();
  expect(told).toEqual([]);
});
