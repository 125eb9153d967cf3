import type { Row } from '../log/rows.ts';

/** What a row says, as text. */
export function textOfRow({ spans }: Row): string {
  return spans.map(({ text }) => text).join('');
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
