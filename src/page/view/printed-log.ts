import { formatBytes } from '../frame/format.ts';
import type { FoldedRows } from '../rows/folded-rows.ts';
import { annotate, type RowNotes, rowElement } from '../rows/row-element.ts';
import { textOfRow } from '../rows/row-text.ts';
import type { PlacedRow } from '../rows/row-window.ts';
import type { LogView } from './log-view.ts';

/** So many rows are printed at most, … */
const MAX_ROWS = 2000;

/** … and rows of so many characters: some forty pages of either. */
const MAX_CHARACTERS = 200_000;

/** Rows that take long are looked for so often at most: who prints waits for it. */
const MAX_LOOKS = 20;

/** What is printed in the place of the view: the rows that the page has, from what is in view on. */
export class PrintedLog {
  readonly element = document.createElement('div');
  readonly #view: LogView;
  readonly #rows: FoldedRows;
  readonly #notesOf: (row: PlacedRow) => RowNotes;

  /** `notesOf` says what stands beside a row. */
  constructor(view: LogView, rows: FoldedRows, notesOf: (row: PlacedRow) => RowNotes) {
    this.#view = view;
    this.#rows = rows;
    this.#notesOf = notesOf;
    this.element.className = 'printed';
    addEventListener('beforeprint', () => this.#fill());
    addEventListener('afterprint', () => this.element.replaceChildren());
  }

  #fill(): void {
    const rows = this.#rowsToPrint();
    const { size } = this.#view;
    const bytes = (rows.at(-1)?.end ?? size) - (rows[0]?.start ?? 0);
    const note = document.createElement('p');
    note.hidden = bytes === size;
    note.textContent = `Printed: ${formatBytes(bytes)} of ${formatBytes(size)}.`;
    const elements = rows.map((row) => {
      const element = rowElement(row.spans);
      annotate(element, this.#notesOf(row));
      return element;
    });
    this.element.replaceChildren(note, ...elements);
  }

  /** From the first row in view on; as many before it as there is room for when the file ends soon. */
  #rowsToPrint(): PlacedRow[] {
    const top = this.#view.list.rows[0]?.start ?? 0;
    let run = this.#rows.around(top, MAX_ROWS, MAX_ROWS);
    for (let looks = 1; !('missing' in run) && run.lacks === 'time' && looks < MAX_LOOKS; looks++) {
      run = this.#rows.around(top, MAX_ROWS, MAX_ROWS);
    }
    if ('missing' in run) return [];
    const { rows, at } = run;
    const printed: PlacedRow[] = [];
    let characters = 0;
    const takes = (row: PlacedRow | undefined): row is PlacedRow => {
      if (row === undefined || printed.length === MAX_ROWS) return false;
      characters += textOfRow(row).length;
      return characters <= MAX_CHARACTERS;
    };
    for (let index = at; takes(rows[index]); index++) printed.push(rows[index]!);
    for (let index = at - 1; takes(rows[index]); index--) printed.unshift(rows[index]!);
    return printed;
  }
}
