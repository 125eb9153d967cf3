import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_RECORD_BYTES, recordsOf } from '../../../../src/page/kinds/records/records.ts';

const kindsOf = (text: string, at = 0) => recordsOf(Buffer.from(text), at).map(({ kind }) => kind);

test('each line is a record, blank, or text', () => {
  expect(kindsOf('{"a":1}\n\r\n[1]\r\nno json\n2\n')).toEqual([
    'record',
    'blank',
    'record',
    'text',
    'record',
  ]);
});

test('a line without its end is partial while it may be the beginning of something else', () => {
  expect(kindsOf('1\n{"a"')).toEqual(['record', 'partial']);
  expect(kindsOf('1\n12')).toEqual(['record', 'partial']);
  expect(kindsOf('1\n{"a":1}')).toEqual(['record', 'record']);
});

test('a line that is nested too deep is named so, and not called no JSON', () => {
  const deep = `{"deep":${'['.repeat(300)}${']'.repeat(300)}}`;
  expect(kindsOf(`${deep}\n1\n${deep}`)).toEqual(['deep', 'record', 'deep']);
});

test('a line that is too long is named so, and its beginning is there', () => {
  // Long, but between two places where long lines are cut.
  const at = 40_000;
  const long = `"${'x'.repeat(MAX_RECORD_BYTES)}"`;
  const [first, second] = recordsOf(Buffer.from(`\n${long}\n1\n`), at).slice(1);
  expect(first).toMatchObject({
    kind: 'long',
    start: at + 1,
    end: at + 2 + long.length,
    line: 1,
    node: undefined,
  });
  expect(first?.text).toBe(long.slice(0, MAX_RECORD_BYTES));
  expect(second).toMatchObject({ kind: 'record', start: first?.end, line: 2 });
  expect(kindsOf(`"${'x'.repeat(MAX_RECORD_BYTES - 2)}"\r\n`, at)).toEqual(['record']);
});

test('a line that is many times too long goes on in pieces of one line', () => {
  const records = recordsOf(Buffer.from(`{"a":"${'x'.repeat(200_000)}"}\n1\n`), 0);
  expect(records.map(({ kind, line }) => [kind, line])).toEqual([
    ['long', 0],
    ['rest', 0],
    ['rest', 0],
    ['rest', 0],
    ['record', 1],
  ]);
});

test('records have all bytes, in order, wherever they are in the resource', () => {
  const long = `"${'é'.repeat(MAX_RECORD_BYTES)}`;
  const pieces = fc.array(fc.constantFrom('1', '\n', '\r\n', '{}', 'é', '"', long), { maxLength: 8 });
  fc.assert(
    fc.property(pieces, fc.nat({ max: 200_000 }), (texts, at) => {
      const bytes = Buffer.from(texts.join(''));
      let position = at;
      let line = 0;
      for (const record of recordsOf(bytes, at)) {
        expect(record).toMatchObject({ start: position, line });
        position = record.end;
        if (bytes[position - at - 1] === 0x0a) line++;
      }
      expect(position).toBe(at + bytes.length);
    }),
    { numRuns: 40 },
  );
});
