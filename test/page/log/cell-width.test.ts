import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cellsOf, isNarrow, widthOf } from '../../../src/page/log/cell-width.ts';

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

const PARTS = [
  ...[
    'a',
    ' ',
    'é',
    'e\u0301',
    'ё',
    '→',
    '漢',
    'か',
    '한',
    '\u1112\u1161\u11ab',
    '！',
    '🚀',
    '✅',
    '👍🏽',
    '🇩🇪',
    '👩‍👩‍👧',
    '❤️‍🔥',
    '👨‍❤️‍👨',
  ],
  ...['1️⃣', '☺️', 'ก็', 'z\u0301\u0302', '\u200b'],
];

describe('the cells of a text', () => {
  it('are what its reader takes for characters, whatever stands beside them', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PARTS), { maxLength: 20 }), (parts) => {
        const text = parts.join('');
        const cells = cellsOf(text);
        expect(cells.map((cell) => cell.text)).toEqual(
          Array.from(segmenter.segment(text), ({ segment }) => segment),
        );
        expect(cells.reduce((sum, { width }) => sum + width, 0)).toBe(widthOf(text));
        if (isNarrow(text)) expect(widthOf(text)).toBe(text.length);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['a', 1],
    ['ё', 1],
    ['漢', 2],
    ['한', 2],
    ['🚀', 2],
    ['e\u0301', 1],
    ['❤️', 2],
    ['👩‍👩‍👧', 2],
    ['🇩🇪', 2],
    ['👍🏽', 2],
  ])('are as wide as a terminal makes them: %s', (text, width) => {
    expect(widthOf(text)).toBe(width);
    expect(widthOf(`x${text}漢${text}`)).toBe(3 + 2 * width);
  });
});
