import { expect, test } from 'vitest';
import { type JsonNode, parseJson } from '../../../../src/page/kinds/records/json-node.ts';
import { TreeState, treeRows } from '../../../../src/page/kinds/records/json-tree.ts';

const TREE = parseJson('{"a":{"b":[1,2]},"c":"d","e":{}}').node!;

/** The lines of a tree as text. */
function linesOf(node: JsonNode, state: TreeState): string[] {
  return treeRows(node, state).map((row) => {
    const indent = ' '.repeat(row.depth);
    if (row.kind === 'more') return `${indent}${row.count} more of ${row.id}`;
    const sign = row.isOpen === undefined ? '' : row.isOpen ? '-' : '+';
    return `${indent}${sign}${row.key ?? ''}#${row.id}`;
  });
}

test('at first the outermost value is open, and what it holds is closed', () => {
  expect(linesOf(TREE, new TreeState())).toEqual(['-#', ' +a#0', ' c#1', ' e#2']);
});

test('what is opened shows what it holds, and is as it was when it is opened again', () => {
  const state = new TreeState();
  state.toggle('0');
  state.toggle('0.0');
  expect(linesOf(TREE, state)).toEqual([
    '-#',
    ' -a#0',
    '  -b#0.0',
    '   0#0.0.0',
    '   1#0.0.1',
    ' c#1',
    ' e#2',
  ]);
  state.toggle('0');
  expect(linesOf(TREE, state)).toEqual(['-#', ' +a#0', ' c#1', ' e#2']);
  state.toggle('0');
  expect(linesOf(TREE, state)).toContain('  -b#0.0');
});

test('of many children the first are shown, and more when asked for', () => {
  const many = parseJson(`[${Array.from({ length: 250 }, (_, index) => index).join()}]`).node!;
  const state = new TreeState();
  expect(linesOf(many, state)).toHaveLength(102);
  expect(linesOf(many, state).at(-1)).toBe(' 150 more of ');
  state.showMore('');
  state.showMore('');
  expect(linesOf(many, state)).toHaveLength(251);
});
