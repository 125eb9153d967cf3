import { ageLastsMs } from '../frame/format.ts';
import { ActiveRow } from '../list/active-row.ts';
import { VirtualList } from '../list/virtual-list.ts';
import { entryHref, type SortKey } from './directory-entry.ts';
import type { DirectoryModel } from './directory-model.ts';
import { directoryRow } from './directory-row.ts';

/** Ages are told anew no more often than this, in milliseconds. */
const MIN_AGE_TICK_MS = 1000;

const COLUMNS: readonly { key: SortKey | undefined; className: string; title: string }[] = [
  { key: 'name', className: 'name', title: 'Name' },
  { key: undefined, className: 'condition', title: 'State' },
  { key: 'size', className: 'size', title: 'Size' },
  { key: 'modified', className: 'modified', title: 'Modified' },
];

/** The entries of a directory as a grid: sorted by a column, with one active row on which keys act. */
export class DirectoryView {
  readonly element = document.createElement('div');
  readonly active: ActiveRow;
  readonly #model: DirectoryModel;
  readonly #list: VirtualList;
  readonly #headers = new Map<SortKey, HTMLElement>();
  #clockAheadMs = 0;
  #ageTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param path of the directory: what the grid is called */
  constructor(model: DirectoryModel, path: string) {
    this.#model = model;
    const rows = {
      get count() {
        return model.shown.length;
      },
      keyOf: (index: number) => model.shown[index]!.name,
      indexOf: (name: string) => model.indexOf(name),
      render: (index: number, element: HTMLElement | undefined) => this.#renderRow(index, element),
    };
    this.#list = new VirtualList(rows, () => this.#onPainted());
    this.#list.element.role = 'presentation';
    this.#list.body.role = 'rowgroup';
    this.active = new ActiveRow(rows, this.#list, this.element);
    this.element.className = 'directory-view';
    this.element.role = 'grid';
    this.element.ariaLabel = path;
    this.element.ariaReadOnly = 'true';
    this.element.tabIndex = 0;
    this.element.append(this.#header(), this.#list.element);
    this.element.addEventListener('click', (event) => this.#onClick(event));
    this.refresh();
  }

  /** Takes note of what time it is by the server's clock, in milliseconds since 1970. */
  setClock(serverMs: number): void {
    this.#clockAheadMs = serverMs - Date.now();
  }

  /** Sorts by a column, or the other way round if it is sorted by that. Sizes and times begin with the largest. */
  sortBy(key: SortKey): void {
    const { order } = this.#model;
    const descending = order.key === key ? !order.descending : key !== 'name';
    this.#model.setOrder({ key, descending });
    this.refresh();
  }

  /** Shows what the model has now. */
  refresh(): void {
    this.element.ariaRowCount = String(this.#model.shown.length + 1);
    for (const [key, header] of this.#headers) {
      const { order } = this.#model;
      header.ariaSort = order.key !== key ? 'none' : order.descending ? 'descending' : 'ascending';
    }
    this.#list.refresh();
  }

  /** Goes to the first row. */
  goToTop(): void {
    this.#list.goTo(0);
  }

  /** Opens the active row, if it is still there. */
  openActive(): void {
    const { key } = this.active;
    if (key !== undefined) this.#open(this.#model.indexOf(key));
  }

  /** Opens the first row, if there is one. */
  openFirst(): void {
    this.#open(0);
  }

  #open(index: number): void {
    const entry = this.#model.shown[index];
    if (entry !== undefined) location.assign(entryHref(entry));
  }

  #renderRow(index: number, element: HTMLElement | undefined): HTMLElement {
    const entry = this.#model.shown[index]!;
    const row = directoryRow(entry, Date.now() + this.#clockAheadMs, element);
    row.id = `row-${index}`;
    row.ariaRowIndex = String(index + 2);
    const isActive = entry.name === this.active.key;
    row.classList.toggle('active', isActive);
    row.ariaSelected = String(isActive);
    return row;
  }

  #onPainted(): void {
    const { key } = this.active;
    const row = key === undefined ? undefined : this.#list.elementOf(key);
    if (row === undefined) this.element.removeAttribute('aria-activedescendant');
    else this.element.setAttribute('aria-activedescendant', row.id);
    this.#tickAges();
  }

  /** Tells ages anew when the first of those in view is over. */
  #tickAges(): void {
    clearTimeout(this.#ageTimer);
    const nowMs = Date.now() + this.#clockAheadMs;
    const inView = this.#model.shown.slice(...this.#list.range);
    const lastsMs = Math.min(...inView.map(({ modifiedMs }) => ageLastsMs(modifiedMs, nowMs)));
    if (lastsMs === Number.POSITIVE_INFINITY) return;
    this.#ageTimer = setTimeout(() => this.#list.refresh(), Math.max(lastsMs, MIN_AGE_TICK_MS));
  }

  #onClick({ target }: MouseEvent): void {
    const row = (target as Element).closest('.entry');
    const index = Number(row?.ariaRowIndex ?? 0) - 2;
    if (index >= 0) this.active.set(index);
  }

  #header(): HTMLElement {
    const group = document.createElement('div');
    group.role = 'rowgroup';
    const row = document.createElement('div');
    row.className = 'entry columns';
    row.role = 'row';
    row.ariaRowIndex = '1';
    for (const { key, className, title } of COLUMNS) {
      const header = document.createElement('div');
      header.className = className;
      header.role = 'columnheader';
      if (key === undefined) {
        header.textContent = title;
      } else {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = title;
        button.title = `Sort by ${title.toLowerCase()}`;
        button.addEventListener('click', () => this.sortBy(key));
        header.append(button);
        this.#headers.set(key, header);
      }
      row.append(header);
    }
    group.append(row);
    return group;
  }
}
