import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LINE_BLOCK_BYTES } from '../../../src/core/lines/line-counter.ts';
import type { LineIndex } from '../../../src/core/lines/line-index.ts';
import { LineIndexes } from '../../../src/core/lines/line-indexes.ts';
import { MemoryFile } from '../../support/core/memory-file.ts';

/** Lines, of which a block has another number than the next one. */
function linesOf(bytes: number): Buffer {
  const lines = Buffer.alloc(bytes, 'x');
  for (let at = 3; at < bytes; at += 5 + Math.floor(at / 1000)) lines[at] = 0x0a;
  return lines;
}

/** How many line feeds each block has, counted one by one. */
function countsIn(bytes: Buffer): number[] {
  const counts: number[] = [];
  for (let start = 0; start < bytes.length; start += LINE_BLOCK_BYTES) {
    const end = Math.min(start + LINE_BLOCK_BYTES, bytes.length);
    let count = 0;
    for (let at = start; at < end; at++) if (bytes[at] === 0x0a) count++;
    counts.push(count);
  }
  return counts;
}

/** Brings an index to the end, however often that takes. */
async function whole(indexes: LineIndexes, file: MemoryFile): Promise<LineIndex> {
  for (;;) {
    const index = await indexes.of(file, file.bytes.length, 1000);
    if (index.position === file.bytes.length) return index;
  }
}

it('has the line feeds of each block, whatever the reads give', async () => {
  const file = new MemoryFile(linesOf(3 * LINE_BLOCK_BYTES + 77), { maxReadBytes: 100_000 });
  const index = await whole(new LineIndexes(), file);
  expect([...index.countsFrom(0)]).toEqual(countsIn(file.bytes));
  expect([...index.countsFrom(2)]).toEqual(countsIn(file.bytes).slice(2));
  expect([...index.countsFrom(9)]).toEqual([]);
});

it('goes on where it was when the file grows, whatever comes when', async () => {
  const content = linesOf(6 * LINE_BLOCK_BYTES);
  const sizes = fc.array(fc.integer({ min: 0, max: content.length }), { minLength: 1, maxLength: 6 });
  const expected = new Map<number, number[]>();
  await fc.assert(
    fc.asyncProperty(sizes, async (ends) => {
      const indexes = new LineIndexes();
      const file = new MemoryFile('');
      for (const size of ends.sort((a, b) => a - b)) {
        file.bytes = content.subarray(0, size);
        const index = await whole(indexes, file);
        if (!expected.has(size)) expected.set(size, countsIn(file.bytes));
        expect([...index.countsFrom(0)]).toEqual(expected.get(size));
        expect(index.cuts).toBe(0);
      }
    }),
    { numRuns: 5 },
  );
});

it('counts what it is told that counts, and no more', async () => {
  const file = new MemoryFile('a\nb\nc\n');
  const index = await new LineIndexes().of(file, 3, 1000);
  expect([index.position, ...index.countsFrom(0)]).toEqual([3, 1]);
});

it('begins anew when the file was cut, also when it is longer by now than it was', async () => {
  const indexes = new LineIndexes();
  const file = new MemoryFile('one\ntwo\nthree\n');
  expect([...(await whole(indexes, file)).countsFrom(0)]).toEqual([3]);
  file.bytes = Buffer.from('one\n');
  const shorter = await whole(indexes, file);
  expect([shorter.cuts, ...shorter.countsFrom(0)]).toEqual([1, 1]);
  file.bytes = Buffer.from('something else that has one line\n');
  const other = await whole(indexes, file);
  expect([other.cuts, ...other.countsFrom(0)]).toEqual([2, 1]);
});

it('stops where the file is shorter than it was told, and knows only what is there', async () => {
  const indexes = new LineIndexes();
  const file = new MemoryFile('a\nb\n');
  const index = await indexes.of(file, 100, 1000);
  expect(index.position).toBe(0);
  expect([...(await whole(indexes, file)).countsFrom(0)]).toEqual([2]);
});

it('gives up what was not used for the longest time when there is too much, and never what is used', async () => {
  const indexes = new LineIndexes(4);
  const [first, second] = ['first', 'second'].map(
    (fingerprint) => new MemoryFile(linesOf(3 * LINE_BLOCK_BYTES), { fingerprint }),
  ) as [MemoryFile, MemoryFile];
  const one = await whole(indexes, first);
  expect(await whole(indexes, first)).toBe(one);
  const other = await whole(indexes, second);
  expect(await whole(indexes, second)).toBe(other);
  expect(await whole(indexes, first)).not.toBe(one);
});

it('counts once for all who ask at the same time', async () => {
  const file = new MemoryFile(linesOf(LINE_BLOCK_BYTES));
  let reads = 0;
  const { readInto } = file;
  file.readInto = async function (this: MemoryFile, ...read) {
    reads++;
    return readInto.apply(this, read);
  };
  const indexes = new LineIndexes();
  await Promise.all([whole(indexes, file), whole(indexes, file), whole(indexes, file)]);
  expect(reads).toBe(1);
});
