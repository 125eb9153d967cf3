import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeEntry, type FoundEntry, readEntries, VOID_MARK } from '../../../src/storage/journal/entry.ts';
import { character } from '../../support/characters.ts';
import { diskDirectory } from '../../support/server/server.ts';

interface Header {
  file: string;
  number: number;
}

describe('the entries of a journal', () => {
  /** More than is read at a time, and with ends that fall anywhere. */
  const payloads = Array.from({ length: 30 }, (_, number) => Buffer.alloc(100_003 + number * 1009, number));
  const encoded = payloads.map((payload, number) =>
    Buffer.concat(encodeEntry({ file: 'f', number }, [payload])),
  );

  async function read(bytes: Buffer): Promise<{ numbers: number[]; read: number; damagedAt: number[] }> {
    const name = path.join(await diskDirectory(), 'journal');
    await writeFile(name, bytes);
    const handle = await open(name);
    let read = 0;
    const numbers: number[] = [];
    const damagedAt: number[] = [];
    const progressed = (more: number) => {
      read += more;
    };
    const entries = readEntries<Header>(handle.fd, progressed, (position) => damagedAt.push(position));
    for await (const { header, payload } of entries) {
      expect(payload.equals(payloads[header.number] as Buffer)).toBe(true);
      numbers.push(header.number);
    }
    await handle.close();
    return { numbers, read, damagedAt };
  }

  const all = payloads.map((_, number) => number);

  test('are read block by block, whole', async () => {
    const journal = Buffer.concat(encoded);
    expect(await read(journal)).toEqual({ numbers: all, read: journal.length, damagedAt: [] });
  });

  test.each([0, 17, 29])('end where entry %i is torn', async (torn) => {
    const journal = Buffer.concat(encoded);
    const end = Buffer.concat(encoded.slice(0, torn + 1)).length;
    journal[end - 1] = (journal[end - 1] as number) ^ 1;
    expect((await read(journal)).numbers).toEqual(all.slice(0, torn));
    expect((await read(journal.subarray(0, end - 1))).numbers).toEqual(all.slice(0, torn));
  });

  const starts = [0];
  for (const { length } of encoded) starts.push((starts.at(-1) as number) + length);

  /** The journal with some bytes that are something else. */
  const spoilt = (spoil: (journal: Buffer) => unknown) => {
    const journal = Buffer.concat(encoded);
    spoil(journal);
    return journal;
  };

  test.each([0, 17])(
    'are told to be damaged where entry %i does not hold, and others behind it do',
    async (bad) => {
      const [start, end] = [starts[bad] as number, starts[bad + 1] as number];
      const spoilings = [
        // The highest bit of the length makes it void.
        ...Array.from({ length: 31 }, (_, bit) => (journal: Buffer) => {
          journal.writeInt32LE(journal.readInt32LE(start) ^ (1 << bit), start);
        }),
        (journal: Buffer) => journal.writeInt32LE(0, start + 4),
        (journal: Buffer) => journal.writeInt32LE(-1, start + 8),
        (journal: Buffer) => journal.fill(0, start, end),
        (journal: Buffer) => journal.fill('{', start + 1, end - 1),
      ];
      for (const spoil of spoilings) {
        const { numbers, damagedAt } = await read(spoilt(spoil));
        expect({ numbers, damagedAt }).toEqual({ numbers: all.slice(0, bad), damagedAt: [start] });
      }
    },
  );

  test('are told to be damaged by none of what a kill, or a loss of power, leaves of the last one', async () => {
    const start = starts.at(-2) as number;
    const journal = Buffer.concat(encoded);
    for (const cut of [start, start + 3, start + 20, journal.length - 1]) {
      expect((await read(journal.subarray(0, cut))).damagedAt).toEqual([]);
    }
    for (const from of [start, start + 20, journal.length - 4096]) {
      expect((await read(spoilt((bytes) => bytes.fill(0, from)))).damagedAt).toEqual([]);
    }
    expect((await read(spoilt((bytes) => bytes.fill(0, start, start + 4096)))).damagedAt).toEqual([]);
  });

  test('cost no more than some work where far too much looks like an entry', async () => {
    const fake = Buffer.alloc(13);
    fake.writeUInt32LE(1_000_000, 0);
    fake.write('{', 12);
    const journal = Buffer.concat([Buffer.from('none'), Buffer.alloc(2_000_000, fake)]);
    expect((await read(journal)).damagedAt).toEqual([]);
  });

  test('end where a length is none', async () => {
    const journal = Buffer.concat([...encoded.slice(0, 3), Buffer.alloc(5_000_000, 0xff)]);
    expect((await read(journal)).numbers).toEqual([0, 1, 2]);
  });
});

/** `HTTPFSTREAM_SOAK=1` tries many entries, `npm test` some: for each a file is read. */
const RUNS = { numRuns: process.env.HTTPFSTREAM_SOAK ? 1000 : 40 };

describe('whatever the entries are', () => {
  const anyEntry = fc.record({
    file: fc.string({ unit: character, maxLength: 20 }),
    parts: fc.array(
      fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 3 },
    ),
    isVoid: fc.boolean(),
  });
  type AnyEntry = typeof anyEntry extends fc.Arbitrary<infer T> ? T : never;

  interface Laid {
    journal: Buffer;
    /** Where each entry begins, and where the last one ends. */
    starts: number[];
  }

  function layOut(entries: readonly AnyEntry[]): Laid {
    const starts = [0];
    const encoded = entries.map(({ file, parts, isVoid }, number) => {
      const bytes = Buffer.concat(encodeEntry({ file, number }, parts));
      if (isVoid) bytes[VOID_MARK.offset] = VOID_MARK.byte;
      starts.push((starts.at(-1) as number) + bytes.length);
      return bytes;
    });
    return { journal: Buffer.concat(encoded), starts };
  }

  /** What is to be found of the first `count` entries. */
  function found(
    entries: readonly AnyEntry[],
    starts: readonly number[],
    count: number,
  ): FoundEntry<Header>[] {
    return entries.slice(0, count).flatMap(({ file, parts, isVoid }, number) => {
      const header = { file, number };
      return isVoid ? [] : [{ position: starts[number] as number, header, payload: Buffer.concat(parts) }];
    });
  }

  async function check(property: (read: (bytes: Buffer) => Promise<FoundEntry<Header>[]>) => Promise<void>) {
    const name = path.join(await diskDirectory(), 'journal');
    await property(async (bytes) => {
      await writeFile(name, bytes);
      const handle = await open(name);
      try {
        const entries: FoundEntry<Header>[] = [];
        for await (const entry of readEntries<Header>(handle.fd, () => {})) entries.push(entry);
        return entries;
      } finally {
        await handle.close();
      }
    });
  }

  test('all that are not void come back, with what they have', () =>
    check((read) =>
      fc.assert(
        fc.asyncProperty(fc.array(anyEntry, { maxLength: 6 }), async (entries) => {
          const { journal, starts } = layOut(entries);
          expect(await read(journal)).toEqual(found(entries, starts, entries.length));
        }),
        RUNS,
      ),
    ));

  test('those before the place come back where the journal is torn, or one bit is another', () =>
    check((read) =>
      fc.assert(
        fc.asyncProperty(
          fc.array(anyEntry, { minLength: 1, maxLength: 6 }),
          fc.nat(),
          async (entries, place) => {
            const { journal, starts } = layOut(entries);
            const bit = place % (8 * journal.length);
            const at = Math.floor(bit / 8);
            const count = starts.findLastIndex((start) => start <= at);
            expect(await read(journal.subarray(0, at))).toEqual(found(entries, starts, count));
            // The one that says whether an entry is void is guarded by nothing.
            fc.pre(bit % 8 !== 7 || at - (starts[count] as number) !== VOID_MARK.offset);
            journal[at] = (journal[at] as number) ^ (1 << (bit % 8));
            expect(await read(journal)).toEqual(found(entries, starts, count));
          },
        ),
        RUNS,
      ),
    ));
});
