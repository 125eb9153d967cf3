import type { Row } from '../log/rows.ts';
import { annotate, type RowNotes, rowElement } from './row-element.ts';
import type { PlacedRow } from './row-window.ts';

/** Height of a row that is not wrapped, in pixels, as the style sheet has it. */
const ROW_PX = 20;

interface ShownRow {
  row: Row;
  element: HTMLElement;
}

/** The rows that are in the document: each keeps its element for as long as it is shown, and a selection in it. */
export class RowList {
  readonly element = document.createElement('div');
  readonly rowPx = ROW_PX;
  readonly #notesOf: (row: PlacedRow) => RowNotes;
  readonly #ruler = document.createElement('div');
  /** By their position. */
  #shown = new Map<number, ShownRow>();
  /** The row of each element that may be in the document. */
  readonly #rowOf = new WeakMap<Element, Row>();
  #kept: readonly HTMLElement[] = [];
  #rows: readonly Row[] = [];
  #heights = new WeakMap<Row, number>();
  #topPx = 0;
  #widthPx = 0;
  #wraps = false;
  #digits = 3;

  /** `notesOf` is asked, each time that a row is painted, for what stands beside it. */
  constructor(notesOf: (row: PlacedRow) => RowNotes) {
    this.#notesOf = notesOf;
    this.element.className = 'rows';
    this.#ruler.className = 'ruler';
    this.#ruler.ariaHidden = 'true';
    this.element.append(this.#ruler);
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
    return this.#wraps;
  }

  set wraps(wraps: boolean) {
    this.#wraps = wraps;
    this.element.classList.toggle('wraps', wraps);
    this.element.style.minWidth = '';
    this.#widthPx = 0;
    this.forgetHeights();
  }

  /** How many digits the numbers of lines have. There is never less room again: what is read does not jump. */
  set digits(digits: number) {
    if (digits <= this.#digits) return;
    this.#digits = digits;
    document.documentElement.style.setProperty('--digits', String(digits));
    this.forgetHeights();
  }

  /** Shows when lines came, or no longer. */
  toggleTimes(): void {
    this.element.classList.toggle('timed');
    this.forgetHeights();
  }

  /** Keeps these in the document, out of sight, when their rows are not shown any more. */
  keep(elements: readonly HTMLElement[]): void {
    this.#kept = elements;
  }

  /** The element of the row that a node is in. */
  elementOf(node: Node | null): HTMLElement | undefined {
    const element = node instanceof Element ? node : node?.parentElement;
    const row = element?.closest<HTMLElement>('.row');
    return row && this.#rowOf.has(row) ? row : undefined;
  }

  rowOf(element: HTMLElement): Row | undefined {
    return this.#rowOf.get(element);
  }

  forgetHeights(): void {
    this.#heights = new WeakMap();
  }

  /** Height of a row in pixels, be it shown or not. */
  heightOf(row: Row): number {
    if (!this.#wraps) return ROW_PX;
    const known = this.#heights.get(row);
    if (known !== undefined) return known;
    const shown = this.#shown.get(row.start);
    let heightPx: number;
    if (shown?.row === row) {
      heightPx = shown.element.offsetHeight;
    } else {
      const element = rowElement(row);
      this.#ruler.replaceChildren(element);
      heightPx = element.offsetHeight;
      this.#ruler.replaceChildren();
    }
    this.#heights.set(row, heightPx);
    return heightPx;
  }

  /** Shows these rows and no others; those that were shown keep their elements. Returns their height in pixels. */
  show(rows: readonly PlacedRow[]): number {
    const before = this.#shown;
    this.#shown = new Map();
    for (const row of rows) {
      const old = before.get(row.start);
      const element = old && isSame(old.row, row) ? old.element : rowElement(row);
      annotate(element, this.#notesOf(row));
      this.#rowOf.set(element, row);
      this.#shown.set(row.start, { row, element });
    }
    this.#rows = rows;
    this.#attach();
    return this.#measure();
  }

  moveTo(topPx: number): void {
    this.#topPx = topPx;
    this.element.style.transform = `translateY(${topPx}px)`;
  }

  /** Brings the document in line with what is shown; what stays is not moved, so that a selection in it lives. */
  #attach(): void {
    const wanted = new Set([...this.#shown.values()].map(({ element }) => element));
    const away = this.#kept.filter((element) => !wanted.has(element) && element.isConnected);
    for (const child of [...this.element.children]) {
      const element = child as HTMLElement;
      if (element !== this.#ruler && !wanted.has(element) && !away.includes(element)) element.remove();
    }
    const inOrder = [...wanted, ...away].sort(
      (a, b) => this.#rowOf.get(a)!.start - this.#rowOf.get(b)!.start,
    );
    let next = this.#ruler.nextElementSibling;
    for (const element of inOrder) {
      element.classList.toggle('away', !wanted.has(element));
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
    }
  }

  #measure(): number {
    if (this.#wraps) return this.#rows.reduce((sum, row) => sum + this.heightOf(row), 0);
    // What goes sideways does not jump when the longest line leaves the view.
    const widthPx = this.element.scrollWidth;
    if (widthPx > this.#widthPx) {
      this.#widthPx = widthPx;
      this.element.style.minWidth = `${widthPx}px`;
    }
    return this.#rows.length * ROW_PX;
  }
}

/** Whether two rows look the same, so that one can stay in the other's place. */
function isSame(one: Row, other: Row): boolean {
  return (
    one === other || (one.end === other.end && JSON.stringify(one.spans) === JSON.stringify(other.spans))
  );
}
