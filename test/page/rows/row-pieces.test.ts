import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { widthOf } from '../../../src/page/log/cell-width.ts';
import type { Span } from '../../../src/page/log/line.ts';
import type { Row } from '../../../src/page/log/rows.ts';
import { PLAIN } from '../../../src/page/log/style.ts';
import { cutRow, isLong } from '../../../src/page/rows/row-pieces.ts';

function rowOf(spans: readonly Span[]): Row {
  return { start: 0, end: 1, line: 0, spans };
}

function span(text: string, fg?: number, chip = false): Span {
  return { text, style: { ...PLAIN, fg }, link: undefined, chip };
}

function textOf(spans: readonly Span[]): string {
  return spans.map(({ text }) => text).join('');
}

const text = fc
  .array(fc.constantFrom('a', 'word', ' ', 'é', 'e\u0301', '漢字', '한', '👩‍👩‍👧', '🇩🇪', '👍🏽'), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));
const spans = fc.array(
  fc.oneof(
    fc.tuple(text, fc.nat(7)).map(([shown, colour]) => span(shown, colour)),
    fc.constant(span('\\xff\\xfe', undefined, true)),
  ),
  { maxLength: 8 },
);

describe('the pieces of a row', () => {
  it('are together what the row shows, none is too wide, and each knows what is before it', () => {
    fc.assert(
      fc.property(spans, fc.integer({ min: 2, max: 20 }), (all, columns) => {
        const { pieces, width } = cutRow(rowOf(all), columns);
        const shown = pieces.map((piece) => textOf(piece.spans));
        expect(shown.join('')).toBe(textOf(all));
        for (const [index, { start, column }] of pieces.entries()) {
          const before = shown.slice(0, index).join('');
          const end = pieces[index + 1]?.column ?? width;
          expect([start, column]).toEqual([before.length, widthOf(before)]);
          expect(end - column).toBe(widthOf(shown[index]!));
          expect(end - column).toBeLessThanOrEqual(columns);
          // Nothing that would have had room is in the next one: two columns are the widest character.
          if (index + 1 < pieces.length) expect(end - column).toBeGreaterThanOrEqual(columns - 1);
        }
      }),
    );
  });

  it('look as the row does there', () => {
    const { pieces } = cutRow(rowOf([span('red', 1), span('green', 2), span('\\xff', undefined, true)]), 4);
    expect(pieces.map((piece) => piece.spans)).toEqual([
      [span('red', 1), span('g', 2)],
      [span('reen', 2)],
      [span('\\xff', undefined, true)],
    ]);
  });
});

describe('a row', () => {
  it('is long by what it costs to lay out: its text, or how many looks it has', () => {
    expect(isLong(rowOf([span('x'.repeat(1000), 1), span('y', 2)]))).toBe(false);
    expect(isLong(rowOf([span('x'.repeat(60_000))]))).toBe(true);
    expect(isLong(rowOf(Array.from({ length: 1000 }, (_, index) => span('x', index % 2))))).toBe(true);
  });
});
