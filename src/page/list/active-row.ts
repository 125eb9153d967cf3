import type { KeyAction } from '../keys/key-table.ts';
import type { VirtualList } from './virtual-list.ts';

/** A list in which one row is the active one, by what it keeps when rows move. */
export interface ActiveRowList {
  readonly count: number;
  /** -1 when there is no such row any more. */
  indexOf(key: string): number;
  keyOf(index: number): string;
}

/** The row on which keys act. The focus is on the list: a row may leave the document. */
export class ActiveRow {
  readonly #rows: ActiveRowList;
  readonly #list: VirtualList;
  readonly #focused: HTMLElement;
  #key: string | undefined;
  /** Where it was, for when it goes. */
  #index = -1;

  /** @param focused has the focus while there is an active row, and says which it is */
  constructor(rows: ActiveRowList, list: VirtualList, focused: HTMLElement) {
    this.#rows = rows;
    this.#list = list;
    this.#focused = focused;
  }

  /** Undefined before one was chosen, and while there are no rows. */
  get key(): string | undefined {
    return this.#key;
  }

  /** Makes a row the active one, and brings it into view. */
  set(index: number): void {
    const { count } = this.#rows;
    if (count === 0) {
      this.#key = undefined;
      return;
    }
    this.#index = Math.min(Math.max(index, 0), count - 1);
    this.#key = this.#rows.keyOf(this.#index);
    this.#list.reveal(this.#index);
    this.#focused.focus();
  }

  /** Makes another row the active one: so many further down, or up if negative. */
  move(by: number): void {
    const index = this.#key === undefined ? -1 : this.#rows.indexOf(this.#key);
    if (this.#key === undefined) this.set(by > 0 ? by - 1 : 0);
    // It has gone: what took its place is where the next step begins.
    else this.set(index < 0 ? this.#index : index + by);
  }

  /** What keys do with it. */
  actions(): KeyAction[] {
    return [
      { keys: ['ArrowDown', 'j'], does: 'next', run: () => this.move(1) },
      { keys: ['ArrowUp', 'k'], does: 'previous', run: () => this.move(-1) },
      { keys: ['PageDown', ' '], does: 'one page down', run: () => this.move(this.#list.pageLength) },
      { keys: ['PageUp'], does: 'one page up', run: () => this.move(-this.#list.pageLength) },
      { keys: ['Home', 'g'], does: 'first', run: () => this.set(0) },
      { keys: ['End', 'G'], does: 'last', run: () => this.set(this.#rows.count - 1) },
    ];
  }
}
