import { sameSpans } from '../log/line.ts';
import type { Row } from '../log/rows.ts';
import { LongText } from './long-text.ts';
import { annotate, type RowNotes, rowElement, textPart } from './row-element.ts';
import { isLong } from './row-pieces.ts';
import { PIECE_COLUMNS, ROW_PX, RowSizes } from './row-sizes.ts';
import type { PlacedRow } from './row-window.ts';

/** What is in view of the list: its size, and how far it is scrolled to the right, in pixels. */
export interface Viewport {
  readonly leftPx: number;
  readonly widthPx: number;
  readonly heightPx: number;
}

interface ShownRow {
  readonly row: Row;
  readonly element: HTMLElement;
  /** Its text, if it is a long row. */
  readonly long: LongText | undefined;
}

/** The rows that are in the document: each keeps its element for as long as it is shown, and a selection in it. */
export class RowList {
  readonly element = document.createElement('div');
  readonly rowPx = ROW_PX;
  readonly #notesOf: (row: PlacedRow) => RowNotes;
  readonly #sizes = new RowSizes();
  /** By their position. */
  #shown = new Map<number, ShownRow>();
  /** What each element shows that may be in the document. */
  readonly #shownIn = new WeakMap<Element, ShownRow>();
  #keptRows: readonly HTMLElement[] = [];
  #keptPieces: ReadonlySet<Element> = new Set();
  #rows: readonly Row[] = [];
  #topPx = 0;
  #widthPx = 0;
  #digits = 3;

  /** `notesOf` is asked, each time that a row is painted, for what stands beside it. */
  constructor(notesOf: (row: PlacedRow) => RowNotes) {
    this.#notesOf = notesOf;
    this.element.className = 'rows';
    this.element.append(this.#sizes.ruler);
  }

  /** What is shown, from the first row that is at least in part in view. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** Where the first row is, in pixels below the upper edge of the view. */
  get topPx(): number {
    return this.#topPx;
  }

  /** Whether long lines go on in the next row of pixels. */
  get wraps(): boolean {
    return this.#sizes.wraps;
  }

  set wraps(wraps: boolean) {
    this.#sizes.wraps = wraps;
    this.element.classList.toggle('wraps', wraps);
    this.element.style.minWidth = '';
    this.#widthPx = 0;
  }

  /** How many digits the numbers of lines have. There is never less room again: what is read does not jump. */
  set digits(digits: number) {
    if (digits <= this.#digits) return;
    this.#digits = digits;
    document.documentElement.style.setProperty('--digits', String(digits));
    this.#sizes.forget();
  }

  /** Shows when lines came, or no longer. */
  toggleTimes(): void {
    this.element.classList.toggle('timed');
    this.#sizes.forget();
  }

  /** Keeps what these are in in the document when it is not shown any more: rows, out of sight, and pieces of long ones. */
  keep(nodes: readonly Node[]): void {
    this.#keptRows = nodes.flatMap((node) => this.elementOf(node) ?? []);
    this.#keptPieces = new Set(nodes.flatMap((node) => pieceOf(node) ?? []));
  }

  /** The element of the row that a node is in. */
  elementOf(node: Node | null): HTMLElement | undefined {
    const element = elementAt(node)?.closest<HTMLElement>('.row');
    return element && this.#shownIn.has(element) ? element : undefined;
  }

  rowOf(element: HTMLElement): Row | undefined {
    return this.#shownIn.get(element)?.row;
  }

  /** The elements that have text of a row, in order, with how many characters of it are before each: one, but of long rows. */
  textsOf(element: HTMLElement): readonly { text: HTMLElement; start: number }[] {
    const text = textPart(element);
    if (this.#shownIn.get(element)?.long === undefined) return [{ text, start: 0 }];
    return ([...text.children] as HTMLElement[]).map((piece) => ({ text: piece, start: startOf(piece) }));
  }

  /** How many characters of the text of its row are before a place in an element of a row. */
  charactersBefore(element: HTMLElement, node: Node, offset: number): number {
    const piece = pieceOf(node);
    const before = document.createRange();
    before.selectNodeContents(piece ?? element);
    before.setEnd(node, offset);
    return (piece === undefined ? 0 : startOf(piece)) + before.toString().length;
  }

  forgetHeights(): void {
    this.#sizes.forget();
  }

  /** Height of a row in pixels, be it shown or not. */
  heightOf(row: Row): number {
    const shown = this.#shown.get(row.start);
    return this.#sizes.heightOf(row, shown?.row === row ? shown.element : undefined);
  }

  /** Where in the row so many characters of its text end, in pixels: the line, which is known of long rows only, and the column. */
  placeIn(row: Row, characters: number): { topPx: number; leftPx: number } {
    return this.#sizes.placeIn(row, characters);
  }

  /**
   * Shows these rows and no others, and of long ones what is in view; those that were shown keep their elements.
   *
   * @param topPx where the first row is, in pixels below the upper edge of the view
   */
  show(rows: readonly PlacedRow[], topPx: number, viewport: Viewport): void {
    const before = new Map(
      [...this.#keptRows.map((element) => this.#shownIn.get(element)!), ...this.#shown.values()].map(
        (shown) => [shown.row.start, shown],
      ),
    );
    this.#shown = new Map();
    let rowTopPx = topPx;
    for (const row of rows) {
      const shown = this.#renew(before.get(row.start), row);
      annotate(shown.element, this.#notesOf(row));
      this.#shownIn.set(shown.element, shown);
      this.#shown.set(row.start, shown);
      if (shown.long !== undefined) this.#showPieces(shown.long, rowTopPx, viewport);
      rowTopPx += this.heightOf(row);
    }
    this.#rows = rows;
    this.#topPx = topPx;
    this.element.style.transform = `translateY(${topPx}px)`;
    this.#attach();
    if (!this.wraps) this.#widen();
  }

  /** Takes what showed a row if the row looks the same, else makes its element. */
  #renew(old: ShownRow | undefined, row: Row): ShownRow {
    if (!isLong(row)) {
      const element = old !== undefined && isSame(old.row, row) ? old.element : rowElement(row.spans);
      return { row, element, long: undefined };
    }
    if (old !== undefined && isSame(old.row, row)) this.#sizes.take(row, old.row);
    const cut = this.#sizes.cutOf(row);
    if (old?.long?.cut === cut) return { ...old, row };
    const element = rowElement([]);
    return { row, element, long: new LongText(textPart(element), cut, this.wraps) };
  }

  #showPieces(long: LongText, rowTopPx: number, { leftPx, widthPx, heightPx }: Viewport): void {
    if (this.wraps) {
      long.show(-rowTopPx / ROW_PX, (heightPx - rowTopPx) / ROW_PX, this.#keptPieces);
      return;
    }
    const { columnPx } = this.#sizes;
    const from = leftPx / columnPx - PIECE_COLUMNS;
    long.show(from, (leftPx + widthPx) / columnPx + PIECE_COLUMNS, this.#keptPieces);
  }

  /** Brings the document in line with what is shown; what stays is not moved, so that a selection in it lives. */
  #attach(): void {
    const wanted = new Set([...this.#shown.values()].map(({ element }) => element));
    const away = this.#keptRows.filter((element) => !wanted.has(element) && element.isConnected);
    for (const child of [...this.element.children]) {
      const element = child as HTMLElement;
      if (element !== this.#sizes.ruler && !wanted.has(element) && !away.includes(element)) element.remove();
    }
    const inOrder = [...wanted, ...away].sort((a, b) => this.rowOf(a)!.start - this.rowOf(b)!.start);
    let next = this.#sizes.ruler.nextElementSibling;
    for (const element of inOrder) {
      element.classList.toggle('away', !wanted.has(element));
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
    }
  }

  /** What goes sideways does not jump when the longest line leaves the view. */
  #widen(): void {
    const widthPx = this.element.scrollWidth;
    if (widthPx <= this.#widthPx) return;
    this.#widthPx = widthPx;
    this.element.style.minWidth = `${widthPx}px`;
  }
}

function elementAt(node: Node | null): Element | undefined {
  return (node instanceof Element ? node : node?.parentElement) ?? undefined;
}

/** The piece of a long row that a node is in. */
function pieceOf(node: Node): HTMLElement | undefined {
  return elementAt(node)?.closest<HTMLElement>('.piece') ?? undefined;
}

/** How many characters of the text of its row are before a piece. */
function startOf(piece: HTMLElement): number {
  return Number(piece.dataset.start);
}

/** Whether two rows look the same, so that one can stay in the other's place. */
function isSame(one: Row, other: Row): boolean {
  return one === other || (one.end === other.end && sameSpans(one.spans, other.spans));
}
