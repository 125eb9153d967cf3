import { describe, expect, it } from 'vitest';
import { rowsOf } from '../../../src/page/log/rows.ts';

/** What each row shows; chips stand in angle brackets. */
function shown(content: string | Uint8Array): string[] {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return rowsOf(bytes, 0).rows.map(({ spans }) =>
    spans.map(({ text, chip }) => (chip ? `<${text}>` : text)).join(''),
  );
}

describe('the rows of a log', () => {
  it('stand for all bytes, one after the other, and know how many line feeds are before them', () => {
    const { rows } = rowsOf(new TextEncoder().encode('one\r\ntwo\n\nfour'), 1000);
    expect(rows.map(({ start, end, line }) => [start, end, line])).toEqual([
      [1000, 1005, 0],
      [1005, 1009, 1],
      [1009, 1010, 2],
      [1010, 1014, 3],
    ]);
  });

  it('show progress that is drawn over as it is at the end', () => {
    expect(shown('10 %\r20 %\r100 %\r\ndone\n')).toEqual(['100 %', 'done']);
    expect(shown('a\nb\n\x1b[2Aupper\x1b[K\nlower\n')).toEqual(['upper', 'lower']);
  });

  it('make visible what is not text, and what would reorder it', () => {
    expect(shown(Uint8Array.of(0x61, 0xff, 0xc3, 0x62))).toEqual(['a<\\xff\\xc3>b']);
    expect(shown('a\u202eb\u2066c\u200fd\x01')).toEqual(['a<U+202E>b<U+2066>c<U+200F>d<\\x01>']);
    expect(shown('x\0\0\0y')).toEqual(['x<\\0 × 3>y']);
  });
});
