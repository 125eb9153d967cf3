import type { BlockStore } from '../../bytes/block-store.ts';
import { BytesGoneError } from '../../bytes/file-requests.ts';
import { VirtualList } from '../../list/virtual-list.ts';
import { BYTES_PER_ROW, formatOffset, type HexRow, hexColumn, hexRow } from './hex-rows.ts';

/** How long after bytes could not be read it is tried again, in milliseconds. */
const RETRY_MS = 1000;

/** Where the style sheet has a narrow window: half as many bytes fit there. */
const NARROW = '(width < 640px)';

/** Bytes of a resource of any size, sixteen in a row if there is room, read where they are looked at. */
export class HexView {
  readonly element: HTMLElement;
  readonly list: VirtualList;
  readonly #store: BlockStore;
  readonly #failed: (error: unknown) => void;
  /** The byte that a link points at. */
  #linked: number | undefined;
  #isLoading = false;
  #bytesPerRow = 0;

  /** @param failed is told why bytes could not be read: it is tried again, unless they are gone */
  constructor(store: BlockStore, failed: (error: unknown) => void) {
    this.#store = store;
    this.#failed = failed;
    const narrow = matchMedia(NARROW);
    this.#bytesPerRow = bytesPerRow(narrow);
    const countRows = () => Math.ceil(store.size / this.#bytesPerRow);
    const rows = {
      get count() {
        return countRows();
      },
      keyOf: (index: number) => index,
      render: (index: number, element: HTMLElement | undefined) => this.#renderRow(index, element),
    };
    this.list = new VirtualList(rows, () => this.#loadMissing());
    this.element = this.list.element;
    this.element.classList.add('hex');
    this.element.role = 'region';
    this.element.ariaLabel = 'Bytes in hexadecimal';
    this.element.tabIndex = 0;
    narrow.addEventListener('change', () => {
      const first = this.list.range[0] * this.#bytesPerRow;
      this.#bytesPerRow = bytesPerRow(narrow);
      this.list.goTo(Math.floor(first / this.#bytesPerRow));
    });
  }

  /** Shows that there are more bytes: at the end it stays there. */
  grown(): void {
    if (this.list.isAtEnd) this.list.goToEnd();
    else this.list.refresh();
  }

  /** Goes to a byte, and marks it. */
  goTo(offset: number): void {
    this.#linked = offset;
    const row = Math.floor(offset / this.#bytesPerRow);
    this.list.goTo(row - Math.floor(this.list.pageLength / 3));
  }

  #renderRow(index: number, element = emptyRow()): HTMLElement {
    const { size } = this.#store;
    const start = index * this.#bytesPerRow;
    const bytes = this.#store.slice(start, Math.min(start + this.#bytesPerRow, size));
    const row = bytes && hexRow(bytes, start, size, this.#bytesPerRow);
    const linked = this.#linked !== undefined && Math.floor(this.#linked / this.#bytesPerRow) === index;
    const state = `${start}${row?.hex}${row?.text}${linked ? this.#linked : ''}`;
    // What has not changed is left alone, and a selection in it.
    if (element.dataset.state === state) return element;
    element.dataset.state = state;
    const [offset, hex, text] = [...element.children] as [HTMLElement, HTMLElement, HTMLElement];
    offset.textContent = formatOffset(start, size);
    const column = linked ? this.#linked! - start : undefined;
    hex.replaceChildren(
      ...marked(
        row?.hex ?? ' '.repeat(3 * this.#bytesPerRow),
        column === undefined ? undefined : hexColumn(column),
        2,
      ),
    );
    text.replaceChildren(...marked(row?.text ?? '', column, 1));
    element.classList.toggle('linked', linked);
    return element;
  }

  #loadMissing(): void {
    const [first, end] = this.list.range;
    const [from, to] = [first * this.#bytesPerRow, Math.min(end * this.#bytesPerRow, this.#store.size)];
    if (this.#isLoading || from >= to || this.#store.slice(from, to) !== undefined) return;
    this.#isLoading = true;
    this.#store
      .load(from, to)
      .then(
        () => this.list.refresh(),
        (error) => {
          this.#failed(error);
          // What is gone does not come back.
          if (!(error instanceof BytesGoneError)) setTimeout(() => this.list.refresh(), RETRY_MS);
        },
      )
      .finally(() => {
        this.#isLoading = false;
      });
  }
}

function bytesPerRow({ matches: isNarrow }: MediaQueryList): number {
  return isNarrow ? BYTES_PER_ROW / 2 : BYTES_PER_ROW;
}

/** The text with so many characters marked. */
function marked(text: HexRow['hex'], at: number | undefined, length: number): (string | HTMLElement)[] {
  if (at === undefined) return [text];
  const mark = document.createElement('mark');
  mark.textContent = text.slice(at, at + length);
  return [text.slice(0, at), mark, text.slice(at + length)];
}

function emptyRow(): HTMLElement {
  const row = document.createElement('div');
  row.className = 'hex-row';
  for (const className of ['offset', 'bytes', 'text']) {
    const cell = document.createElement('span');
    cell.className = className;
    row.append(cell);
  }
  return row;
}
