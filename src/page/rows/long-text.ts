import { spanNodes } from './row-element.ts';
import type { CutRow, RowPiece } from './row-pieces.ts';
import { PADDING_COLUMNS, ROW_PX } from './row-sizes.ts';

/** The text of a long row in the document: those pieces of it that are in view, each at its place. */
export class LongText {
  readonly cut: CutRow;
  readonly #element: HTMLElement;
  readonly #wraps: boolean;
  readonly #shown = new Map<number, HTMLElement>();

  /**
   * @param element of the text; it becomes as large as all pieces are together
   * @param wraps whether they lie one below the other, and not side by side
   */
  constructor(element: HTMLElement, cut: CutRow, wraps: boolean) {
    this.#element = element;
    this.cut = cut;
    this.#wraps = wraps;
    element.classList.add('long');
    if (wraps) element.style.height = `${cut.pieces.length * ROW_PX}px`;
    else element.style.minWidth = `${cut.width + PADDING_COLUMNS}ch`;
  }

  /**
   * Shows the pieces of which any part is between two places of the row: lines if it is wrapped, else columns. What is shown
   * stays as it is, and what is kept is not removed.
   */
  show(from: number, to: number, kept: ReadonlySet<Element>): void {
    const { pieces, width } = this.cut;
    const isInView = (index: number) => {
      const [start, end] = this.#wraps
        ? [index, index + 1]
        : [pieces[index]!.column, pieces[index + 1]?.column ?? width];
      return start < to && end > from;
    };
    for (const [index, element] of this.#shown) {
      if (isInView(index) || kept.has(element)) continue;
      element.remove();
      this.#shown.delete(index);
    }
    let next = this.#element.firstElementChild;
    for (const [index, piece] of pieces.entries()) {
      const shown = this.#shown.get(index);
      if (shown !== undefined) next = shown.nextElementSibling;
      else if (isInView(index)) this.#element.insertBefore(this.#make(index, piece), next);
    }
  }

  #make(index: number, { spans, start, column }: RowPiece): HTMLElement {
    const element = document.createElement('span');
    element.className = 'piece';
    element.dataset.start = String(start);
    if (this.#wraps) element.style.top = `${index * ROW_PX}px`;
    else element.style.left = `${column}ch`;
    element.append(...spanNodes(spans));
    this.#shown.set(index, element);
    return element;
  }
}
