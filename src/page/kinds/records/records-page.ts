import type { PageData } from '../../../wire/page.ts';
import { barButton } from '../../frame/bar.ts';
import { formatCount } from '../../frame/format.ts';
import { GroupOutline } from '../../groups/group-outline.ts';
import type { Row } from '../../log/rows.ts';
import { LogPage } from '../../view/log-page.ts';
import type { RecordPanel } from './record-panel.ts';
import { columnTitles, RecordRows } from './record-rows.ts';
import { recordsOf } from './records.ts';

/** The page of a file whose lines are JSON values: the page of a text with other rows, and a record of them as a tree. */
export class RecordsPage {
  readonly #rows = new RecordRows();
  readonly #page: LogPage;
  readonly #columns = document.createElement('div');
  readonly #table: HTMLButtonElement;
  /** Where the record that is shown as a tree begins, and where the next one does. */
  #shown: Pick<Row, 'start' | 'end'> | undefined;
  #panel: RecordPanel | undefined;
  /** Whether there were any: then they have their room, so that rows do not jump when some have none. */
  #hadColumns = false;

  constructor(data: PageData) {
    this.#page = new LogPage(data, {
      rows: () => ({
        outline: new GroupOutline(),
        // A column is where it is, whatever is before its value in the file.
        charactersIn: undefined,
        rowsOf: (bytes, at) => {
          const screen = this.#rows.rowsOf(bytes, at);
          if (screen.rows.length > 0) this.#showColumns();
          return screen;
        },
      }),
      keys: [
        { keys: ['t'], does: 'columns, or each value on its line', run: () => this.#toggleTable() },
        { keys: ['Enter'], does: 'the first record in view as a tree', run: () => this.#openFirst() },
        { keys: [']'], does: 'the next record', run: () => this.#openNext(1) },
        { keys: ['['], does: 'the one before', run: () => this.#openNext(-1) },
        { keys: ['Escape'], does: 'close the record', run: () => this.#close() },
      ],
    });
    const { bar, frame, view } = this.#page;
    this.#table = barButton('Table', 'Columns, or each value on its line (t)', () => this.#toggleTable());
    this.#table.ariaPressed = 'true';
    bar.addFirst(this.#table);
    this.#columns.className = 'record-columns';
    // What it says is in each record, too.
    this.#columns.ariaHidden = 'true';
    this.#columns.append(document.createElement('span'));
    frame.before(this.#columns);
    view.element.addEventListener('scroll', () => this.#alignColumns());
    view.element.addEventListener('click', ({ target }) => this.#onClick(target as Element));
  }

  start(): void {
    this.#page.start();
  }

  #toggleTable(): void {
    this.#rows.isTable = !this.#rows.isTable;
    this.#table.ariaPressed = String(this.#rows.isTable);
    this.#showColumns();
    this.#page.view.renew();
  }

  #showColumns(): void {
    const { columns } = this.#rows;
    const titles = this.#columns.firstElementChild as HTMLElement;
    const text = columnTitles(columns);
    if (titles.textContent !== text) titles.textContent = text;
    this.#hadColumns ||= columns.length > 0;
    this.#columns.hidden = !this.#rows.isTable || !this.#hadColumns;
    this.#alignColumns();
  }

  /** The columns go sideways with what is below them. */
  #alignColumns(): void {
    const titles = this.#columns.firstElementChild as HTMLElement;
    titles.style.transform = `translateX(${-this.#page.view.element.scrollLeft}px)`;
  }

  #onClick(target: Element): void {
    const { list } = this.#page.view;
    const element = list.elementOf(target);
    const isSelecting = getSelection()?.isCollapsed === false;
    if (element === undefined || isSelecting || target.closest('.number, a')) return;
    const row = list.rowOf(element);
    if (row !== undefined) this.#open(row);
  }

  #openFirst(): void {
    const [first] = this.#page.view.list.rows;
    if (first !== undefined) this.#open(first);
  }

  /** Opens the record after the one that is open, or before it. */
  #openNext(direction: 1 | -1): void {
    const { rows } = this.#page.view.list;
    if (this.#shown === undefined) {
      this.#openFirst();
      return;
    }
    const { start, end } = this.#shown;
    const next =
      direction > 0 ? rows.find((row) => row.start === end) : rows.find((row) => row.end === start);
    if (next !== undefined) this.#open(next);
  }

  #open(row: Row): void {
    const bytes = this.#page.live.store.slice(row.start, row.end);
    if (bytes === undefined) return;
    const [record] = recordsOf(bytes, row.start);
    this.#shown = row;
    if (record?.node !== undefined) {
      const { node } = record;
      void this.#withPanel((panel) => {
        if (this.#shown === row) panel.show(`Record at byte ${formatCount(row.start)}`, node);
      });
    } else {
      this.#page.tell('This line is no record, or too long for one: Raw has all of it.');
    }
  }

  /** Its script is loaded when the first record is opened. */
  async #withPanel(show: (panel: RecordPanel) => void): Promise<void> {
    try {
      const { RecordPanel } = await import('./record-panel.ts');
      if (this.#panel === undefined) {
        this.#panel = new RecordPanel(() => this.#close());
        this.#page.frame.append(this.#panel.element);
      }
      show(this.#panel);
    } catch (error) {
      this.#page.tell(`The record could not be shown: ${(error as Error).message}`);
    }
  }

  #close(): void {
    this.#panel?.hide();
    this.#shown = undefined;
    this.#page.view.element.focus();
  }
}
