import { expect, test } from 'vitest';
import { columnTitles, RecordRows } from '../../../../src/page/kinds/records/record-rows.ts';

const textOf = (rows: RecordRows, text: string) =>
  rows.rowsOf(Buffer.from(text), 0).rows.map(({ spans }) => spans.map((span) => span.text).join(''));

test('objects that are alike are a table, in which numbers end where the others do', () => {
  const rows = new RecordRows();
  const text = '{"level":"info","ms":7,"msg":"started"}\n{"msg":"漢字","level":"error","ms":12345,"x":[1]}\n';
  expect(textOf(rows, text)).toEqual(['info       7  started        ', 'error  12345  漢字     [1]   ']);
  expect(columnTitles(rows.columns)).toBe('level     ms  msg      x   ');
});

test('what has no column is behind the last one', () => {
  const rows = new RecordRows();
  const wide = (rest: string) => `{${Array.from({ length: 12 }, (_, i) => `"k${i}":${i}`).join()}${rest}}\n`;
  expect(textOf(rows, wide('') + wide(',"rare":"r"')).at(-1)).toMatch(/ 11 {2}\{rare: "r"\}$/);
});

test('columns stay while they fit what is shown, and are chosen anew when they do not', () => {
  const rows = new RecordRows();
  textOf(rows, '{"a":1}\n');
  textOf(rows, '{"a":1,"b":2}\n{"b":2}\n');
  expect(rows.columns.map(({ key }) => key)).toEqual(['a']);
  textOf(rows, '{"b":2}\n{"b":2}\n{"a":1}\n');
  expect(rows.columns.map(({ key }) => key)).toEqual(['b', 'a']);
});

test('without a table each value is on its line', () => {
  const rows = new RecordRows();
  rows.isTable = false;
  expect(textOf(rows, '{"a":1}\n[1,2]\n"s"\n')).toEqual(['{a: 1}', '[1, 2]', '"s"']);
});

test('what is no record says what it is', () => {
  const rows = new RecordRows();
  const deep = '['.repeat(300) + ']'.repeat(300);
  const text = `oops \u202e\n\n${deep}\n"${'x'.repeat(70_000)}"\n{"a":`;
  const lines = textOf(rows, text).map((line) => line.slice(0, 24));
  expect(lines).toEqual([
    'no JSON oops \\u202e',
    '',
    'nested too deeply [[[[[[',
    'long record "xxxxxxxxxxx',
    'goes on xxxxxxxxxxxxxxxx',
    'not whole yet {"a":',
  ]);
});

test('a value that is too wide for its column is cut to it, wide characters and all', () => {
  const rows = new RecordRows();
  const [row, next] = textOf(rows, `{"a":"${'漢'.repeat(40)}","b":1}\n{"a":"${'x'.repeat(41)}","b":1}\n`);
  expect(row).toBe(`${'漢'.repeat(19)}…      1  `);
  expect(next).toBe(`${'x'.repeat(39)}…     1  `);
});
