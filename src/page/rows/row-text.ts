import { type Row, rowsOf } from '../log/rows.ts';

/** What a row says, as text. */
export function textOfRow({ spans }: Row): string {
  return spans.map(({ text }) => text).join('');
}

/**
 * How many characters of a row's text the bytes are with which it begins: of rows as a terminal shows them.
 *
 * @param at position of the first byte
 */
export function charactersIn(bytes: Uint8Array, at: number): number {
  const row = rowsOf(bytes, at).rows.at(-1);
  return row === undefined ? 0 : textOfRow(row).length;
}

/** What rows say that follow one another: parts of one long line are together again. */
export function textOfRows(rows: readonly Row[]): string {
  let text = '';
  for (const [index, row] of rows.entries()) {
    if (index > 0 && row.line !== rows[index - 1]!.line) text += '\n';
    text += textOfRow(row);
  }
  return text;
}
