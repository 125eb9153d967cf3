import { visible } from '../../frame/visible.ts';
import { cellsOf, widthOf } from '../../log/cell-width.ts';
import type { Span } from '../../log/line.ts';
import { INITIAL_STATE } from '../../log/pen.ts';
import type { Row, Screen } from '../../log/rows.ts';
import { PLAIN, type Style } from '../../log/style.ts';
import type { JsonNode } from './json-node.ts';
import { cellText, preview } from './json-text.ts';
import { type RecordLine, recordsOf } from './records.ts';
import { cellOf, type TableColumn, tableColumns } from './table-columns.ts';

/** Of a value so many characters are laid out: more than a window is wide, less than costs time. */
const MAX_LENGTH = 500;

/** Of a line that is no record so many characters. */
const MAX_TEXT_LENGTH = 2000;

/** Cells between two columns. */
const GAP = 2;

/** Columns are chosen anew when fewer than one of so many records have any of them. */
const MIN_SHARE = 2;

const MUTED: Style = { ...PLAIN, dim: true };

/** Colours of a palette of 16: they are the theme's. */
const STYLES: Record<JsonNode['kind'], Style> = {
  object: PLAIN,
  array: PLAIN,
  string: PLAIN,
  number: { ...PLAIN, fg: 4 },
  boolean: { ...PLAIN, fg: 5 },
  null: MUTED,
};

const NOTES: Partial<Record<RecordLine['kind'], string>> = {
  long: 'long record',
  rest: 'goes on',
  partial: 'not whole yet',
  deep: 'nested too deeply',
  text: 'no JSON',
};

/** Lays out lines of JSON as rows: in columns where they are objects that are alike, else each on a line. */
export class RecordRows {
  #isTable = true;
  #columns: readonly TableColumn[] = [];

  /** Whether members are laid out in columns, where they can be. */
  get isTable(): boolean {
    return this.#isTable;
  }

  set isTable(isTable: boolean) {
    this.#isTable = isTable;
    this.#columns = [];
  }

  /** The columns of what was laid out last; none while it is no table. */
  get columns(): readonly TableColumn[] {
    return this.#columns;
  }

  /**
   * The rows of these bytes: one for each line.
   *
   * @param at position of the first byte, at which a line begins, or a piece of a long one
   */
  rowsOf(bytes: Uint8Array, at: number): Screen {
    const records = recordsOf(bytes, at);
    if (this.#isTable) this.#chooseColumns(records);
    return { rows: records.map((record) => this.#rowOf(record)), end: INITIAL_STATE, fullScreen: false };
  }

  /** They stay as they are while they fit what is shown: a table whose columns move is not read. */
  #chooseColumns(records: readonly RecordLine[]): void {
    const nodes = records.map(({ node }) => node).filter((node) => node !== undefined);
    const fitting = nodes.filter((node) => this.#columns.some(({ key }) => cellOf(node, key) !== undefined));
    if (nodes.length === 0 || (this.#columns.length > 0 && fitting.length * MIN_SHARE >= nodes.length))
      return;
    this.#columns = tableColumns(nodes, widthOf);
  }

  #rowOf(record: RecordLine): Row {
    const { start, end, line, node } = record;
    const spans = node === undefined ? textSpans(record) : this.#valueSpans(node);
    return { start, end, line, spans };
  }

  #valueSpans(node: JsonNode): Span[] {
    if (node.kind !== 'object' || this.#columns.length === 0) {
      return [span(preview(node, MAX_LENGTH), STYLES[node.kind])];
    }
    const spans = this.#columns.map(({ key, width, isNumeric }) => {
      const cell = cellOf(node, key);
      const text = cell === undefined ? '' : fitted(cellText(cell, width), width);
      const blanks = ' '.repeat(Math.max(0, width - widthOf(text)));
      const gap = ' '.repeat(GAP);
      return span(
        isNumeric ? `${blanks}${text}${gap}` : `${text}${blanks}${gap}`,
        STYLES[cell?.kind ?? 'null'],
      );
    });
    const shown = new Set(this.#columns.map(({ key }) => key));
    const others = node.members.filter(({ key }) => !shown.has(key));
    if (others.length > 0) spans.push(span(preview({ kind: 'object', members: others }, MAX_LENGTH), MUTED));
    return spans;
  }
}

/** The names of columns, as wide as what is below them. */
export function columnTitles(columns: readonly TableColumn[]): string {
  return columns
    .map(({ key, width, isNumeric }) => {
      const title = fitted(visible(key), width);
      const blanks = ' '.repeat(Math.max(0, width - widthOf(title)));
      return isNumeric ? `${blanks}${title}` : `${title}${blanks}`;
    })
    .join(' '.repeat(GAP));
}

function textSpans({ kind, text }: RecordLine): Span[] {
  const note = NOTES[kind];
  const shown = text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text;
  const content = span(visible(shown), MUTED);
  return note === undefined ? [content] : [chip(note), span(' ', PLAIN), content];
}

function span(text: string, style: Style): Span {
  return { text, style, link: undefined, chip: false };
}

function chip(text: string): Span {
  return { text, style: PLAIN, link: undefined, chip: true };
}

/** As much of a text as so many cells have room for, with an ellipsis if that is not all. */
function fitted(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let [fitting, taken] = ['', 0];
  for (const cell of cellsOf(text)) {
    taken += cell.width;
    if (taken > width - 1) break;
    fitting += cell.text;
  }
  return `${fitting}…`;
}
