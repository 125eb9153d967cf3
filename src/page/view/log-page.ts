import type { PageData } from '../../wire/page.ts';
import { barButton } from '../frame/bar.ts';
import { GroupOutline } from '../groups/group-outline.ts';
import { HelpSheet } from '../keys/help-sheet.ts';
import { KeyTable } from '../keys/key-table.ts';
import { FileFrame } from '../kinds/file-frame.ts';
import { FoldedRows } from './folded-rows.ts';
import { learnMarks } from './learn-marks.ts';
import { LogSelection } from './log-selection.ts';
import { LogView } from './log-view.ts';
import { Pill } from './pill.ts';
import { RowList } from './row-list.ts';
import { RowNotesSource } from './row-notes.ts';
import { RowWindow } from './row-window.ts';
import { ScrollInput } from './scroll-input.ts';
import { Scrollbar } from './scrollbar.ts';

const FULL_SCREEN = 'A program wrote here that draws on the whole screen: Raw has what it wrote.';

/** The page of a text: all its parts, and who tells whom. */
export class LogPage {
  readonly #frame: FileFrame;
  readonly #outline = new GroupOutline();
  readonly #list: RowList;
  readonly #view: LogView;
  readonly #pill: Pill;
  readonly #scrollbar: Scrollbar;
  readonly #wrap = barButton('Wrap', 'Let long lines go on below (w)', () => this.#toggleWrap());
  readonly #element = document.createElement('div');
  #areAllFolded = false;
  #saidFullScreen = false;

  constructor({ path }: PageData) {
    this.#frame = new FileFrame(path, {
      grown: () => this.#onGrown(),
      changed: () => this.#onChanged(),
    });
    const { live, name } = this.#frame;
    const { store, arrivals } = live;
    const lineAt = (position: number) => (position === 0 ? 0 : undefined);
    const notes = new RowNotesSource(lineAt, arrivals, this.#outline);
    this.#list = new RowList((row) => notes.of(row));
    const rows = new RowWindow(store, (bytes, at) => learnMarks(this.#outline, bytes, at));
    this.#view = new LogView(store, new FoldedRows(rows, this.#outline), this.#list, {
      painted: (extent, isFullScreen) => {
        this.#scrollbar.show(extent);
        if (isFullScreen) this.#sayFullScreen();
      },
      following: (follows) => this.#pill.leave(follows ? undefined : live.linesCome),
      failed: (error) => this.#frame.tell(`Some of it could not be read: ${(error as Error).message}`),
    });
    this.#view.element.ariaLabel = `Text of ${name}`;
    this.#scrollbar = new Scrollbar((position) => this.#scrollTo(position));
    this.#pill = new Pill(() => this.#view.goToEnd());
    new ScrollInput(this.#view.element, this.#view);
    new LogSelection(this.#view, rows, (text) => this.#frame.tell(text));
    this.#list.element.addEventListener('click', (event) => this.#onClick(event));
    this.#build();
  }

  start(): void {
    this.#frame.live.start();
  }

  #build(): void {
    const help = new HelpSheet(() => keys);
    const keys = this.#keys(help);
    this.#wrap.ariaPressed = 'false';
    this.#frame.bar.add(this.#wrap);
    this.#frame.addLinks();
    this.#frame.bar.add(barButton('?', 'Keys (?)', () => help.toggle()));
    this.#element.className = 'view';
    this.#element.append(this.#view.element, this.#scrollbar.element, this.#pill.element);
    this.#frame.add(this.#element);
    document.body.append(help.element);
  }

  #onGrown(): void {
    this.#view.grown();
    // A hidden tab paints nothing, but counts on.
    this.#pill.count(this.#frame.live.linesCome);
  }

  #onChanged(): void {
    this.#element.hidden = this.#frame.live.state.kind === 'locked';
    // Times of arrival become known after the bytes.
    this.#view.grown();
  }

  #scrollTo(position: number): void {
    if (position >= this.#frame.live.store.size) this.#view.goToEnd();
    else this.#view.goTo(position);
  }

  #toggleWrap(): void {
    this.#list.wraps = !this.#list.wraps;
    this.#wrap.ariaPressed = String(this.#list.wraps);
    this.#view.refresh();
  }

  #toggleAll(): void {
    this.#areAllFolded = !this.#areAllFolded;
    this.#outline.setAllFolded(this.#areAllFolded);
    this.#view.refresh();
  }

  #onClick({ target }: MouseEvent): void {
    const element = this.#list.elementOf(target as Node);
    const row = element && this.#list.rowOf(element);
    if (row === undefined || !(target as Element).closest('.mark button')) return;
    const group = this.#outline.headerAt(row.start);
    if (group === undefined) return;
    this.#outline.setFolded(group, !this.#outline.isFolded(group));
    this.#view.refresh();
  }

  #sayFullScreen(): void {
    if (this.#saidFullScreen) return;
    this.#saidFullScreen = true;
    this.#frame.tell(FULL_SCREEN);
  }

  #keys(help: HelpSheet): KeyTable {
    const view = this.#view;
    const { rowPx } = this.#list;
    return new KeyTable([
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
      { keys: ['?'], does: 'this help', run: () => help.toggle() },
    ]);
  }
}
