import { cellsOf, isNarrow } from '../log/cell-width.ts';
import type { Span } from '../log/line.ts';
import type { Row } from '../log/rows.ts';

/** A row of more UTF-16 units, … */
const MAX_WHOLE_LENGTH = 2048;

/** … or of more spans, is not laid out as a whole. */
const MAX_WHOLE_SPANS = 256;

/** A part of a row, as wide as was asked for, unless it is the last one. */
export interface RowPiece {
  readonly spans: readonly Span[];
  /** How many UTF-16 units of the row's text are before it. */
  readonly start: number;
  /** How many columns of the row are before it. */
  readonly column: number;
}

/** A row in pieces: one at least. */
export interface CutRow {
  readonly pieces: readonly RowPiece[];
  /** In columns. */
  readonly width: number;
}

/** Tells whether a row costs so much to lay out that only what is in view of it should be. */
export function isLong({ spans }: Row): boolean {
  if (spans.length > MAX_WHOLE_SPANS) return true;
  return spans.reduce((length, { text }) => length + text.length, 0) > MAX_WHOLE_LENGTH;
}

/**
 * Cuts a row into pieces of so many columns. A character for which there is no room any more begins the next one, which then
 * is where that character is.
 */
export function cutRow({ spans }: Row, columns: number): CutRow {
  const cutter = new Cutter(columns);
  for (const span of spans) {
    // What stands in a chip is ASCII, or nearly, and is shown as it is, however few columns a terminal has for it.
    if (span.chip || isNarrow(span.text)) cutter.addNarrow(span);
    else cutter.addCells(span);
  }
  return cutter;
}

class Cutter implements CutRow {
  readonly pieces: { spans: Span[]; start: number; column: number }[] = [{ spans: [], start: 0, column: 0 }];
  width = 0;
  readonly #columns: number;
  #length = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  addNarrow(span: Span): void {
    const { text } = span;
    for (let from = 0; from < text.length; ) {
      if (this.#room === 0) this.#begin();
      const length = Math.min(this.#room, text.length - from);
      this.#add(span, from, from + length, length);
      from += length;
    }
  }

  addCells(span: Span): void {
    let from = 0;
    let to = 0;
    let columns = 0;
    for (const { text, width } of cellsOf(span.text)) {
      if (columns + width > this.#room) {
        this.#add(span, from, to, columns);
        this.#begin();
        from = to;
        columns = 0;
      }
      columns += width;
      to += text.length;
    }
    this.#add(span, from, to, columns);
  }

  get #room(): number {
    return this.pieces.at(-1)!.column + this.#columns - this.width;
  }

  #begin(): void {
    this.pieces.push({ spans: [], start: this.#length, column: this.width });
  }

  #add(span: Span, from: number, to: number, columns: number): void {
    if (from === to) return;
    const isWhole = to - from === span.text.length;
    this.pieces.at(-1)!.spans.push(isWhole ? span : { ...span, text: span.text.slice(from, to) });
    this.#length += to - from;
    this.width += columns;
  }
}
