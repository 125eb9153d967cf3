import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from '../../../../src/page/kinds/records/json-node.ts';
import { cellText, preview } from '../../../../src/page/kinds/records/json-text.ts';

test('a value is written on one line', () => {
  const node = parseJson('{"level":"warn","a b":[1,null,true],"o":{},"t":"two\\nlines"}').node!;
  expect(preview(node, 200)).toBe('{level: "warn", "a b": [1, null, true], o: {}, t: "two\\nlines"}');
});

test('a long value is cut, and says so', () => {
  expect(preview(parseJson('[1,2,3,4,5]').node!, 6)).toBe('[1, 2,…');
  expect(preview(parseJson(`{"${'k'.repeat(50)}":1}`).node!, 6)).toBe('{kkkkk…');
});

test('a preview of any value has one line, and no more than it may', () => {
  fc.assert(
    fc.property(
      fc.json({ stringUnit: fc.constantFrom('a', '"', '\n', '\u202e', '\u2028'), maxDepth: 2 }),
      fc.integer({ min: 1, max: 60 }),
      (text, length) => {
        const written = preview(parseJson(text).node!, length);
        expect(written.length).toBeLessThanOrEqual(length + 1);
        expect(written).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      },
    ),
    { numRuns: 30 },
  );
});

test('a cell has a string without its quotes', () => {
  expect(cellText({ kind: 'string', value: 'a"b\u202e' }, 40)).toBe('a"b\\u202e');
  expect(cellText({ kind: 'number', text: '1.10' }, 40)).toBe('1.10');
});
