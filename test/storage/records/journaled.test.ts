import { cp } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Journal } from '../../../src/storage/journal/journal.ts';
import type { FileRecord } from '../../../src/storage/records/file-record.ts';
import type { Records, RecordsEntry, WriteOptions } from '../../../src/storage/records/records.ts';
import { OutcomeUnknownError, StorageFullError } from '../../../src/wire/errors.ts';
import { journalOf, recordsOf, withStore } from '../../support/core/stored-records.ts';
import { breakLog } from '../../support/disk/log-trouble.ts';
import { diskDirectory } from '../../support/server/server.ts';

const JOURNALED = { durable: false, journaled: true };
const NOT_DURABLE = { durable: false };

const record = (start: number): FileRecord => ({ path: 'f', append: { start, state: 'open' } });

interface Opened {
  root: string;
  records: Records;
  journal: Journal<RecordsEntry>;
}

/** The records of a root, as a start finds them: with all that the journal has. */
async function open(root: string, isDurable = false): Promise<Opened> {
  const journal = journalOf(root, isDurable);
  const records = recordsOf(root, () => {}, journal);
  onTestFinished(() => records.close());
  await records.open();
  const { entries } = await journal.replay();
  for await (const { header } of entries(() => {})) await records.replay(header);
  return { root, records, journal };
}

async function openNew(isDurable = false): Promise<Opened> {
  return open(await diskDirectory(), isDurable);
}

/** The root as it is after a kill in this moment. */
async function killed({ root }: Opened): Promise<string> {
  const copy = path.join(await diskDirectory(), 'root');
  await cp(root, copy, { recursive: true, filter: (name) => path.basename(name) !== 'LOCK' });
  return copy;
}

function set(
  { records }: Opened,
  file: string,
  value: FileRecord,
  how: WriteOptions = JOURNALED,
): Promise<void> {
  return records.write((draft) => draft.set(file, value), how);
}

/** What the store itself has of a file. */
async function stored(opened: Opened, file: string): Promise<string | undefined> {
  return withStore(await killed(opened), (store) => store.get(`file!${file}`));
}

/** How what is written to the store is written, from now on. */
function batches() {
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  onTestFinished(() => writing.mockRestore());
  return () => (writing.mock.calls as unknown[][]).map(([, options]) => options);
}

/** Makes the disk refuse what is written to the store. */
function refuseBatches(): void {
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  onTestFinished(() => writing.mockRestore());
  writing.mockImplementation((() => {
    const full = Object.assign(new Error('No space left on device'), { code: 'LEVEL_IO_ERROR' });
    return Promise.reject(full);
  }) as never);
}

/** Makes syncs of the store fail, after what was to be synced was written. */
function failSyncs(): () => void {
  const { batch } = ClassicLevel.prototype;
  const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
  writing.mockImplementation(async function failing(this: ClassicLevel, ...args: unknown[]) {
    await batch.apply(this, args as never);
    throw Object.assign(new Error('IO error: made up'), { code: 'LEVEL_IO_ERROR' });
  } as never);
  const mend = () => writing.mockRestore();
  onTestFinished(mend);
  return mend;
}

describe('a change that is journaled', () => {
  test('is known at once, and is in the store after a flush', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1));
    expect(opened.records.get('1-1')).toEqual(record(1));
    expect(await stored(opened, '1-1')).toBeUndefined();
    await opened.records.flush();
    expect(await stored(opened, '1-1')).toBe(JSON.stringify(record(1)));
    expect(opened.records.get('1-1')).toEqual(record(1));
  });

  test('is there after a kill, a deletion too', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1));
    await set(opened, '2-2', record(2), NOT_DURABLE);
    await opened.records.write((draft) => draft.delete('2-2'), JOURNALED);
    const { records } = await open(await killed(opened));
    expect([records.get('1-1'), records.get('2-2')]).toEqual([record(1), undefined]);
  });

  test('goes to the store with the next one that is not', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1));
    await set(opened, '2-2', record(2), NOT_DURABLE);
    expect(await stored(opened, '1-1')).toBe(JSON.stringify(record(1)));
  });

  test('does not come back over one that was made in the store after it', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1));
    await set(opened, '1-1', record(2), NOT_DURABLE);
    const { records } = await open(await killed(opened));
    expect(records.get('1-1')).toEqual(record(2));
  });

  test('is seen by those that list what is there', async () => {
    const { records } = await openNew();
    await records.write((draft) => draft.set('1-1', { ...record(1), dueMs: 1 }), JOURNALED);
    const files: string[] = [];
    for await (const { fingerprint } of records.files()) files.push(fingerprint);
    expect([files, await records.due(2, 10)]).toEqual([['1-1'], [{ fingerprint: '1-1', path: 'f' }]]);
  });

  test('is made in the store when the journal refuses it', async () => {
    const opened = await openNew();
    breakLog();
    await set(opened, '1-1', record(1));
    expect(await stored(opened, '1-1')).toBe(JSON.stringify(record(1)));
  });

  test('is refused when the store refuses it, too', async () => {
    const opened = await openNew();
    breakLog();
    refuseBatches();
    await expect(set(opened, '1-1', record(1))).rejects.toBeInstanceOf(StorageFullError);
    expect(opened.records.get('1-1')).toBeUndefined();
  });

  test('is as safe in the store as it was in the journal, before that is shortened', async () => {
    const opened = await openNew(true);
    await set(opened, '1-1', record(1), { durable: true, journaled: true });
    const howWritten = batches();
    await opened.records.flush();
    expect(howWritten()).toEqual([{ sync: true }]);
  });

  test('leaves what has expired to be found, on a disk that takes nothing', async () => {
    const opened = await openNew();
    await opened.records.write((draft) => draft.set('1-1', { ...record(1), dueMs: 1 }), NOT_DURABLE);
    await set(opened, '2-2', record(2));
    breakLog();
    refuseBatches();
    await expect(set(opened, '3-3', record(3))).rejects.toBeInstanceOf(StorageFullError);
    expect(await opened.records.due(10, 10)).toEqual([{ fingerprint: '1-1', path: 'f' }]);
  });

  test('does not come back over one whose outcome in the store was unknown', async () => {
    const opened = await openNew(true);
    await set(opened, '1-1', record(1), { durable: true, journaled: true });
    const mend = failSyncs();
    const deleted = opened.records.write((draft) => draft.delete('1-1'), { durable: true });
    await expect(deleted).rejects.toBeInstanceOf(OutcomeUnknownError);
    mend();
    expect(opened.records.get('1-1')).toBeUndefined();
    await set(opened, '2-2', record(2), NOT_DURABLE);
    expect(await stored(opened, '1-1')).toBeUndefined();
  });

  test('goes to the store at once when it must last and the journal does not', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1), { durable: true, journaled: true });
    expect(await stored(opened, '1-1')).toBe(JSON.stringify(record(1)));
  });

  test('is in the store when there are many', async () => {
    const opened = await openNew();
    const howWritten = batches();
    for (let i = 0; i < 2100; i++) await set(opened, `${i}-1`, record(i));
    expect(howWritten()).toHaveLength(2);
    const { records } = await open(await killed(opened));
    expect(records.get('2099-1')).toEqual(record(2099));
  });

  test('is in the store of a root that was closed', async () => {
    const opened = await openNew();
    await set(opened, '1-1', record(1));
    await opened.records.close();
    expect(await withStore(opened.root, (store) => store.get('file!1-1'))).toBe(JSON.stringify(record(1)));
  });
});

const file = fc.constantFrom('1-1', '2-2', '3-3');

const step = fc.oneof(
  fc.record({ what: fc.constant('set' as const), file, isJournaled: fc.boolean() }),
  fc.record({ what: fc.constant('delete' as const), file, isJournaled: fc.boolean() }),
  fc.constantFrom({ what: 'flush' as const }, { what: 'shorten' as const }, { what: 'kill' as const }),
);

test('what was written last is there, whatever comes between: flushes, a shorter journal, kills', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      let opened = await openNew();
      const model = new Map<string, FileRecord>();
      for (const [i, each] of [...steps, { what: 'kill' as const }].entries()) {
        if (each.what === 'kill') {
          const before = opened;
          opened = await open(await killed(before));
          await before.records.close();
        } else if (each.what === 'flush') await opened.records.flush();
        else if (each.what === 'shorten') {
          const upTo = await opened.journal.rotate();
          await opened.records.flush();
          await opened.journal.drop(upTo);
          await opened.journal.dropReplayed();
        } else {
          const how = each.isJournaled ? JOURNALED : NOT_DURABLE;
          if (each.what === 'set') {
            model.set(each.file, record(i));
            await set(opened, each.file, record(i), how);
          } else {
            model.delete(each.file);
            await opened.records.write((draft) => draft.delete(each.file), how);
          }
        }
        for (const name of ['1-1', '2-2', '3-3']) expect(opened.records.get(name)).toEqual(model.get(name));
      }
      await opened.records.close();
    }),
    { numRuns: process.env.HTTPFSTREAM_SOAK ? 300 : 12 },
  );
});
