import type { PageData } from '../../wire/page.ts';
import { LineIndex, readCountsOf } from '../bytes/line-index.ts';
import { FileFrame } from '../file/file-frame.ts';
import type { LiveFile } from '../file/live-file.ts';
import { type Bar, barButton } from '../frame/bar.ts';
import type { GroupOutline } from '../groups/group-outline.ts';
import { HelpSheet } from '../keys/help-sheet.ts';
import { type KeyAction, KeyTable } from '../keys/key-table.ts';
import { ScrollInput } from '../list/scroll-input.ts';
import { Scrollbar } from '../list/scrollbar.ts';
import { FoldedRows } from '../rows/folded-rows.ts';
import { RowList } from '../rows/row-list.ts';
import { type CharactersIn, type PlacedRow, type RowsOf, RowWindow } from '../rows/row-window.ts';
import { LogSearch } from '../search/log-search.ts';
import { searchOf } from '../search/search-stream.ts';
import { Voice } from '../state/voice.ts';
import { TypeInput } from '../upload/type-input.ts';
import { LinkedLines } from './linked-lines.ts';
import { LogSelection } from './log-selection.ts';
import { LogView } from './log-view.ts';
import { newLinesText, Pill } from './pill.ts';
import { PrintedLog } from './printed-log.ts';
import { RowNotesSource } from './row-notes.ts';

/** So many lines are shown above the one that somebody goes to. */
const LINES_ABOVE = 4;

const FULL_SCREEN = 'A program wrote here that draws on the whole screen: Raw has what it wrote.';

/** Of what is in one of these states it is asked whether it may be appended to. */
const CAN_BE_APPENDED: ReadonlySet<string> = new Set([
  'missing',
  'live',
  'open',
  'waiting',
  'stored',
  'ended',
]);

/** Of what has ended so there is no more to be read. */
const GONE: ReadonlySet<string> = new Set(['deleted', 'truncated']);

/** What is shown of the bytes. */
export interface LogRows {
  readonly rowsOf: RowsOf;
  /** Says where in a row its bytes are; undefined for rows that show something else. */
  readonly charactersIn: CharactersIn | undefined;
  /** What of it folds. */
  readonly outline: GroupOutline;
}

/** What differs with the kind of lines. */
export interface LogPageOptions {
  /**
   * Makes what makes rows.
   *
   * @param file of which they are
   * @param found to be called when more of it folds
   */
  rows: (file: LiveFile, found: () => void) => LogRows;
  /** Keys that do more, or something else. Default none. */
  keys?: readonly KeyAction[];
  /** Called when the file is in another state, or more is known of it. */
  changed?: () => void;
}

/** The page of a text: all its parts, and who tells whom. */
export class LogPage {
  readonly live: LiveFile;
  readonly view: LogView;
  readonly bar: Bar;
  /** What the view is in, with all that is beside it. */
  readonly frame = document.createElement('div');
  readonly #file: FileFrame;
  readonly #outline: GroupOutline;
  readonly #list: RowList;
  readonly #index: LineIndex;
  readonly #notes: RowNotesSource;
  readonly #linked: LinkedLines;
  readonly #search: LogSearch;
  readonly #voice = new Voice();
  readonly #typing: TypeInput;
  readonly #pill: Pill;
  readonly #scrollbar: Scrollbar;
  readonly #wrap = barButton('Wrap', 'Let long lines go on below (w)', () => this.#toggleWrap());
  #areAllFolded = false;
  #saidFullScreen = false;
  #linesSaid = 0;

  constructor({ path }: PageData, { rows: makeRows, keys = [], changed }: LogPageOptions) {
    this.#file = new FileFrame(path, {
      grown: () => this.#onGrown(),
      changed: () => {
        this.#onChanged();
        changed?.();
      },
    });
    const { live, bar, name } = this.#file;
    const { store, arrivals } = live;
    this.live = live;
    this.bar = bar;
    this.#typing = new TypeInput(live.url, bar, {
      tell: (text) => this.tell(text),
      opened: () => {
        // An end was that of an append before.
        if (live.state.kind === 'ended' || live.state.kind === 'stored') live.start();
      },
    });
    const { rowsOf, charactersIn, outline } = makeRows(live, () => this.view.refresh());
    this.#outline = outline;
    this.#index = new LineIndex(readCountsOf(live.request), store, () => this.#onCounted());
    this.#notes = new RowNotesSource(
      (position) => this.#index.lineNow(position),
      () => this.#linked.range,
      arrivals,
      this.#outline,
    );
    this.#list = new RowList((row) => this.#notes.of(row));
    const rows = new RowWindow(store, rowsOf, charactersIn);
    const folded = new FoldedRows(rows, this.#outline);
    this.view = new LogView(store, folded, this.#list, {
      painted: (extent, isFullScreen) => {
        this.#scrollbar.show(extent);
        this.#search.painted();
        if (isFullScreen) this.#sayFullScreen();
      },
      following: (follows) => this.#pill.leave(follows ? undefined : live.linesCome),
      failed: (error) => this.tell(`Some of it could not be read: ${(error as Error).message}`),
    });
    this.view.element.ariaLabel = `Text of ${name}`;
    this.#linked = new LinkedLines(
      this.#index,
      (position) => this.#showLine(position),
      () => this.view.refresh(),
    );
    this.#search = this.#makeSearch();
    this.#scrollbar = new Scrollbar((position) => this.#scrollTo(position));
    this.#pill = new Pill(() => this.view.goToEnd());
    new ScrollInput(this.view.element, this.view);
    new LogSelection(this.view, rows, (text) => this.tell(text));
    this.#list.element.addEventListener('click', (event) => this.#onClick(event));
    this.#build(keys);
    this.frame.append(new PrintedLog(this.view, folded, (row) => this.#notes.of(row)).element);
  }

  start(): void {
    this.live.start();
  }

  /** Says something for some seconds. */
  tell(text: string): void {
    this.#file.tell(text);
  }

  #build(more: readonly KeyAction[]): void {
    const help = new HelpSheet(() => keys);
    const keys = this.#keys(help, more);
    this.#wrap.ariaPressed = 'false';
    this.bar.add(
      barButton('Search', 'Search in the whole file (/)', () => this.#search.open()),
      this.#wrap,
    );
    this.#file.addLinks();
    this.bar.add(help.button);
    this.frame.className = 'view';
    this.frame.append(this.view.element, this.#scrollbar.element, this.#pill.element, this.#voice.element);
    this.#file.add(this.frame);
    document.body.append(help.element);
  }

  #makeSearch(): LogSearch {
    return new LogSearch({
      search: searchOf(this.live.request),
      store: this.live.store,
      index: this.#index,
      list: this.#list,
      element: this.frame,
      goTo: (position) => this.#showLine(position),
      tell: (text) => this.tell(text),
    });
  }

  /** Shows the line at a position with some before it, and opens the groups that it is in. */
  #showLine(position: number): void {
    this.#outline.reveal({ from: position, to: position + 1 });
    this.view.goToText(position, LINES_ABOVE * this.#list.rowPx);
  }

  #onGrown(): void {
    this.view.grown();
    this.#index.advance();
    this.#linked.advance();
    this.#showLineCount();
    this.#search.grown();
    // A hidden tab paints nothing, but counts on.
    const { linesCome } = this.live;
    this.#pill.count(linesCome);
    if (linesCome > this.#linesSaid) this.#voice.say(() => this.#newLines());
  }

  #showLineCount(): void {
    const { lineCount, isWhole } = this.#index;
    this.#file.showLines(lineCount, isWhole);
    this.#list.digits = String(lineCount ?? 0).length;
  }

  /** More is known of where lines are. */
  #onCounted(): void {
    this.#showLineCount();
    this.view.refresh();
    this.#linked.advance();
  }

  #onChanged(): void {
    const { state } = this.live;
    const { kind } = state;
    // Whether it is hidden is up to the search, which has its lines in its place.
    this.frame.classList.toggle('locked', kind === 'locked');
    if (kind === 'ended' && GONE.has(state.reason)) this.#index.stop();
    if (CAN_BE_APPENDED.has(kind)) void this.#typing.offer();
    // Times of arrival become known after the bytes.
    this.view.grown();
  }

  #scrollTo(position: number): void {
    if (position >= this.live.store.size) this.view.goToEnd();
    else this.view.goTo(position);
  }

  #toggleWrap(): void {
    this.#list.wraps = !this.#list.wraps;
    this.#wrap.ariaPressed = String(this.#list.wraps);
    this.view.refresh();
  }

  #toggleAll(): void {
    this.#areAllFolded = !this.#areAllFolded;
    this.#outline.setAllFolded(this.#areAllFolded);
    this.view.refresh();
  }

  #onClick({ target, shiftKey }: MouseEvent): void {
    const element = this.#list.elementOf(target as Node);
    const row = element && this.#list.rowOf(element);
    if (row === undefined) return;
    if ((target as Element).closest('.number')) this.#link(row as PlacedRow, shiftKey);
    else if ((target as Element).closest('.mark button')) this.#toggleGroup(row.start);
  }

  #link(row: PlacedRow, extends_: boolean): void {
    const line = this.#notes.lineOf(row);
    if (line !== undefined) this.#linked.link(line, extends_);
  }

  #toggleGroup(start: number): void {
    const group = this.#outline.headerAt(start);
    if (group === undefined) return;
    this.#outline.setFolded(group, !this.#outline.isFolded(group));
    this.view.refresh();
  }

  /** How many lines have come since it was said last. */
  #newLines(): string {
    const { linesCome } = this.live;
    const count = linesCome - this.#linesSaid;
    this.#linesSaid = linesCome;
    return newLinesText(count);
  }

  #sayFullScreen(): void {
    if (this.#saidFullScreen) return;
    this.#saidFullScreen = true;
    this.tell(FULL_SCREEN);
  }

  #keys(help: HelpSheet, more: readonly KeyAction[]): KeyTable {
    const view = this.view;
    const { rowPx } = this.#list;
    const own: KeyAction[] = [
      ...this.#search.keys(),
      { keys: ['ArrowDown', 'j'], does: 'a line down', run: () => view.scrollBy(rowPx) },
      { keys: ['ArrowUp', 'k'], does: 'a line up', run: () => view.scrollBy(-rowPx) },
      { keys: ['ArrowRight'], does: 'to the right', run: () => view.scrollSideways(1) },
      { keys: ['ArrowLeft'], does: 'to the left', run: () => view.scrollSideways(-1) },
      { keys: ['PageDown', ' '], does: 'a page down', run: () => view.scrollByPages(1) },
      { keys: ['PageUp'], does: 'a page up', run: () => view.scrollByPages(-1) },
      { keys: ['Home'], does: 'the beginning', run: () => view.goTo(0) },
      { keys: ['End', 'G'], does: 'the end, and what comes', run: () => view.goToEnd() },
      { keys: ['w'], does: 'wrap long lines, or do not', run: () => this.#toggleWrap() },
      { keys: ['f'], does: 'fold all groups, or open them', run: () => this.#toggleAll() },
      { keys: ['t'], does: 'when each line came that came live', run: () => this.#list.toggleTimes() },
      { keys: ['Escape'], does: 'link no lines', run: () => this.#linked.clear() },
      { keys: ['?'], does: 'this help', run: () => help.toggle() },
    ];
    const taken = new Set(more.flatMap(({ keys }) => keys));
    return new KeyTable([...more, ...own.filter(({ keys }) => !keys.some((key) => taken.has(key)))]);
  }
}
