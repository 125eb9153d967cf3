import { ScrollInput } from './scroll-input.ts';
import { Scrollbar } from './scrollbar.ts';

/** What a list shows: so many rows, each of the same height. */
export interface ListRows {
  readonly count: number;
  /** What a row keeps when others come before it: its element is used again. */
  keyOf(index: number): string | number;
  /** Makes the element of a row, or brings the one that it has up to date. */
  render(index: number, element: HTMLElement | undefined): HTMLElement;
}

/** The custom property with the height of a row, in a style sheet, in pixels. */
const ROW_HEIGHT = '--row-height';

/**
 * A list of any number of rows, of which only those are in the document that are in view. Where it stands is counted in
 * pixels of all rows, and not scrolled by the browser, for which no element can be high enough.
 */
export class VirtualList {
  readonly element = document.createElement('div');
  /** What the rows are in. */
  readonly body = document.createElement('div');
  readonly #rows: ListRows;
  readonly #scrollbar: Scrollbar;
  readonly #painted: () => void;
  #elements = new Map<string | number, HTMLElement>();
  #topPx = 0;
  #rowPx = 20;
  #frame = 0;
  #isAtEnd = false;

  /** @param painted is called when other rows, or the same at another place, are in the document */
  constructor(rows: ListRows, painted: () => void = () => {}) {
    this.#rows = rows;
    this.#painted = painted;
    this.#scrollbar = new Scrollbar((topPx) => this.#moveTo(topPx));
    this.body.className = 'list-rows';
    this.element.className = 'list';
    this.element.append(this.body, this.#scrollbar.element);
    new ScrollInput(this.element, this);
    // What is reached by other means, such as a search of the browser, is brought back to where the list is.
    this.element.addEventListener('scroll', () => {
      const { scrollTop } = this.element;
      if (scrollTop === 0) return;
      this.element.scrollTop = 0;
      this.scrollBy(scrollTop);
    });
    new ResizeObserver(() => this.refresh()).observe(this.element);
  }

  /** The first row of which anything is in view, and the one after the last. */
  get range(): readonly [first: number, end: number] {
    const first = Math.floor(this.#topPx / this.#rowPx);
    const end = Math.ceil((this.#topPx + this.element.clientHeight) / this.#rowPx);
    return [first, Math.min(end, this.#rows.count)];
  }

  /** How many rows are in view as a whole: one at least. */
  get pageLength(): number {
    return Math.max(1, Math.floor(this.element.clientHeight / this.#rowPx));
  }

  /** Whether the last row was in view, and the first one was not, when it was painted last. */
  get isAtEnd(): boolean {
    return this.#isAtEnd;
  }

  /** The element of a row; undefined for one that is not in the document. */
  elementOf(key: string | number): HTMLElement | undefined {
    return this.#elements.get(key);
  }

  /** Goes on by so many pixels: down, or up if negative. */
  scrollBy(deltaPx: number): void {
    this.#moveTo(this.#topPx + deltaPx);
  }

  /** Goes to where a row is in view as a whole: nowhere if it is already. */
  reveal(index: number): void {
    const rowTopPx = index * this.#rowPx;
    const lowestPx = rowTopPx + this.#rowPx - this.element.clientHeight;
    this.#moveTo(Math.min(Math.max(this.#topPx, lowestPx), rowTopPx));
  }

  /** Goes to where a row is the first one. */
  goTo(index: number): void {
    this.#moveTo(index * this.#rowPx);
  }

  /** Goes to the end. */
  goToEnd(): void {
    this.#moveTo(this.#maxTopPx);
  }

  /** Paints with the next frame: rows, or how many there are, have changed. */
  refresh(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  get #maxTopPx(): number {
    return Math.max(0, this.#rows.count * this.#rowPx - this.element.clientHeight);
  }

  #moveTo(topPx: number): void {
    this.#topPx = Math.min(Math.max(topPx, 0), this.#maxTopPx);
    this.refresh();
  }

  #paint(): void {
    this.#measure();
    const [first, end] = this.range;
    const before = this.#elements;
    this.#elements = new Map();
    for (let index = first; index < end; index++) {
      const key = this.#rows.keyOf(index);
      this.#elements.set(key, this.#rows.render(index, before.get(key)));
    }
    this.#attach();
    this.body.style.transform = `translateY(${first * this.#rowPx - this.#topPx}px)`;
    this.#scrollbar.show({
      top: this.#topPx,
      bottom: this.#topPx + this.element.clientHeight,
      size: this.#rows.count * this.#rowPx,
    });
    this.#isAtEnd = this.#topPx > 0 && this.#topPx >= this.#maxTopPx;
    this.#painted();
  }

  /** A style sheet may make rows higher, on a small screen, say: the first one stays where it is. */
  #measure(): void {
    const rowPx =
      Number.parseFloat(getComputedStyle(this.element).getPropertyValue(ROW_HEIGHT)) || this.#rowPx;
    const topPx = (this.#topPx / this.#rowPx) * rowPx;
    this.#rowPx = rowPx;
    this.#topPx = Math.min(topPx, this.#maxTopPx);
  }

  /** Brings the document in line with what is shown. What stays is not moved, so that a selection in it lives. */
  #attach(): void {
    const wanted = new Set(this.#elements.values());
    for (const child of [...this.body.children]) {
      if (!wanted.has(child as HTMLElement)) child.remove();
    }
    let next = this.body.firstElementChild;
    for (const element of wanted) {
      if (element === next) next = next.nextElementSibling;
      else this.body.insertBefore(element, next);
    }
  }
}
