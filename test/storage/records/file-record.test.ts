import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FileRecord,
  isDamaged,
  parseRecord,
  parseTombstone,
} from '../../../src/storage/records/file-record.ts';

const link = fc.record({ path: fc.string(), fingerprint: fc.string() });
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
      forks: fc.array(link),
      accessedMs: size,
      dueMs: size,
    },
    { requiredKeys: ['path'] },
  )
  .filter(
    ({ append, stream, forks }) => (append ?? stream ?? forks) !== undefined,
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
    const written = { path: 'a', fingerprint: '1-1', forks: [{ path: 'b', fingerprint: '2-2' }] };
    expect(parseTombstone(JSON.stringify(written))).toEqual(written);
  });

  test.each([
    '',
    'null',
    '[]',
    '{"path":"a"}',
    '{"path":"a","fingerprint":"1-1"}',
    '{"path":"a","fingerprint":"1-1","forks":[1]}',
  ])('that is %j is none', (text) => {
    expect(parseTombstone(text)).toBeUndefined();
  });
});
