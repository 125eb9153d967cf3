import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Batch, JournalWriter } from '../../../src/storage/journal/batch.ts';
import type { JournalEntry } from '../../../src/storage/journal/entry.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { diskDirectory } from '../../support/server/server.ts';

interface Header {
  file: string;
  number: number;
}

/** Appends entries, and keeps what it is told. */
class Writer implements JournalWriter {
  readonly batches: Batch[] = [];
  readonly refusals: boolean[] = [];
  #waiting: (() => void)[] = [];

  append(log: Journal<Header>, header: Header, payload = ''): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      log.append(header, [Buffer.from(payload)], this);
    });
  }

  committed(count: number, batch: Batch): undefined {
    this.batches.push(batch);
    for (const resolve of this.#waiting.splice(0, count)) resolve();
  }

  refused(_error: unknown, isSure: boolean): void {
    this.refusals.push(isSure);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

async function openLog(directory: string, isDurable = false) {
  const log = new Journal<Header>(directory, new WriteTurns(), isDurable);
  return { log, replay: await log.replay() };
}

async function numbersOf(entries: AsyncIterable<JournalEntry<Header>>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { header } of entries) numbers.push(header.number);
  return numbers;
}

/** What the next server finds. */
async function foundIn(directory: string): Promise<number[]> {
  return numbersOf((await openLog(directory)).replay.entries(() => {}));
}

async function newDirectory(): Promise<string> {
  return path.join(await diskDirectory(), '.httpfstream', 'redo');
}

describe('a journal', () => {
  test.each([false, true])(
    'forgets entries that were made void, and no others (durable: %s)',
    async (isDurable) => {
      const directory = await newDirectory();
      const { log } = await openLog(directory, isDurable);
      const [one, other] = [new Writer(), new Writer()];
      // In one batch, and in one after it.
      await Promise.all([
        one.append(log, { file: 'one', number: 0 }, 'x'),
        one.append(log, { file: 'one', number: 1 }, 'y'),
        other.append(log, { file: 'other', number: 2 }, 'z'),
      ]);
      await other.append(log, { file: 'other', number: 3 });
      const { size } = await stat(path.join(directory, '0000000001.log'));
      await log.annul(one.batches[0] as Batch, one);
      expect(await foundIn(directory)).toEqual([2, 3]);
      expect((await stat(path.join(directory, '0000000001.log'))).size).toBe(size);
    },
  );

  test('has nothing to make void in what was dropped meanwhile', async () => {
    const { log } = await openLog(await newDirectory());
    const writer = new Writer();
    await writer.append(log, { file: 'one', number: 0 });
    await log.drop(await log.rotate());
    await log.annul(writer.batches[0] as Batch, writer);
  });

  test('never drops what a server before it has left, unless that is said', async () => {
    const directory = await newDirectory();
    const before = await openLog(directory);
    await new Writer().append(before.log, { file: 'one', number: 0 });
    const { log } = await openLog(directory);
    await log.drop(await log.rotate());
    await new Writer().append(log, { file: 'one', number: 1 });
    await log.drop(await log.rotate());
    expect(await foundIn(directory)).toEqual([0]);
    await log.dropReplayed();
    expect(await readdir(directory)).toEqual([]);
  });

  test.each([false, true])(
    'forgets of what a server before it has left what is moot, and nothing of its own (durable: %s)',
    async (isDurable) => {
      const directory = await newDirectory();
      const before = await openLog(directory, isDurable);
      // So long that it is read in several blocks.
      const payload = 'x'.repeat(700_000);
      for (let number = 0; number < 8; number++) {
        const file = number % 2 === 0 ? 'even' : 'odd';
        await new Writer().append(before.log, { file, number }, payload);
        if (number === 5) await before.log.rotate();
      }
      const { log, replay } = await openLog(directory, isDurable);
      await new Writer().append(log, { file: 'even', number: 8 });
      await log.annulReplayed(({ file }) => file === 'even');
      expect(await numbersOf(replay.entries(() => {}))).toEqual([1, 3, 5, 7]);
      expect(await foundIn(directory)).toEqual([1, 3, 5, 7, 8]);
      await log.annulReplayed(({ number }) => number === 5);
      expect(await foundIn(directory)).toEqual([1, 3, 7, 8]);
      const segments = await readdir(directory);
      await log.annulReplayed(({ number }) => number < 4);
      expect(await foundIn(directory)).toEqual([7, 8]);
      // What has nothing any more that is wanted takes no room.
      expect((await readdir(directory)).length).toBe(segments.length - 1);
    },
  );

  test('that was not replayed drops nothing', async () => {
    const directory = await newDirectory();
    await new Writer().append((await openLog(directory)).log, { file: 'one', number: 0 });
    const log = new Journal<Header>(directory, new WriteTurns(), false);
    await log.drop(await log.rotate());
    expect(await foundIn(directory)).toEqual([0]);
  });

  test('that cannot be begun is sure to have nothing', async () => {
    const directory = path.join(await diskDirectory(), 'redo');
    const { log } = await openLog(directory);
    await rm(directory, { recursive: true, force: true });
    await writeFile(directory, '');
    const writer = new Writer();
    await writer.append(log, { file: 'one', number: 0 });
    expect(writer.refusals).toEqual([true]);
  });

  test('knows how much it holds until it is dropped', async () => {
    const { log } = await openLog(await newDirectory());
    expect(log.heldSize).toBe(0);
    await new Writer().append(log, { file: 'one', number: 0 });
    const { size } = log;
    const upTo = await log.rotate();
    await new Writer().append(log, { file: 'one', number: 1 });
    expect([log.size, log.heldSize]).toEqual([size, 2 * size]);
    await log.drop(upTo);
    expect(log.heldSize).toBe(size);
  });
});

test('a journal takes no more files of the disk while it goes on than it had from its beginning', async () => {
  const directory = await newDirectory();
  const { log } = await openLog(directory);
  let number = 0;
  const write = () => new Writer().append(log, { file: 'a', number: number++ });
  const filesOfDisk = async () => {
    const parent = path.dirname(directory);
    const names = [...(await readdir(parent)), ...(await readdir(directory)).map((name) => `redo/${name}`)];
    const files = (await Promise.all(names.map((name) => stat(path.join(parent, name))))).filter((each) =>
      each.isFile(),
    );
    return files.map(({ ino }) => ino).sort();
  };
  await write();
  const first = await filesOfDisk();
  expect(first).toHaveLength(2);
  for (const isDroppedLate of [true, false, false, true, true, false]) {
    const upTo = await log.rotate();
    if (isDroppedLate) await write();
    await log.drop(upTo);
    if (!isDroppedLate) await write();
    expect(await filesOfDisk()).toEqual(first);
    expect(await foundIn(directory)).toEqual([number - 1]);
  }
  await log.close();
});

test('what goes into a new segment is there, however it meets the removal of the one before', async () => {
  const directory = await newDirectory();
  const { log } = await openLog(directory);
  for (let number = 0; number < 20; number++) {
    const upTo = await log.rotate();
    await Promise.all([log.drop(upTo), new Writer().append(log, { file: 'a', number })]);
    expect(await foundIn(directory)).toEqual([number]);
  }
  await log.close();
});

test('a segment that is not needed any more is kept, empty, for the next one, until the journal is closed', async () => {
  const directory = await newDirectory();
  const { log } = await openLog(directory);
  const spare = `${directory}.spare-2`;
  const write = (number: number) => new Writer().append(log, { file: 'a', number });
  await write(0);
  await log.drop(await log.rotate());
  expect([await readdir(directory), (await stat(spare)).size]).toEqual([[], 0]);
  const { ino } = await stat(spare);
  // What lies there is no part of the journal.
  await writeFile(spare, 'left over');
  await write(1);
  const [name] = await readdir(directory);
  expect((await stat(path.join(directory, name as string))).ino).toBe(ino);
  expect(await foundIn(directory)).toEqual([1]);
  await log.drop(await log.rotate());
  await log.close();
  await expect(stat(spare)).rejects.toThrow('ENOENT');
});
