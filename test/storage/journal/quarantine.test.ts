import fs from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { JournalEntry } from '../../../src/storage/journal/entry.ts';
import { Quarantine } from '../../../src/storage/journal/quarantine.ts';
import { diskDirectory } from '../../support/server/server.ts';

interface Header {
  file: string;
  number: number;
}

async function numbersOf(entries: AsyncIterable<JournalEntry<Header>>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { header } of entries) numbers.push(header.number);
  return numbers;
}

describe('a quarantine', () => {
  const entries = async function* (...headers: Header[]): AsyncGenerator<JournalEntry<Header>> {
    for (const header of headers) yield { header, payload: Buffer.from(`${header.file} ${header.number}`) };
  };
  const openQuarantine = async (directory: string) => {
    const quarantine = new Quarantine<Header>(directory);
    await quarantine.load();
    return quarantine;
  };

  test('keeps what a journal has of some files, and adds to it, over restarts', async () => {
    const directory = path.join(await diskDirectory(), '.httpfstream', 'quarantine');
    const first = await openQuarantine(directory);
    const [a, b, c] = ['a', 'b', 'c'].map((file) => ({ file, number: 0 })) as [Header, Header, Header];
    await first.add(new Set(['a', 'b']), entries(a, c, b, { ...a, number: 1 }));
    const second = await openQuarantine(directory);
    expect([...second.files].sort()).toEqual(['a', 'b']);
    await second.add(new Set(['a']), entries(b, { ...a, number: 2 }));
    expect(await numbersOf(second.entries('a'))).toEqual([0, 1, 2]);
    expect(await numbersOf(second.all())).toHaveLength(4);
    await second.remove('a');
    expect([...(await openQuarantine(directory)).files]).toEqual(['b']);
  });

  test('has let a file go after a loss of power, too', async () => {
    const directory = path.join(await diskDirectory(), '.httpfstream', 'quarantine');
    const quarantine = await openQuarantine(directory);
    await quarantine.add(new Set(['a']), entries({ file: 'a', number: 0 }));
    const opening = vi.spyOn(fs.promises, 'open');
    onTestFinished(() => opening.mockRestore());
    await quarantine.remove('a');
    // To be synced.
    expect(opening.mock.calls).toEqual([[directory, 'r']]);
  });

  test('tells which of its journals are damaged, and from where on', async () => {
    const directory = path.join(await diskDirectory(), '.httpfstream', 'quarantine');
    const quarantine = await openQuarantine(directory);
    const headers = [0, 1, 2].map((number) => ({ file: 'a', number }));
    await quarantine.add(new Set(['a', 'b']), entries(...headers, { file: 'b', number: 0 }));
    const name = path.join(directory, 'a.log');
    const bytes = await readFile(name);
    const second = bytes.length / 3;
    bytes[second + 5] = (bytes[second + 5] as number) ^ 1;
    await writeFile(name, bytes);
    const damaged: [string, number][] = [];
    expect(await numbersOf(quarantine.all((...at) => damaged.push(at)))).toEqual([0, 0]);
    expect(damaged).toEqual([[name, second]]);
  });

  test('that cannot be filled stays as it was', async () => {
    const directory = path.join(await diskDirectory(), '.httpfstream', 'quarantine');
    const quarantine = await openQuarantine(directory);
    await quarantine.add(new Set(['a']), entries({ file: 'a', number: 0 }));
    const failing = async function* (): AsyncGenerator<JournalEntry<Header>> {
      yield* entries({ file: 'a', number: 1 });
      throw new Error('torn');
    };
    await expect(quarantine.add(new Set(['a', 'b']), failing())).rejects.toThrow();
    expect(await readdir(directory)).toEqual(['a.log']);
    expect(await numbersOf(quarantine.entries('a'))).toEqual([0]);
    expect([...quarantine.files]).toEqual(['a']);
    expect((await readFile(path.join(directory, 'a.log'))).length).toBeGreaterThan(0);
  });
});
