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

/** So often it is looked for more rows at most, on either side: who prints waits for it. */
const MAX_LOOKS = 100;

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
    const note = document.createElement('p');
    note.textContent = this.#noteOn(rows);
    note.hidden = note.textContent === '';
    const elements = rows.map((row) => {
      const element = rowElement(row.spans);
      annotate(element, this.#notesOf(row));
      return element;
    });
    this.element.replaceChildren(note, ...elements);
  }

  /** How much of the file is printed, unless it is all. */
  #noteOn(rows: readonly PlacedRow[]): string {
    const { size } = this.#view;
    const [first] = rows;
    if (first === undefined)
      return size === 0 ? '' : 'Nothing is printed: what is in view is still being read.';
    const bytes = rows.at(-1)!.end - first.start;
    return bytes === size ? '' : `Printed: ${formatBytes(bytes)} of ${formatBytes(size)}.`;
  }

  /**
   * From the first row in view on, then as many before it as there is room for: both as far as the page has their bytes,
   * since nothing can be loaded while a browser prints.
   */
  #rowsToPrint(): PlacedRow[] {
    const top = this.#view.list.rows[0]?.start ?? 0;
    let [count, characters] = [0, 0];
    const hasRoom = (row: PlacedRow) => {
      count++;
      characters += textOfRow(row).length;
      return count <= MAX_ROWS && characters <= MAX_CHARACTERS;
    };
    const below = takeWhile(this.#rowsFrom(top), hasRoom);
    const above = takeWhile(this.#rowsBefore(top), hasRoom);
    return [...above.reverse(), ...below];
  }

  /** The rows that begin at a position or behind, in order. One is asked for at a time: as many as are made with it come. */
  *#rowsFrom(position: number): Generator<PlacedRow, void, undefined> {
    let next = position;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const run = this.#rows.around(next, 0, 1);
      const rows = 'missing' in run ? [] : run.rows.filter(({ start }) => start >= next);
      yield* rows;
      if ('missing' in run || run.isEnd || (rows.length === 0 && run.lacks !== 'time')) return;
      next = rows.at(-1)?.end ?? next;
    }
  }

  /** The rows that end at a position or before, the last one first. */
  *#rowsBefore(position: number): Generator<PlacedRow, void, undefined> {
    let next = position;
    for (let looks = 0; looks < MAX_LOOKS && next > 0; looks++) {
      const run = this.#rows.around(next - 1, 0, 1);
      const rows = 'missing' in run ? [] : run.rows.filter(({ end }) => end <= next);
      yield* rows.toReversed();
      if (rows.length === 0) return;
      next = rows[0]!.start;
    }
  }
}

function takeWhile<T>(items: Iterable<T>, isWanted: (item: T) => boolean): T[] {
  const taken: T[] = [];
  for (const item of items) {
    if (!isWanted(item)) break;
    taken.push(item);
  }
  return taken;
}
