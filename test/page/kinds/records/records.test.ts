import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_RECORD_BYTES, recordsOf } from '../../../../src/page/kinds/records/records.ts';

const kindsOf = (text: string, isEnd = false) =>
  recordsOf(Buffer.from(text), 0, isEnd).map(({ kind }) => kind);

test('each line is a record, blank, or text', () => {
  expect(kindsOf('{"a":1}\n\r\n[1]\r\nno json\n2\n')).toEqual([
    'record',
    'blank',
    'record',
    'text',
    'record',
  ]);
});

test('a line without its end is partial while more may come, and what it is at the end', () => {
  expect(kindsOf('1\n{"a"')).toEqual(['record', 'partial']);
  expect(kindsOf('1\n12')).toEqual(['record', 'partial']);
  expect(kindsOf('1\n12', true)).toEqual(['record', 'record']);
});

test('a line that is too long is named so, and its beginning is there', () => {
  const long = `"${'é'.repeat(MAX_RECORD_BYTES)}"`;
  const [first, second] = recordsOf(Buffer.from(`${long}\n1\n`), 10, false);
  expect(first).toMatchObject({
    kind: 'long',
    start: 10,
    end: 11 + Buffer.byteLength(long),
    node: undefined,
  });
  expect(Buffer.byteLength(first!.text)).toBeLessThanOrEqual(MAX_RECORD_BYTES + 3);
  expect(second).toMatchObject({ kind: 'record', start: first!.end });
  const exact = `"${'x'.repeat(MAX_RECORD_BYTES - 2)}"`;
  expect(kindsOf(`${exact}\r\n`)).toEqual(['record']);
});

test('records have all bytes, in order, wherever they are in the resource', () => {
  const anyBytes = fc.array(fc.constantFrom('1', '\n', '\r\n', '{}', 'é', '"'), { maxLength: 12 });
  fc.assert(
    fc.property(anyBytes, fc.nat(), (pieces, at) => {
      const bytes = Buffer.from(pieces.join(''));
      const records = recordsOf(bytes, at, false);
      let position = at;
      for (const { start, end } of records) {
        expect(start).toBe(position);
        position = end;
      }
      expect(position).toBe(at + bytes.length);
    }),
  );
});
