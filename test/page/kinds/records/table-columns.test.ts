import { expect, test } from 'vitest';
import { parseJson } from '../../../../src/page/kinds/records/json-node.ts';
import { cellOf, tableColumns } from '../../../../src/page/kinds/records/table-columns.ts';

const columnsOf = (...lines: string[]) =>
  tableColumns(
    lines.map((line) => parseJson(line).node!),
    (text) => text.length,
  );

test('columns are the members that most records have, in the order in which they come', () => {
  const columns = columnsOf('{"time":"12:00:00","n":1}', '{"n":22222,"time":"12:00:01","rare":{"a":1}}');
  expect(columns).toEqual([
    { key: 'time', width: 8, isNumeric: false },
    { key: 'n', width: 5, isNumeric: true },
    { key: 'rare', width: 6, isNumeric: false },
  ]);
});

test('values that are mostly no objects have no columns', () => {
  expect(columnsOf('1', '{"a":1}')).toEqual([]);
  expect(columnsOf('1', '{"a":1}', '{"a":2}')).toHaveLength(1);
  expect(columnsOf()).toEqual([]);
});

test('there are as many columns as a window has room for, and no wider ones', () => {
  const wide = `{${Array.from({ length: 50 }, (_, index) => `"k${index}":"${'x'.repeat(500)}"`).join()}}`;
  const columns = columnsOf(wide, '{"k49":1}');
  expect(columns).toHaveLength(12);
  expect(columns.map(({ key }) => key)).toContain('k49');
  expect(Math.max(...columns.map(({ width }) => width))).toBeLessThanOrEqual(40);
});

test('a member that comes twice counts as programs read it, and names of prototypes are names', () => {
  const record = parseJson('{"a":1,"a":2,"__proto__":3}').node;
  expect(cellOf(record, 'a')).toEqual({ kind: 'number', text: '2' });
  expect(cellOf(record, '__proto__')).toEqual({ kind: 'number', text: '3' });
  expect(cellOf(record, 'constructor')).toBeUndefined();
  expect(cellOf(parseJson('null').node, 'a')).toBeUndefined();
  expect(columnsOf('{"__proto__":1,"constructor":2}').map(({ key }) => key)).toEqual([
    '__proto__',
    'constructor',
  ]);
});
