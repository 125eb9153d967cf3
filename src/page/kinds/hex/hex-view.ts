import type { BlockStore } from '../../bytes/block-store.ts';
import { BytesGoneError } from '../../bytes/file-requests.ts';
import { VirtualList } from '../../list/virtual-list.ts';
import { BYTES_PER_ROW, formatOffset, type HexRow, hexRow, hexRowCount } from './hex-rows.ts';

/** How long after bytes could not be read it is tried again, in milliseconds. */
const RETRY_MS = 1000;

/** Bytes of a resource of any size, sixteen in a row, read where they are looked at. */
export class HexView {
  readonly element: HTMLElement;
  readonly list: VirtualList;
  readonly #store: BlockStore;
  readonly #failed: (error: unknown) => void;
  /** The byte that a link points at. */
  #linked: number | undefined;
  #isLoading = false;

  /** @param failed is told why bytes could not be read: it is tried again, unless they are gone */
  constructor(store: BlockStore, failed: (error: unknown) => void) {
    this.#store = store;
    this.#failed = failed;
    const rows = {
      get count() {
        return hexRowCount(store.size);
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
  }

  /** Shows that there are more bytes: at the end it stays there. */
  grown(): void {
    if (this.list.isAtEnd) this.list.goToEnd();
    else this.list.refresh();
  }

  /** Goes to a byte, and marks it. */
  goTo(offset: number): void {
    this.#linked = offset;
    const row = Math.floor(offset / BYTES_PER_ROW);
    this.list.goTo(row - Math.floor(this.list.pageLength / 3));
  }

  #renderRow(index: number, element = emptyRow()): HTMLElement {
    const { size } = this.#store;
    const start = index * BYTES_PER_ROW;
    const bytes = this.#store.slice(start, Math.min(start + BYTES_PER_ROW, size));
    const row = bytes && hexRow(bytes, start, size);
    const linked = this.#linked !== undefined && Math.floor(this.#linked / BYTES_PER_ROW) === index;
    const state = `${row?.hex}${row?.text}${linked ? this.#linked : ''}`;
    // What has not changed is left alone, and a selection in it.
    if (element.dataset.state === state) return element;
    element.dataset.state = state;
    const [offset, hex, text] = [...element.children] as [HTMLElement, HTMLElement, HTMLElement];
    offset.textContent = formatOffset(start, size);
    const column = linked ? this.#linked! - start : undefined;
    hex.replaceChildren(...marked(row?.hex ?? '', column, hexColumn));
    text.replaceChildren(...marked(row?.text ?? '', column, textColumn));
    element.classList.toggle('linked', linked);
    return element;
  }

  #loadMissing(): void {
    const [first, end] = this.list.range;
    const [from, to] = [first * BYTES_PER_ROW, Math.min(end * BYTES_PER_ROW, this.#store.size)];
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

/** Where in a row's text a byte is, and how many characters it has there. */
type ColumnOf = (byte: number) => readonly [at: number, length: number];

const hexColumn: ColumnOf = (byte) => [byte * 3 + (byte >= BYTES_PER_ROW / 2 ? 1 : 0), 2];
const textColumn: ColumnOf = (byte) => [byte, 1];

/** The text with one byte marked. */
function marked(text: HexRow['hex'], byte: number | undefined, columnOf: ColumnOf): (string | HTMLElement)[] {
  if (byte === undefined) return [text];
  const [at, length] = columnOf(byte);
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
