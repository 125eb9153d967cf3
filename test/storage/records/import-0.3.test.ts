import fs from 'node:fs';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { import03 } from '../../../src/storage/records/import-0.3.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { play } from '../../support/core/crash-root.ts';
import {
  dueIn,
  forksIn,
  recordsIn,
  recordsOf,
  storedIn,
  tombstonesIn,
} from '../../support/core/stored-records.ts';
import { fingerprintOf, restoredRoot } from '../../support/disk/restored-root.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { Random } from '../../support/random.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** `HTTPFSTREAM_SOAK=1` takes every step, `npm test` one of each fixture. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

const FIXTURES = ['0.3.0/closed.tar.gz', '0.3.0/killed.tar.gz'];

const own = (root: string, ...names: string[]) => path.join(root, RESERVED, ...names);

/** Opens the store of a root, imports what there is, and closes it. Returns how many were imported, and what was told. */
async function importInto(root: string): Promise<{ count: number; told: string[] }> {
  const records = recordsOf(root);
  const told: string[] = [];
  await records.open();
  try {
    const count = await import03({
      root: await Root.open(root),
      records,
      report: (message) => told.push(message),
      progress: () => {},
    });
    return { count, told };
  } finally {
    await records.close();
  }
}

/** What is in the store, with paths in place of fingerprints, which each extracted root has its own of. */
async function dump(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.parentPath.includes(RESERVED));
  let text = JSON.stringify([...(await storedIn(root))]);
  for (const { parentPath, name } of files) {
    const file = path.join(parentPath, name);
    text = text.replaceAll(await fingerprintOf(file), path.relative(root, file));
  }
  const stored = JSON.parse(text) as [key: string, value: string][];
  return stored.map((entry) => entry.join(' ')).sort();
}

async function sidecar(root: string, fingerprint: string, document: object | string): Promise<string> {
  const directory = own(root, 'meta', fingerprint.slice(-2));
  await mkdir(directory, { recursive: true });
  const name = path.join(directory, `${fingerprint}.json`);
  await writeFile(name, typeof document === 'string' ? document : `${JSON.stringify(document)}\n`);
  return name;
}

describe('a root of version 0.3', () => {
  test('has its records in the store, and nothing of what they were before', async () => {
    const root = await restoredRoot('0.3.0/closed.tar.gz');
    const { count, told } = await importInto(root);
    expect(count).toBe(15);
    expect(told).toEqual(['what is left of a stream that was deleted is damaged, and set aside']);
    const records = await recordsIn(root);
    const appends = Object.entries(records).flatMap(([name, { record }]) =>
      record?.append ? [[name, record.append.state, record.append.status]] : [],
    );
    expect(appends.sort()).toEqual([
      ['builds/failed.log', 'finished', 3],
      ['builds/interrupted.log', 'interrupted', undefined],
      ['builds/ok.log', 'finished', 0],
    ]);
    expect(records['builds/ok.log']?.record.append).toMatchObject({
      session: expect.stringMatching(/^.{16,}$/),
      start: 0,
      end: 6,
    });
    expect(records['streams/events.json']?.record.stream).toMatchObject({
      contentType: 'application/json',
      producers: [
        ['alpha', 0, 0],
        ['beta', 4, 0],
      ],
    });
    expect(records['streams/open.txt']?.record.stream).toMatchObject({ seq: '0007', size: 8 });
    expect(records['streams/closed.txt']?.record.stream).toMatchObject({
      closed: true,
      closedBy: ['last', 0, 0],
    });
    expect(records['forks/living.txt']?.record).toMatchObject({ isForked: true });
    expect(await forksIn(root, 'forks/living.txt')).toEqual(['forks/of-living.txt']);
    expect(records['forks/living.txt']?.record.stream).not.toHaveProperty('forks');
    expect(Object.keys(await tombstonesIn(root)).sort()).toEqual(['forks/between.json', 'forks/source.json']);
    for (const name of ['meta', 'gone', 'expiring'])
      await expect(stat(own(root, name))).rejects.toThrow('ENOENT');
    expect(await readdir(own(root, 'aside'))).toHaveLength(1);
  });

  test('keeps when its streams expire, and when they were used last', async () => {
    const root = await restoredRoot('0.3.0/closed.tar.gz');
    const notes: Record<string, number> = {};
    for (const name of await readdir(own(root, 'expiring'))) {
      notes[name.replace('.json', '')] = Math.floor((await stat(own(root, 'expiring', name))).mtimeMs);
    }
    const ttl = await fingerprintOf(path.join(root, 'streams/ttl.bin'));
    const { mtimeMs } = await stat(own(root, 'meta', ttl.slice(-2), `${ttl}.json`));
    await importInto(root);
    const due = (await dueIn(root)).map((name) => name.split('!') as [string, string]);
    expect(Object.fromEntries(due.map(([ms, fingerprint]) => [fingerprint, Number(ms)]))).toEqual(notes);
    const { record } = (await recordsIn(root))['streams/ttl.bin'] ?? {};
    expect(record?.accessedMs).toBe(mtimeMs);
  });

  test('keeps what is damaged as it is', async () => {
    const root = await restoredRoot('0.3.0/closed.tar.gz');
    await importInto(root);
    const fingerprint = await fingerprintOf(path.join(root, 'streams/damaged.txt'));
    expect((await storedIn(root)).get(`file!${fingerprint}`)).toBe(
      '{"path":"streams/damaged.txt","stream":{"versi',
    );
  });

  test.each(FIXTURES)('is imported once: there is nothing to do the second time (%s)', async (fixture) => {
    const root = await restoredRoot(fixture);
    await importInto(root);
    const before = await dump(root);
    expect((await importInto(root)).count).toBe(0);
    expect(await dump(root)).toEqual(before);
  });

  test.each(FIXTURES)('has the same after a write that failed (%s)', async (fixture) => {
    const whole = await restoredRoot(fixture);
    await importInto(whole);
    const root = await restoredRoot(fixture);
    const writing = vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValue(systemError('EIO'));
    onTestFinished(() => writing.mockRestore());
    await expect(importInto(root)).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    writing.mockRestore();
    await importInto(root);
    expect(await dump(root)).toEqual(await dump(whole));
  });

  test.each(FIXTURES)('has the same after a kill at any step (%s)', async (fixture) => {
    const random = new Random(Number(process.env.HTTPFSTREAM_SEED ?? 1)).fork(FIXTURES.indexOf(fixture));
    const whole = await restoredRoot(fixture);
    const steps = (await play(whole, 'recover after a kill')).at(-1)?.steps ?? 0;
    const expected = await dump(whole);
    expect(steps).toBeGreaterThan(40);
    const all = Array.from({ length: steps }, (_, index) => index + 1);
    for (const at of IS_SOAK ? all : [random.integer(1, steps)]) {
      const root = await restoredRoot(fixture);
      await play(root, 'recover after a kill', { step: { at, how: random.pick(['before', 'after']) } });
      await play(root, 'recover after a kill');
      expect(await dump(root), `killed at step ${at} of ${steps}`).toEqual(expected);
    }
  });
});

test('what an earlier version has remembered since is imported again, and is what counts', async () => {
  const root = await diskDirectory();
  await sidecar(root, '1-1', { path: 'a', append: { start: 0, state: 'open' } });
  await sidecar(root, '2-2', { path: 'b', append: { start: 0, state: 'open' } });
  expect((await importInto(root)).count).toBe(2);
  await sidecar(root, '1-1', { path: 'a', append: { start: 0, state: 'finished', end: 7 } });
  expect((await importInto(root)).count).toBe(1);
  const { a, b } = await recordsIn(root);
  expect([a?.record.append?.state, b?.record.append?.state]).toEqual(['finished', 'open']);
});

describe('what an earlier version has remembered since, when it was started between', () => {
  /** A root of which the import has failed, at the `at`-th step of removing what is imported. */
  async function halfImported(at: number): Promise<string> {
    const root = await diskDirectory();
    for (const name of ['1-1', '2-2', '3-3']) {
      await sidecar(root, name, { path: name, append: { start: 0, state: 'open' } });
    }
    await mkdir(own(root, 'expiring'));
    await writeFile(own(root, 'expiring', '1-1.json'), '');
    await utimes(own(root, 'expiring', '1-1.json'), 5, 5);
    let count = 0;
    const spies = (['rename', 'rm', 'rmdir'] as const).map((name) => {
      const original = fs.promises[name] as (...args: unknown[]) => Promise<void>;
      return vi.spyOn(fs.promises, name).mockImplementation((async (...args: unknown[]) => {
        if (count++ >= at) throw systemError('EIO');
        await original(...args);
      }) as never);
    });
    await expect(importInto(root)).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    for (const spy of spies) spy.mockRestore();
    return root;
  }

  test.each([0, 1, 2, 3, 4, 5])('is what counts, and nothing else is forgotten (%i)', async (at) => {
    const root = await halfImported(at);
    await sidecar(root, '1-1', { path: '1-1', append: { start: 0, state: 'finished', end: 7 } });
    await importInto(root);
    expect((await importInto(root)).count).toBe(0);
    const records = await recordsIn(root);
    expect(Object.keys(records).sort()).toEqual(['1-1', '2-2', '3-3']);
    expect(records['1-1']?.record.append?.state).toBe('finished');
    expect(await readdir(own(root))).not.toContain('imported-0.3');
  });

  test.each([0, 1, 2, 3, 4, 5])('and was not started, all is as it was (%i)', async (at) => {
    const root = await halfImported(at);
    await importInto(root);
    expect(await dueIn(root)).toEqual(['0000000000005000!1-1']);
    expect(Object.keys(await recordsIn(root)).sort()).toEqual(['1-1', '2-2', '3-3']);
  });
});

test('a deletion that came to no end is none: the tombstone was written, and the file is there', async () => {
  const root = await diskDirectory();
  await writeFile(path.join(root, 'a'), 'text');
  await mkdir(own(root, 'gone'), { recursive: true });
  const forks = [{ path: 'f', fingerprint: '9-9' }];
  const there = { path: 'a', fingerprint: await fingerprintOf(path.join(root, 'a')), forks };
  await writeFile(own(root, 'gone', 'one.json'), JSON.stringify(there));
  await writeFile(own(root, 'gone', 'two.json'), JSON.stringify({ path: 'b', fingerprint: '8-8', forks }));
  await writeFile(own(root, 'gone', 'three.json.abc.tmp'), 'left over');
  await importInto(root);
  expect(Object.keys(await tombstonesIn(root))).toEqual(['b']);
  expect((await storedIn(root)).get('forks!8-8')).toBe(JSON.stringify(forks));
});

test('what is no file in the place of one is damaged, and in nobody’s way', async () => {
  const root = await diskDirectory();
  await mkdir(own(root, 'meta/11/1-11.json/x'), { recursive: true });
  await sidecar(root, '2-2', 'rubbish');
  await importInto(root);
  expect((await storedIn(root)).get('file!1-11')).toBe('');
  expect((await storedIn(root)).get('file!2-2')).toBe('rubbish');
});

test('many are written a part at a time, each safe before the next', async () => {
  const root = await diskDirectory();
  const count = 700;
  for (let i = 0; i < count; i++) {
    const name = await sidecar(root, `${i}-${i}`, {
      path: `f${i}`,
      stream: { version: 1, size: i, ttlSeconds: 60 },
    });
    await utimes(name, 1000, 1000);
  }
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  onTestFinished(() => writing.mockRestore());
  expect((await importInto(root)).count).toBe(count);
  const calls = writing.mock.calls as unknown as [changes: unknown[], options: { sync: boolean }][];
  expect(Math.max(...calls.map(([changes]) => changes.length))).toBeLessThanOrEqual(600);
  expect(calls.every(([, { sync }]) => sync)).toBe(true);
  const records = Object.values(await recordsIn(root));
  expect(records).toHaveLength(count);
  expect(records.every(({ record }) => record.accessedMs === 1_000_000)).toBe(true);
  expect(await readFile(own(root, 'records/CURRENT'), 'utf8')).toMatch(/^MANIFEST/);
});
