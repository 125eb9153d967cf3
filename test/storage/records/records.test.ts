import fs, { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type FileRecord, isDamaged } from '../../../src/storage/records/file-record.ts';
import type { RecordDraft } from '../../../src/storage/records/record-draft.ts';
import type { DueFile, Records } from '../../../src/storage/records/records.ts';
import { dueIn, recordsOf, storedIn, storeOf, withStore } from '../../support/core/stored-records.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { type SmallDisk, smallDisks, systemError } from '../../support/disk/small-disk.ts';
import { lendReserve } from '../../support/server/reserves.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const NOT_DURABLE = { durable: false };

const record = (start: number, more: Partial<FileRecord> = {}): FileRecord => ({
  path: 'f',
  append: { session: 'x'.repeat(32), start, state: 'open' },
  ...more,
});

/** The store of a root, open; it is closed after the test. */
async function openRecords(root?: string) {
  const directory = root ?? (await diskDirectory());
  if (root === undefined) await lendReserve(directory);
  const records = recordsOf(directory);
  const repair = await records.open();
  onTestFinished(() => records.close());
  return { root: directory, records, repair };
}

function set(records: Records, file: string, value: FileRecord, durable = false): Promise<void> {
  return records.write((draft) => draft.set(file, value), { durable });
}

async function filesOf(records: Records): Promise<string[]> {
  const files: string[] = [];
  for await (const { fingerprint } of records.files()) files.push(fingerprint);
  return files;
}

const ioError = (reason = 'made up') =>
  Object.assign(new Error(`IO error: ${reason}`), { code: 'LEVEL_IO_ERROR' });

/** Makes writes of the store fail: each time `isFailing` says so, before or after it was done. */
function failBatches(isFailing: (count: number) => 'before' | 'after' | undefined, reason?: string) {
  let count = 0;
  const { batch } = ClassicLevel.prototype;
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  writing.mockImplementation(async function failing(this: ClassicLevel, ...args: unknown[]) {
    const how = isFailing(count++);
    if (how === 'before') throw ioError(reason);
    await batch.apply(this, args as never);
    if (how === 'after') throw ioError(reason);
  } as never);
  onTestFinished(() => writing.mockRestore());
  return writing;
}

describe('what is remembered of a file', () => {
  test.each([false, true])(
    'is what was written last, also after a restart (durable: %s)',
    async (durable) => {
      const { root, records } = await openRecords();
      expect(records.get('1-1')).toBeUndefined();
      await set(records, '1-1', record(1), durable);
      await set(records, '1-1', record(2), durable);
      expect(records.get('1-1')).toEqual(record(2));
      await records.close();
      expect((await openRecords(root)).records.get('1-1')).toEqual(record(2));
    },
  );

  test('is there after a kill, be it that it was not synced', async () => {
    const { root, records } = await openRecords();
    await set(records, '1-1', record(1));
    expect((await storedIn(root)).get('file!1-1')).toBe(JSON.stringify(record(1)));
  });

  test('is kept apart for every file', async () => {
    const { records } = await openRecords();
    const files = ['1-1', '1-2', '2-1', '11-1', '1-11', '18446744073709551615-9007199254740991'];
    await Promise.all(files.map((file, i) => set(records, file, record(i))));
    for (const [i, file] of files.entries()) expect(records.get(file)?.append?.start).toBe(i);
    await records.write((draft) => draft.delete('1-1'), NOT_DURABLE);
    expect(records.get('1-1')).toBeUndefined();
    expect((await filesOf(records)).sort()).toEqual(files.slice(1).sort());
  });

  test('is counted, by files, whatever becomes of each, over restarts and kills', async () => {
    const { root, records } = await openRecords();
    expect(records.count).toBe(0);
    const journaled = { durable: false, journaled: true };
    await Promise.all(['1-1', '1-2', '1-3', '1-1'].map((file, i) => set(records, file, record(i))));
    for (const start of [4, 5]) await records.write((draft) => draft.set('1-4', record(start)), journaled);
    const refused = records.write((draft) => {
      draft.set('1-5', record(5));
      throw new Error('refused');
    }, NOT_DURABLE);
    await expect(refused).rejects.toThrow('refused');
    const anew = (draft: RecordDraft) => {
      for (const file of ['1-2', '1-3', '1-9']) draft.delete(file);
      draft.set('1-2', record(2));
      draft.setDamaged('1-6', 'rubbish');
    };
    await records.write(anew, NOT_DURABLE);
    const files = ['1-1', '1-2', '1-4', '1-6'];
    expect([records.count, await filesOf(records)]).toEqual([files.length, files]);
    await records.close();
    expect((await openRecords(root)).records.count).toBe(files.length);
  });

  test('is counted at the first start of a store that has no number of it', async () => {
    const { root, records } = await openRecords();
    for (const file of ['1-1', '1-2']) await set(records, file, record(1));
    await records.close();
    await withStore(root, (store) => store.del('count!'));
    expect((await openRecords(root)).records.count).toBe(2);
  });

  test('may be forgotten twice', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(1));
    for (let i = 0; i < 2; i++) await records.write((draft) => draft.delete('1-1'), NOT_DURABLE);
    expect(records.get('1-1')).toBeUndefined();
  });

  test('is changed by all who change it at the same time, each upon the other', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(0));
    const increments = Array.from({ length: 300 }, () =>
      records.write((draft) => {
        const start = draft.get('1-1')?.append?.start ?? 0;
        draft.set('1-1', record(start + 1));
      }, NOT_DURABLE),
    );
    await Promise.all(increments);
    expect(records.get('1-1')?.append?.start).toBe(300);
  });

  test('that is damaged says that something broke, and is copied aside before it is replaced', async () => {
    const { root, records: before } = await openRecords();
    await set(before, '1-1', record(1));
    await before.close();
    await withStore(root, (store) => store.put('file!1-1', '{"path":'));
    const { records } = await openRecords(root);
    expect(isDamaged(records.get('1-1'))).toBe(true);
    await set(records, '1-1', record(7));
    expect(records.get('1-1')).toEqual(record(7));
    const aside = path.join(root, RESERVED, 'aside');
    const [name] = await readdir(aside);
    expect(await readFile(path.join(aside, name as string), 'utf8')).toBe('{"path":');
  });

  test('is for the user of the server alone', async () => {
    const { root } = await openRecords();
    for (const name of [path.join(root, RESERVED), storeOf(root), path.join(root, RESERVED, 'reserve')]) {
      expect([name, (await stat(name)).mode & 0o077]).toEqual([name, 0]);
    }
  });

  test('is gone with the directory, and nothing else is in the way', async () => {
    const { root, records } = await openRecords();
    await set(records, '1-1', record(1));
    await records.close();
    await rm(path.join(root, RESERVED), { recursive: true });
    const { records: next, repair } = await openRecords(root);
    expect([repair, next.get('1-1')]).toEqual([undefined, undefined]);
    await set(next, '1-1', record(2));
  });
});

describe('changes that belong together', () => {
  test('are all made or none: what is thrown in the middle refuses them, and no others', async () => {
    const { records } = await openRecords();
    const refused = records.write((draft) => {
      draft.set('1-1', record(1));
      draft.setTombstone({ path: 'a', fingerprint: '2-2' });
      throw new Error('no');
    }, NOT_DURABLE);
    const made = set(records, '3-3', record(3));
    await expect(refused).rejects.toThrow('no');
    await made;
    expect([records.get('1-1'), records.tombstone('a')]).toEqual([undefined, undefined]);
    expect(records.get('3-3')).toEqual(record(3));
  });

  test('see what those before them have changed, and are seen when they are written', async () => {
    const { records } = await openRecords();
    const seen: unknown[] = [];
    const first = records.write((draft) => {
      draft.set('1-1', record(1));
      draft.beginRemoval('1-1', 'f');
    }, NOT_DURABLE);
    const second = records.write((draft) => {
      seen.push(draft.get('1-1')?.append?.start, draft.isBeingRemoved('1-1'), records.get('1-1'));
      draft.endRemoval('1-1');
    }, NOT_DURABLE);
    await Promise.all([first, second]);
    expect(seen).toEqual([1, true, undefined]);
    expect(records.isBeingRemoved('1-1')).toBe(false);
  });

  test('of many go to the disk together', async () => {
    const { records } = await openRecords();
    const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
    onTestFinished(() => writing.mockRestore());
    await Promise.all(Array.from({ length: 500 }, (_, i) => set(records, `${i}-1`, record(i), i % 2 === 0)));
    expect(writing.mock.calls.length).toBe(1);
    expect(writing.mock.calls[0]?.[1 as never]).toMatchObject({ sync: true });
    expect(await filesOf(records)).toHaveLength(500);
  });

  test('go to the disk 1 MiB at a time, in order', async () => {
    const { records } = await openRecords();
    const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
    onTestFinished(() => writing.mockRestore());
    const order: number[] = [];
    const session = 'x'.repeat(100_000);
    const writes = Array.from({ length: 35 }, (_, i) =>
      set(records, `${i}-1`, record(i, { append: { session, start: i, state: 'open' } })).then(() => {
        order.push(i);
      }),
    );
    await Promise.all(writes);
    const calls = writing.mock.calls as unknown as [changes: { key: string }[]][];
    const files = calls.map(([changes]) => changes.filter(({ key }) => key.startsWith('file!')).length);
    expect(files).toEqual([11, 11, 11, 2]);
    expect(order).toEqual(writes.map((_, i) => i));
    expect(await filesOf(records)).toHaveLength(35);
  });

  test('in a group with one of a record that cannot be copied aside are made, and that is refused', async () => {
    const { root, records: before } = await openRecords();
    await set(before, '1-1', record(1));
    await before.close();
    await withStore(root, (store) => store.put('file!1-1', '{"path":'));
    const { records } = await openRecords(root);
    await writeFile(path.join(root, RESERVED, 'aside'), 'in the way');
    const writes = ['0-0', '1-1', '2-2'].map((file) => set(records, file, record(7)));
    const results = await Promise.allSettled(writes);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect([records.get('0-0'), records.get('2-2')]).toEqual([record(7), record(7)]);
    expect(isDamaged(records.get('1-1'))).toBe(true);
  });

  test('in a group with one of a record that cannot be read are made, and that is refused', async () => {
    const { records } = await openRecords();
    const { getSync } = ClassicLevel.prototype;
    const reading = vi.spyOn(ClassicLevel.prototype, 'getSync');
    reading.mockImplementation(function broken(this: ClassicLevel, ...args: unknown[]) {
      if (args[0] !== 'file!1-1') return getSync.apply(this, args as never);
      throw Object.assign(new Error('Corruption: made up'), { code: 'LEVEL_CORRUPTION' });
    } as never);
    onTestFinished(() => reading.mockRestore());
    const writes = ['0-0', '1-1', '2-2'].map((file) => set(records, file, record(7)));
    const results = await Promise.allSettled(writes);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect([records.get('0-0'), records.get('2-2')]).toEqual([record(7), record(7)]);
  });
});

describe('what is due', () => {
  test('is what records say, those for longest first, and no more than is asked for', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(0, { dueMs: 3000 }));
    await set(records, '2-2', record(0, { dueMs: 1000, path: 'second' }));
    await set(records, '3-3', record(0, { dueMs: 2000 }));
    await set(records, '4-4', record(0));
    expect(await records.due(500, 10)).toEqual([]);
    expect(await records.due(1000, 10)).toEqual([{ fingerprint: '2-2', path: 'second' }]);
    expect((await records.due(5000, 2)).map(({ fingerprint }) => fingerprint)).toEqual(['2-2', '3-3']);
    await set(records, '2-2', record(0, { dueMs: 9000 }));
    await records.write((draft) => draft.delete('3-3'), NOT_DURABLE);
    expect((await records.due(5000, 10)).map(({ fingerprint }) => fingerprint)).toEqual(['1-1']);
  });

  test('is always what the records say, whatever is changed in whatever order', async () => {
    const { root, records } = await openRecords();
    const file = fc.integer({ min: 0, max: 5 }).map((i) => `${i}-1`);
    const change = fc.record({
      file,
      dueMs: fc.option(fc.nat(50), { nil: undefined }),
      isGone: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 8 }), async (writes) => {
        await Promise.all(
          writes.map((changes) =>
            records.write((draft) => {
              for (const { file: name, dueMs, isGone } of changes) {
                if (isGone) draft.delete(name);
                else draft.set(name, record(0, dueMs === undefined ? {} : { dueMs }));
              }
            }, NOT_DURABLE),
          ),
        );
        const said: string[] = [];
        for await (const {
          fingerprint,
          record: { dueMs },
        } of records.files()) {
          if (dueMs !== undefined) said.push(`${String(dueMs).padStart(16, '0')}!${fingerprint}`);
        }
        expect(await dueIn(root)).toEqual(said.sort());
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 400 : 20 },
    );
  });
});

describe('a write that fails', () => {
  test('once is made all the same, in a store that was opened anew', async () => {
    const { root, records } = await openRecords();
    failBatches((count) => (count === 1 ? 'before' : undefined));
    const opening = vi.spyOn(ClassicLevel.prototype, 'open');
    onTestFinished(() => opening.mockRestore());
    await set(records, '1-1', record(1));
    await set(records, '2-2', record(2));
    expect(opening).toHaveBeenCalledTimes(1);
    for (const start of [3, 4]) await set(records, `${start}-1`, record(start));
    await records.close();
    const next = (await openRecords(root)).records;
    expect(await filesOf(next)).toEqual(['1-1', '2-2', '3-1', '4-1']);
  });

  test('is refused, and nothing of it is there; others are made after it', async () => {
    const { records } = await openRecords();
    const writing = failBatches((count) => (count < 2 ? 'before' : undefined));
    await expect(set(records, '1-1', record(1))).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect(writing).toHaveBeenCalledTimes(2);
    expect(records.get('1-1')).toBeUndefined();
    await set(records, '2-2', record(2));
    expect(await filesOf(records)).toEqual(['2-2']);
  });

  test('and is there all the same has an outcome that nobody knows', async () => {
    const { records } = await openRecords();
    failBatches((count) => (count < 2 ? 'after' : undefined));
    await expect(set(records, '1-1', record(1), true)).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    expect(records.get('1-1')).toEqual(record(1));
  });

  test('and may be there all the same, when no room is left to look, has an outcome that nobody knows', async () => {
    const { root, records } = await openRecords();
    // The first takes the room that is kept; of the second only the sync fails.
    failBatches((count) => (['before', undefined, 'after'] as const)[count], 'No space left on device');
    await set(records, '1-1', record(1), true);
    await expect(set(records, '2-2', record(2), true)).rejects.toMatchObject({
      code: 'HFS_OUTCOME_UNKNOWN',
      cause: { code: 'HFS_STORAGE_FULL' },
    });
    await records.close();
    expect((await openRecords(root)).records.get('2-2')).toEqual(record(2));
  });

  test('and may be there all the same, when it cannot be opened to look, has an outcome that nobody knows', async () => {
    const { records } = await openRecords();
    failBatches((count) => (count === 0 ? 'after' : undefined));
    const opening = vi.spyOn(ClassicLevel.prototype, 'open').mockRejectedValue(ioError());
    onTestFinished(() => opening.mockRestore());
    const writing = set(records, '1-1', record(1), true);
    await expect(writing).rejects.toMatchObject({ code: 'HFS_OUTCOME_UNKNOWN' });
    opening.mockRestore();
    await set(records, '2-2', record(2));
    expect(records.get('1-1')).toEqual(record(1));
  });

  test('keeps nobody from reading but for the moment in which the store is opened anew, which can be waited for', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(1));
    failBatches((count) => (count === 0 ? 'before' : undefined));
    const { open } = ClassicLevel.prototype;
    const opening = vi.spyOn(ClassicLevel.prototype, 'open');
    onTestFinished(() => opening.mockRestore());
    let waited: Promise<FileRecord | undefined> | undefined;
    opening.mockImplementationOnce(async function looked(this: ClassicLevel, ...args: [never]) {
      expect(() => records.get('1-1')).toThrow(expect.objectContaining({ code: 'HFS_STORAGE_BUSY' }));
      waited = Promise.resolve(records.readable()).then(() => records.get('1-1'));
      await open.apply(this, args);
    } as never);
    await set(records, '2-2', record(2));
    expect(await waited).toEqual(record(1));
  });

  test('makes those wait who look for what is due', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(1, { dueMs: 1000 }));
    failBatches((count) => (count === 0 ? 'before' : undefined));
    const { open } = ClassicLevel.prototype;
    const opening = vi.spyOn(ClassicLevel.prototype, 'open');
    onTestFinished(() => opening.mockRestore());
    let due: Promise<DueFile[]> | undefined;
    opening.mockImplementationOnce(async function looked(this: ClassicLevel, ...args: [never]) {
      due = records.due(5000, 10);
      await open.apply(this, args);
    } as never);
    await set(records, '2-2', record(2));
    expect(await due).toEqual([{ fingerprint: '1-1', path: 'f' }]);
  });

  test('keeps nobody who reads one after the other from going on behind the last one', async () => {
    const { records } = await openRecords();
    const files = Array.from({ length: 2500 }, (_, i) => `${1000 + i}-1`);
    await Promise.all(files.map((file, i) => set(records, file, record(i, { dueMs: i }))));
    failBatches((count) => (count % 2 === 0 ? 'before' : undefined));
    const seen: string[] = [];
    for await (const { fingerprint } of records.files()) {
      if (seen.push(fingerprint) % 700 === 0) await set(records, '9-9', record(seen.length));
    }
    expect(seen).toEqual([...files, '9-9']);
    const due = (await records.due(5000, 2000)).map(({ fingerprint }) => fingerprint);
    expect(due).toEqual(files.slice(0, 2000));
  });

  test('and after which it cannot be opened refuses all, until it can be', async () => {
    const { records } = await openRecords();
    await set(records, '1-1', record(1));
    failBatches((count) => (count === 0 ? 'before' : undefined));
    const opening = vi.spyOn(ClassicLevel.prototype, 'open').mockRejectedValue(ioError());
    onTestFinished(() => opening.mockRestore());
    await expect(set(records, '2-2', record(2))).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect(() => records.get('1-1')).toThrow(expect.objectContaining({ code: 'HFS_STORAGE_ERROR' }));
    opening.mockRestore();
    await set(records, '3-3', record(3));
    expect(records.get('1-1')).toEqual(record(1));
    expect(await filesOf(records)).toEqual(['1-1', '3-3']);
  });
});

const REAL_DISKS = smallDisks().filter(([kind]) => !kind.includes('made to fail'));

describe.each(REAL_DISKS)('on %s', (_kind, makeDisk) => {
  /** Records that do not compress well, until one is refused. Returns those that were acknowledged. */
  async function fillRecords(records: Records, prefix: string, max: number): Promise<string[]> {
    const made: string[] = [];
    for (let i = 0; i < max; i++) {
      const file = `${prefix}-${i}`;
      const session = Buffer.from(Array.from({ length: 2000 }, () => Math.random() * 256)).toString('base64');
      try {
        await set(records, file, record(i, { append: { session, start: i, state: 'open' } }));
        made.push(file);
      } catch (error) {
        expect(error).toMatchObject({ code: 'HFS_STORAGE_FULL' });
        break;
      }
    }
    return made;
  }

  async function start(): Promise<{ disk: SmallDisk; records: Records }> {
    const disk = await makeDisk();
    return { disk, ...(await openRecords(disk.directory)) };
  }

  test('that is full nothing that was acknowledged is forgotten, also of what comes after', async () => {
    const { disk, records } = await start();
    const before = await fillRecords(records, 'before', 20);
    await disk.fill(0);
    const on = await fillRecords(records, 'on', 2000);
    // The room that is kept, and no more.
    expect(on.length).toBeGreaterThan(20);
    expect(on.length).toBeLessThan(2000);
    await disk.makeRoom();
    const after = await fillRecords(records, 'after', 200);
    const reserve = path.join(disk.directory, RESERVED, 'reserve');
    await waitFor(() => existsSync(reserve), 'room to be kept again');
    expect([before.length, after.length]).toEqual([20, 200]);
    await records.close();
    const next = (await openRecords(disk.directory)).records;
    expect((await filesOf(next)).sort()).toEqual([...before, ...on, ...after].sort());
  });

  test('that is full nothing new begins with the room that is kept, and what is under way is written', async () => {
    const { disk, records } = await start();
    await set(records, '1-1', record(1));
    await disk.fill(0);
    const begun = records.write((draft) => draft.set('2-2', record(2)), { durable: true, isNew: true });
    await expect(begun).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    await set(records, '1-1', record(3), true);
    expect(records.get('1-1')).toEqual(record(3));
  });

  test('that has no room for another file nothing that was acknowledged is forgotten, and new things begin when there is some', async () => {
    const { disk, records } = await start();
    const before = await fillRecords(records, 'before', 20);
    await disk.fillFiles();
    const begin = () => records.write((draft) => draft.set('2-2', record(2)), { durable: true, isNew: true });
    await expect(begin()).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    // LevelDB makes files as these become more, and one more when it is slower to remove those before.
    const on = await fillRecords(records, 'on', 700);
    expect(on.length).toBeGreaterThan(100);
    await disk.makeRoom();
    await begin();
    const after = await fillRecords(records, 'after', 20);
    await records.close();
    const next = (await openRecords(disk.directory)).records;
    expect((await filesOf(next)).sort()).toEqual(['2-2', ...before, ...on, ...after].sort());
  });

  test('that has no room left, not even what was kept, what is there can be read, and deletions are there once there is room', async () => {
    const { disk, records } = await start();
    await set(records, '1-1', record(1));
    await rm(path.join(disk.directory, RESERVED, 'reserve'), { recursive: true });
    await disk.fill(0);
    await fillRecords(records, 'on', 2000);
    expect(records.get('1-1')).toEqual(record(1));
    await expect(set(records, '1-1', record(2))).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    expect(records.get('1-1')).toEqual(record(1));
    await disk.makeRoom();
    await records.write((draft) => draft.delete('1-1'), NOT_DURABLE);
    await records.close();
    expect((await openRecords(disk.directory)).records.get('1-1')).toBeUndefined();
  });
});

test('a disk with plenty of room is not asked for each new record, and is asked again later', async () => {
  const { records } = await openRecords();
  const asking = vi.spyOn(fs.promises, 'statfs');
  onTestFinished(() => asking.mockRestore());
  const begin = (i: number) =>
    records.write((draft) => draft.set(`${i}-1`, record(i)), { ...NOT_DURABLE, isNew: true });
  for (let i = 0; i < 50; i++) await begin(i);
  const asked = asking.mock.calls.length;
  expect(asked).toBeGreaterThan(0);
  expect(asked).toBeLessThan(50);
  await waitFor(async () => {
    await begin(50);
    return asking.mock.calls.length > asked;
  }, 'the disk to be asked again');
});

test('a disk that does not say how much of it is free holds up what is written for a moment, and nothing else', async () => {
  const { records } = await openRecords();
  const inLine = vi.spyOn(fs, 'statfsSync');
  const asking = vi.spyOn(fs.promises, 'statfs').mockReturnValue(new Promise(() => {}));
  onTestFinished(() => {
    inLine.mockRestore();
    asking.mockRestore();
  });
  await waitFor(async () => {
    await records.write((draft) => draft.set('1-1', record(1)), { ...NOT_DURABLE, isNew: true });
    return asking.mock.calls.length > 0;
  }, 'the disk to be asked');
  await records.write((draft) => draft.set('2-1', record(2)), { ...NOT_DURABLE, isNew: true });
  expect(records.get('2-1')).toEqual(record(2));
  expect([asking.mock.calls.length, inLine.mock.calls.length]).toEqual([1, 0]);
});

describe('a quota that is used up', () => {
  /** The disk has room, and refuses all the same what is written. */
  function useUp(): { isUsedUp: boolean; refused: number } {
    const quota = { isUsedUp: true, refused: 0 };
    const { open } = fs.promises;
    const { batch } = ClassicLevel.prototype;
    const spies = [
      vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementation(async function refused(
        this: ClassicLevel,
        ...args: unknown[]
      ) {
        if (!quota.isUsedUp) return batch.apply(this, args as never);
        quota.refused++;
        const message = `IO error: ${this.location}/000005.log: Disk quota exceeded`;
        throw Object.assign(new Error(message), { code: 'LEVEL_IO_ERROR' });
      } as never),
      vi.spyOn(fs.promises, 'open').mockImplementation(async (...args) => {
        if (quota.isUsedUp && args[1] === 'wx') throw systemError('EDQUOT');
        return open(...args);
      }),
    ];
    onTestFinished(() => {
      for (const spy of spies) spy.mockRestore();
    });
    return quota;
  }

  test('is a full disk: what is new is refused, and what is there is read, until there is room again', async () => {
    const { root, records } = await openRecords();
    await set(records, '1-1', record(1));
    const quota = useUp();
    const opening = vi.spyOn(ClassicLevel.prototype, 'open');
    onTestFinished(() => opening.mockRestore());
    await expect(set(records, '1-1', record(2))).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    // With the room that was kept, which was not enough.
    expect([quota.refused, opening.mock.calls.length]).toEqual([2, 2]);
    await expect(set(records, '1-1', record(3))).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    const begun = () => records.write((draft) => draft.set('2-2', record(2)), { durable: true, isNew: true });
    await expect(begun()).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    expect(records.get('1-1')).toEqual(record(1));
    // It is not opened anew in vain.
    expect([quota.refused, opening.mock.calls.length]).toEqual([3, 2]);
    quota.isUsedUp = false;
    await begun();
    await set(records, '1-1', record(4));
    await records.close();
    const next = (await openRecords(root)).records;
    expect([next.get('1-1'), next.get('2-2')]).toEqual([record(4), record(2)]);
  });
});

describe('a store that is damaged', () => {
  /** A store with many records in several files, closed. */
  async function filled(): Promise<{ root: string; files: string[] }> {
    const { root, records } = await openRecords();
    const files: string[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) files.push(`${round}${i}-1`);
      const some = files.slice(-200);
      await Promise.all(some.map((file, i) => set(records, file, record(i, { dueMs: 1000 + i }))));
      await records.close();
      await records.open();
    }
    await records.close();
    return { root, files };
  }

  const copiesIn = (root: string) => readdir(path.join(root, RESERVED, 'aside'));

  test.each([
    ['CURRENT is missing', (store: string) => rm(path.join(store, 'CURRENT'))],
    ['CURRENT is empty', (store: string) => truncate(path.join(store, 'CURRENT'))],
    [
      'the manifest is missing',
      async (store: string) => rm(path.join(store, await nameIn(store, /^MANIFEST/))),
    ],
    [
      'the manifest is cut',
      async (store: string) => truncate(path.join(store, await nameIn(store, /^MANIFEST/)), 20),
    ],
    [
      'the manifest is rubbish',
      async (store: string) =>
        writeFile(path.join(store, await nameIn(store, /^MANIFEST/)), 'x'.repeat(5000)),
    ],
  ])('because %s is repaired with nothing lost, and that is told', async (_what, damage) => {
    const { root, files } = await filled();
    // One that is due is not, and one is that is no more.
    const [first] = await dueIn(root);
    await withStore(root, async (store) => {
      await store.del(`due!${first}`);
      await store.put('due!0000000000000001!9-9', '');
    });
    await damage(storeOf(root));
    const { records, repair } = await openRecords(root);
    expect(repair).toMatchObject({ reason: expect.any(String), unreadableFiles: 0 });
    expect((await filesOf(records)).sort()).toEqual([...files].sort());
    const due = await dueIn(root);
    expect(due).toHaveLength(files.length);
    expect(due[0]).toBe(first);
    expect(await copiesIn(root)).toEqual([path.basename(repair?.aside ?? '')]);
    await set(records, '9-9', record(9));
    await records.close();
    expect((await openRecords(root)).repair).toBeUndefined();
  });

  test('because a file of it is missing has the rest, and what is due is what is left', async () => {
    const { root, files } = await filled();
    await rm(path.join(storeOf(root), await nameIn(storeOf(root), /\.ldb$/)));
    const { records, repair } = await openRecords(root);
    expect(repair?.reason).toContain('missing');
    const left = await filesOf(records);
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(files.length);
    expect(await dueIn(root)).toHaveLength(left.length);
    expect(records.count).toBe(left.length);
  });

  test('because it was copied while it was written opens, with all that was there when the copy began', async () => {
    const { root, records } = await openRecords();
    const copy = path.join(await diskDirectory(), 'copy');
    let isCopied = false;
    const copied = (async () => {
      for (let i = 0; i < 3; i++) {
        await rm(copy, { recursive: true, force: true });
        await cp(storeOf(root), storeOf(copy), { recursive: true }).catch(() => undefined);
      }
      isCopied = true;
    })();
    const sure: string[] = [];
    for (let i = 0; !isCopied || i < 50; i++) {
      await set(records, `${i}-1`, record(i));
      if (!isCopied) sure.push(`${i}-1`);
    }
    await copied;
    await mkdir(storeOf(copy), { recursive: true });
    const { records: next } = await openRecords(copy);
    const found = await filesOf(next);
    for (const file of found) expect(next.get(file)?.append).toBeDefined();
    await set(next, 'x-1', record(1));
  });

  test('and in use by another process is nobody else’s', async () => {
    const { root } = await openRecords();
    await expect(recordsOf(root).open()).rejects.toMatchObject({ code: 'HFS_ROOT_IN_USE' });
  });
});

async function nameIn(directory: string, pattern: RegExp): Promise<string> {
  const name = (await readdir(directory)).find((each) => pattern.test(each));
  if (name === undefined) throw new Error(`there is no ${pattern} in ${directory}`);
  return name;
}
