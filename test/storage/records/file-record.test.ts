import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FileRecord,
  forksWithin,
  isDamaged,
  parseForks,
  parseRecord,
  parseTombstone,
} from '../../../src/storage/records/file-record.ts';

const size = fc.nat();

const record: fc.Arbitrary<FileRecord> = fc
  .record(
    {
      path: fc.string(),
      append: fc.record(
        {
          session: fc.string(),
          attempt: size,
          start: size,
          state: fc.constantFrom('open', 'finished'),
          end: size,
        },
        { requiredKeys: ['start', 'state'] },
      ),
      stream: fc.record({ version: size, size }),
      isForked: fc.constant(true),
      accessedMs: size,
      dueMs: size,
    },
    { requiredKeys: ['path'] },
  )
  .filter(
    ({ append, stream, isForked }) => (append ?? stream ?? isForked) !== undefined,
  ) as fc.Arbitrary<FileRecord>;

describe('a record', () => {
  test('is what was written', () => {
    fc.assert(
      fc.property(record, (written) => {
        const read = parseRecord(JSON.stringify(written));
        expect(isDamaged(read)).toBe(false);
        expect(read).toEqual(written);
      }),
    );
  });

  test.each([
    '',
    '{',
    'null',
    '1',
    '[]',
    '"x"',
    '{"path":"f"}',
    '{"append":{"start":0,"state":"finished"}}',
    '{"path":"f","append":null}',
    '{"path":"f","append":{}}',
    '{"path":"f","append":{"start":0,"state":"unheard-of"}}',
    '{"path":"f","append":{"start":0,"state":"finished","status":"3"}}',
    '{"path":"f","stream":{"version":1}}',
    '{"path":"f","forks":[{"path":"g"}]}',
    '{"path":"f","isForked":false}',
    '{"path":"f","stream":{"version":1,"size":1},"dueMs":"soon"}',
  ])('that is %j stands for an append that was interrupted', (text) => {
    const read = parseRecord(text);
    expect(isDamaged(read)).toBe(true);
    expect(read.append?.state).toBe('interrupted');
  });

  test('that is cut anywhere is damaged, or none', () => {
    fc.assert(
      fc.property(record, fc.nat(), (written, at) => {
        const text = JSON.stringify(written);
        expect(isDamaged(parseRecord(text.slice(0, at % text.length)))).toBe(true);
      }),
    );
  });
});

describe('a tombstone', () => {
  test('is what was written', () => {
    const written = { path: 'a', fingerprint: '1-1', origin: { path: 'b', fingerprint: '2-2' } };
    expect(parseTombstone(JSON.stringify(written))).toEqual(written);
  });

  test.each([
    '',
    'null',
    '[]',
    '{"path":"a"}',
    '{"path":"a","fingerprint":"1-1","origin":{}}',
    '{"path":"a","fingerprint":"1-1","forks":[1]}',
  ])('that is %j is none', (text) => {
    expect(parseTombstone(text)).toBeUndefined();
  });
});

describe('forks', () => {
  const forks = [{ path: 'b', fingerprint: '2-2' }];

  test('that are in a record or a tombstone, as they were before, are read, and are no part of it', () => {
    const append = { start: 0, state: 'open' } as const;
    const record = JSON.stringify({ path: 'f', append, forks });
    expect(parseRecord(record)).toEqual({ path: 'f', append, isForked: true });
    const tombstone = JSON.stringify({ path: 'a', fingerprint: '1-1', forks });
    expect(parseTombstone(tombstone)).toEqual({ path: 'a', fingerprint: '1-1' });
    for (const text of [record, tombstone]) expect(forksWithin(text)).toEqual(forks);
  });

  test('are what was written, and none when they are damaged', () => {
    expect(parseForks(JSON.stringify(forks))).toEqual(forks);
    for (const text of ['', '{', '{}', '[1]', '[{"path":"b"}]']) expect(parseForks(text)).toEqual([]);
  });
});
