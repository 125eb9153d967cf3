import { rowsOf } from '../log/rows.ts';
import { textOfRow } from '../rows/row-text.ts';
import type { CharactersIn } from '../rows/row-window.ts';

/** Says where in a row its bytes are, where rows are as a terminal would show them. */
export const charactersInText: CharactersIn = (bytes, at) => {
  const row = rowsOf(bytes, at).rows.at(-1);
  return row === undefined ? 0 : textOfRow(row).length;
};
