import type { BlockStore } from '../bytes/block-store.ts';
import type { ListRows } from '../list/virtual-list.ts';
import { rowsOf } from '../log/rows.ts';
import { rowElement } from '../rows/row-element.ts';
import { cutRow } from '../rows/row-pieces.ts';
import type { SearchResults } from './search-results.ts';

/** So much of a line is laid out: more than is in view, since this list does not go sideways. */
const MAX_COLUMNS = 512;

/** The lines that match, as rows of a list: their bytes are read when they are in view. */
export class FilteredLines implements ListRows {
  readonly #results: () => SearchResults | undefined;
  readonly #store: BlockStore;
  readonly #loaded: () => void;
  readonly #loading = new Set<number>();

  /** @param loaded called when lines can be shown that were not here */
  constructor(results: () => SearchResults | undefined, store: BlockStore, loaded: () => void) {
    this.#results = results;
    this.#store = store;
    this.#loaded = loaded;
  }

  get count(): number {
    return this.#results()?.count ?? 0;
  }

  keyOf(index: number): number {
    return this.#results()?.at(index)?.at ?? -1;
  }

  render(index: number, element: HTMLElement | undefined): HTMLElement {
    const match = this.#results()?.at(index);
    if (match === undefined) return element ?? placeholder();
    const { at, lineStart, lineEnd } = match;
    // A line that was being written is longer by now.
    if (element?.dataset.end === String(lineEnd)) return element;
    const bytes = this.#store.slice(lineStart, lineEnd);
    if (bytes === undefined) {
      this.#load(lineStart, lineEnd);
      return element ?? placeholder();
    }
    const [row] = rowsOf(bytes, lineStart).rows.slice(-1);
    if (row === undefined) return element ?? placeholder();
    const line = rowElement(cutRow(row, MAX_COLUMNS).pieces[0]!.spans);
    line.dataset.at = String(at);
    line.dataset.end = String(lineEnd);
    return line;
  }

  #load(start: number, end: number): void {
    if (this.#loading.has(start)) return;
    this.#loading.add(start);
    this.#store
      .load(start, end)
      .then(this.#loaded, () => {})
      .finally(() => this.#loading.delete(start));
  }
}

function placeholder(): HTMLElement {
  const element = document.createElement('div');
  element.className = 'row';
  return element;
}
