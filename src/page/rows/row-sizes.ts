import { widthOf } from '../log/cell-width.ts';
import type { Row } from '../log/rows.ts';
import { PLAIN } from '../log/style.ts';
import { rowElement, textPart } from './row-element.ts';
import { type CutRow, cutRow, isLong } from './row-pieces.ts';
import { textOfRow } from './row-text.ts';

/** Height of a row that is not wrapped, in pixels, as the style sheet has it. */
export const ROW_PX = 20;

/** What is between the text of a row and the right edge, in columns, as the style sheet has it. */
export const PADDING_COLUMNS = 2;

/** So wide is a piece of a long row that is not wrapped. */
export const PIECE_COLUMNS = 64;

/** Where a long row is wrapped at the least, in columns: on a narrow screen the rest of it is to the right. */
const MIN_COLUMNS = 16;

/** So many digits are measured. */
const DIGITS = 100;

/** What is measured of the font, and where the text of a row begins. */
interface Measured {
  readonly columnPx: number;
  readonly textPx: number;
  /** How many columns of text fit the window. */
  readonly columns: number;
}

/**
 * How large rows are. Those that are wrapped are measured one by one, out of sight; of long rows, which are cut into
 * pieces, it is known: a piece is a line.
 */
export class RowSizes {
  /** Out of sight, where rows are laid out to be measured. */
  readonly ruler = document.createElement('div');
  #wraps = false;
  #heights = new WeakMap<Row, number>();
  #cuts = new WeakMap<Row, CutRow>();
  #measured: Measured | undefined;

  constructor() {
    this.ruler.className = 'ruler';
    this.ruler.ariaHidden = 'true';
  }

  get wraps(): boolean {
    return this.#wraps;
  }

  set wraps(wraps: boolean) {
    this.#wraps = wraps;
    this.forget();
  }

  /** How wide a column is, in pixels. */
  get columnPx(): number {
    return this.#measure().columnPx;
  }

  /** Measures anew: there is more or less room for text. */
  forget(): void {
    this.#heights = new WeakMap();
    this.#cuts = new WeakMap();
    this.#measured = undefined;
  }

  /**
   * Height of a row in pixels.
   *
   * @param element of the row, if it is in the document
   */
  heightOf(row: Row, element: HTMLElement | undefined): number {
    if (!this.#wraps) return ROW_PX;
    if (isLong(row)) return this.cutOf(row).pieces.length * ROW_PX;
    const known = this.#heights.get(row);
    if (known !== undefined) return known;
    const heightPx = element === undefined ? this.#heightOfNew(row) : element.offsetHeight;
    this.#heights.set(row, heightPx);
    return heightPx;
  }

  /** Where in a row so many characters of its text end, in pixels. Of a row that is wrapped only the line, if it is a long one. */
  placeIn(row: Row, characters: number): { topPx: number; leftPx: number } {
    if (this.#wraps) {
      const line = isLong(row) ? this.cutOf(row).pieces.findLastIndex(({ start }) => start <= characters) : 0;
      return { topPx: line * ROW_PX, leftPx: 0 };
    }
    const { columnPx, textPx } = this.#measure();
    return { topPx: 0, leftPx: textPx + widthOf(textOfRow(row).slice(0, characters)) * columnPx };
  }

  /** The pieces of a long row: its lines, when it is wrapped. */
  cutOf(row: Row): CutRow {
    const known = this.#cuts.get(row);
    if (known !== undefined) return known;
    const cut = cutRow(row, this.#wraps ? this.#measure().columns : PIECE_COLUMNS);
    this.#cuts.set(row, cut);
    return cut;
  }

  /** Takes one row's size for that of another one, which looks the same. */
  take(row: Row, same: Row): void {
    const cut = this.#cuts.get(same);
    if (cut !== undefined) this.#cuts.set(row, cut);
  }

  #heightOfNew({ spans }: Row): number {
    const element = rowElement(spans);
    this.ruler.replaceChildren(element);
    const heightPx = element.offsetHeight;
    this.ruler.replaceChildren();
    return heightPx;
  }

  #measure(): Measured {
    if (this.#measured !== undefined) return this.#measured;
    const element = rowElement([{ text: '0'.repeat(DIGITS), style: PLAIN, link: undefined, chip: false }]);
    this.ruler.replaceChildren(element);
    const text = textPart(element);
    const digits = new Range();
    digits.selectNodeContents(text);
    const columnPx = digits.getBoundingClientRect().width / DIGITS;
    const textPx = text.offsetLeft;
    const columns = Math.floor((this.ruler.clientWidth - textPx) / columnPx) - PADDING_COLUMNS;
    this.ruler.replaceChildren();
    this.#measured = { columnPx, textPx, columns: Math.max(columns, MIN_COLUMNS) };
    return this.#measured;
  }
}
