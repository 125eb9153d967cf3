import type { BlockStore } from '../bytes/block-store.ts';
import { BytesGoneError } from '../bytes/file-requests.ts';
import type { Extent } from '../list/thumb.ts';
import type { Row } from '../log/rows.ts';
import { type FoldedRows, LOOK_MS } from '../rows/folded-rows.ts';
import type { RowList } from '../rows/row-list.ts';
import type { MissingBytes, PlacedRow, RowRun } from '../rows/row-window.ts';

/** In a flood of bytes the log is painted once in so many milliseconds: thirty times a second. */
const FLOOD_PAINT_MS = 30;

/** How long after bytes could not be read it is tried again, in milliseconds. */
const RETRY_MS = 1000;

/** Where the view is: at a row, and so many pixels below its upper edge. */
interface Anchor {
  position: number;
  offsetPx: number;
  /** The offset counts from the line of the row in which the position is: of a long row that is wrapped, only that is in view. */
  isOfLine?: boolean;
}

/** Rows around the upper edge of the view, which is in the row at `at`, so many pixels below its top. */
interface EdgeRun {
  readonly run: RowRun;
  readonly at: number;
  readonly offsetPx: number;
}

/** What the view tells whoever made it. */
export interface LogViewEvents {
  /** It was painted: `extent` is in view. */
  painted(extent: Extent, isFullScreen: boolean): void;
  /** It follows the end now, or does so no longer. */
  following(follows: boolean): void;
  /** Bytes could not be read. */
  failed(error: unknown): void;
}

/**
 * The log: the rows that fit the window, out of a file of any size. Where it is, is a position in the file; to paint it
 * takes the bytes there. It follows the end until somebody goes elsewhere, and again as soon as somebody comes back.
 */
export class LogView {
  readonly element = document.createElement('div');
  readonly list: RowList;
  readonly #store: BlockStore;
  readonly #rows: FoldedRows;
  readonly #events: LogViewEvents;
  #anchor: Anchor | undefined;
  /** Whether the end is what was asked for last, or reached by going down. */
  #goesDown = false;
  #frame = 0;
  #isUrgent = false;
  #paintedAt = 0;
  #isLoading = false;
  /** Where the rows began and ended that were too few when it was painted last. */
  #lacking: readonly (number | undefined)[] = [];
  /** What is to be in view sideways, too. */
  #aside: number | undefined;

  constructor(store: BlockStore, rows: FoldedRows, list: RowList, events: LogViewEvents) {
    this.#store = store;
    this.#rows = rows;
    this.#events = events;
    this.list = list;
    this.element.className = 'log';
    this.element.role = 'log';
    this.element.ariaLive = 'off';
    this.element.tabIndex = 0;
    this.element.append(list.element);
    // The browser scrolls here only for a selection that is pulled over the edge, or what it has found in the page.
    this.element.addEventListener('scroll', () => {
      const { scrollTop } = this.element;
      this.element.scrollTop = 0;
      if (scrollTop !== 0) this.scrollBy(scrollTop);
      // Sideways: other parts of long rows come into view.
      else this.refresh();
    });
    new ResizeObserver(() => {
      list.forgetHeights();
      this.refresh();
    }).observe(this.element);
  }

  get follows(): boolean {
    return this.#anchor === undefined;
  }

  /** How many bytes there are, in view or not. */
  get size(): number {
    return this.#store.size;
  }

  /** Goes on by so many pixels: down, or up if negative. */
  scrollBy(deltaPx: number): void {
    this.#aside = undefined;
    if (this.#anchor === undefined) {
      if (deltaPx >= 0) return;
      const anchor = this.#topOfShown();
      if (anchor === undefined) return;
      this.#stay(anchor);
    }
    this.#anchor!.offsetPx += deltaPx;
    this.#goesDown = deltaPx > 0;
    this.refresh();
  }

  /** Goes on by so many windows. */
  scrollByPages(pages: number): void {
    this.scrollBy(pages * Math.max(this.list.rowPx, this.element.clientHeight - 2 * this.list.rowPx));
  }

  /** Goes on to the right, or to the left if negative, by so many steps of a tenth of the window. */
  scrollSideways(steps: number): void {
    this.element.scrollLeft += (steps * this.element.clientWidth) / 10;
  }

  /** Goes to the row at `position`, or to its line in a long row, which comes so many pixels below the upper edge. */
  goTo(position: number, belowPx = 0): void {
    this.#stay({ position: Math.min(position, this.#store.size), offsetPx: -belowPx, isOfLine: true });
    this.#goesDown = false;
    this.#aside = undefined;
    this.refresh();
  }

  /** As {@link goTo}, and sideways, too, unless what is at `position` is in view. */
  goToText(position: number, belowPx: number): void {
    this.goTo(position, belowPx);
    this.#aside = position;
  }

  /** Goes to the end, and follows it. */
  goToEnd(): void {
    const follows = this.follows;
    this.#anchor = undefined;
    this.#aside = undefined;
    this.refresh();
    if (!follows) this.#events.following(true);
  }

  /** Paints with the next frame: something that is shown has changed. */
  refresh(): void {
    this.#isUrgent = true;
    this.#schedule();
  }

  /** Makes all rows anew: something else is made of the same bytes now. */
  renew(): void {
    this.#rows.forget();
    this.refresh();
  }

  /** Takes note that bytes have come: they are painted when their turn has come. */
  grown(): void {
    this.#schedule();
  }

  #stay(anchor: Anchor): void {
    const follows = this.follows;
    this.#anchor = anchor;
    if (follows) this.#events.following(false);
  }

  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      if (this.#isUrgent || now - this.#paintedAt >= FLOOD_PAINT_MS) {
        this.#isUrgent = false;
        this.#paintedAt = now;
        this.#paint();
      } else {
        this.#schedule();
      }
    });
  }

  #paint(): void {
    const heightPx = this.element.clientHeight;
    if (heightPx === 0) return;
    const count = Math.ceil(heightPx / this.list.rowPx) + 1;
    const found =
      this.#anchor === undefined
        ? this.#rows.around(this.#store.size, count, 0)
        : this.#aroundAnchor(this.#anchor, count);
    if ('missing' in found) {
      this.#loadAndPaint(found);
      return;
    }
    const run = 'run' in found ? found.run : found;
    if ('run' in found) this.#paintFrom(found, count, heightPx);
    else this.#paintEnd(found, count, heightPx);
    this.#goAside();
    this.#tellPainted(heightPx, run.fullScreen);
    this.#paintMore(run, heightPx);
  }

  /** Goes on while the view is not filled: there was no time for more rows, or their bytes are not here. */
  #paintMore({ rows, lacks }: RowRun, heightPx: number): void {
    const bottomPx = this.list.topPx + this.#heightOf(this.list.rows);
    if (lacks === undefined || (this.list.topPx <= 0 && bottomPx >= heightPx)) {
      this.#lacking = [];
      return;
    }
    const before = this.#lacking;
    this.#lacking = [rows[0]?.start, rows.at(-1)?.end];
    if (lacks !== 'time') this.#loadAndPaint(lacks);
    else if (this.#lacking.some((position, index) => position !== before[index])) this.refresh();
  }

  /**
   * The rows around the upper edge of the view. Wrapped ones may be as high as hundreds of others: when the edge is in a
   * later one than it seemed, the anchor is moved there, and more are asked for.
   */
  #aroundAnchor(anchor: Anchor, count: number): EdgeRun | MissingBytes {
    const deadlineMs = performance.now() + LOOK_MS;
    let from = anchor;
    for (;;) {
      const rowsUp = Math.ceil(Math.max(0, -from.offsetPx) / this.list.rowPx);
      const rowsDown = this.list.wraps ? 0 : Math.ceil(Math.max(0, from.offsetPx) / this.list.rowPx);
      const run = this.#rows.around(from.position, rowsUp, rowsDown + count, deadlineMs);
      if ('missing' in run) return run;
      const edge = this.#edgeIn(run, from);
      const { at, offsetPx } = edge;
      const isEnough = !this.list.wraps || at <= run.at || run.rows.length - at >= count;
      if (isEnough || run.isEnd || run.lacks !== undefined) return edge;
      from = { position: run.rows[at]!.start, offsetPx };
      this.#anchor = from;
    }
  }

  #edgeIn(run: RowRun, anchor: Anchor): EdgeRun {
    const { rows } = run;
    let { at } = run;
    let { offsetPx } = anchor;
    const row = rows[at];
    if (anchor.isOfLine && this.list.wraps && row !== undefined)
      offsetPx += this.#placeOf(row, anchor.position)?.topPx ?? 0;
    while (offsetPx < 0 && at > 0) offsetPx += this.list.heightOf(rows[--at]!);
    // Nothing is above the first row.
    offsetPx = Math.max(0, offsetPx);
    while (at < rows.length - 1 && offsetPx >= this.list.heightOf(rows[at]!)) {
      offsetPx -= this.list.heightOf(rows[at++]!);
    }
    return { run, at, offsetPx };
  }

  #paintEnd({ rows, isTop }: RowRun, count: number, heightPx: number): void {
    const shown = this.list.wraps ? this.#filling(rows.toReversed(), heightPx).reverse() : rows.slice(-count);
    const contentPx = this.#heightOf(shown);
    const isAll = isTop && shown.length === rows.length;
    this.#show(shown, isAll && contentPx < heightPx ? 0 : heightPx - contentPx);
  }

  #paintFrom({ run, at, offsetPx }: EdgeRun, count: number, heightPx: number): void {
    const { rows, isEnd } = run;
    const shown = this.list.wraps
      ? this.#filling(rows.slice(at), heightPx + offsetPx)
      : rows.slice(at, at + count);
    const contentPx = this.#heightOf(shown);
    const isLast = isEnd && at + shown.length === rows.length;
    if (isLast && contentPx - offsetPx <= heightPx) {
      // Nothing is below the last row.
      this.#paintEnd(run, count, heightPx);
      if (this.#goesDown) this.goToEnd();
      else this.#anchor = this.#topOfShown() ?? this.#anchor;
      return;
    }
    if (shown[0] !== undefined) this.#anchor = { position: shown[0].start, offsetPx };
    this.#show(shown, -offsetPx);
  }

  /** Where in a row its byte at `position` is; undefined when nobody knows. */
  #placeOf(row: Row, position: number): { topPx: number; leftPx: number } | undefined {
    const characters = this.#rows.charactersBefore(row, position);
    return characters === undefined ? undefined : this.list.placeIn(row, characters);
  }

  /** Scrolls sideways to what somebody wants to see there. */
  #goAside(): void {
    const position = this.#aside;
    const row = this.list.rows.find(
      ({ start, end }) => position !== undefined && position >= start && position < end,
    );
    if (position === undefined || row === undefined) return;
    this.#aside = undefined;
    const place = this.#placeOf(row, position);
    if (place === undefined) return;
    const { leftPx } = place;
    const { scrollLeft, clientWidth } = this.element;
    if (leftPx < scrollLeft || leftPx > scrollLeft + clientWidth)
      this.element.scrollLeft = leftPx - clientWidth / 2;
  }

  #show(rows: readonly PlacedRow[], topPx: number): void {
    const { scrollLeft: leftPx, clientWidth: widthPx, clientHeight: heightPx } = this.element;
    this.list.show(rows, topPx, { leftPx, widthPx, heightPx });
  }

  #heightOf(rows: readonly Row[]): number {
    return rows.reduce((sum, row) => sum + this.list.heightOf(row), 0);
  }

  /** The first rows, as many as fill so many pixels: one that is wrapped may do that alone. */
  #filling(rows: readonly PlacedRow[], heightPx: number): PlacedRow[] {
    let filledPx = 0;
    let count = 0;
    while (count < rows.length && filledPx < heightPx) filledPx += this.list.heightOf(rows[count++]!);
    return rows.slice(0, count);
  }

  /** Where the view is by what was painted last. */
  #topOfShown(): Anchor | undefined {
    let bottomPx = this.list.topPx;
    for (const row of this.list.rows) {
      const heightPx = this.list.heightOf(row);
      bottomPx += heightPx;
      if (bottomPx > 0) return { position: row.start, offsetPx: heightPx - bottomPx };
    }
    return undefined;
  }

  #tellPainted(heightPx: number, isFullScreen: boolean): void {
    const { size } = this.#store;
    let top: number | undefined;
    let bottom = size;
    let topPx = this.list.topPx;
    for (const row of this.list.rows) {
      const rowPx = this.list.heightOf(row);
      const positionAt = (px: number) =>
        row.start + Math.round((row.end - row.start) * Math.min(Math.max(0, (px - topPx) / rowPx), 1));
      if (topPx + rowPx > 0 && topPx < heightPx) {
        top ??= positionAt(0);
        bottom = positionAt(heightPx);
      }
      topPx += rowPx;
    }
    this.#events.painted({ top: top ?? 0, bottom, size }, isFullScreen);
  }

  /** Reads bytes that are missing. */
  load({ missing }: MissingBytes): Promise<void> {
    return this.#store.load(...missing);
  }

  #loadAndPaint(missing: MissingBytes): void {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.load(missing)
      .then(
        () => this.refresh(),
        (error) => {
          this.#events.failed(error);
          // What is gone does not come back.
          if (!(error instanceof BytesGoneError)) setTimeout(() => this.refresh(), RETRY_MS);
        },
      )
      .finally(() => {
        this.#isLoading = false;
      });
  }
}
