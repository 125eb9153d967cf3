import type { PageData } from '../../wire/page.ts';
import { Bar, barButton, barLink } from '../frame/bar.ts';
import { formatBytes } from '../frame/format.ts';
import { HelpSheet } from '../keys/help-sheet.ts';
import { type KeyAction, KeyTable } from '../keys/key-table.ts';
import { rowsOf as rowsOfLog } from '../log/rows.ts';
import { StateBadge } from '../state/state-badge.ts';
import { TokenPrompt } from '../state/token-prompt.ts';
import { LiveLog } from './live-log.ts';
import { LogSelection } from './log-selection.ts';
import { LogView } from './log-view.ts';
import { Pill } from './pill.ts';
import { RowList } from './row-list.ts';
import type { RowsOf } from './row-window.ts';
import { ScrollInput } from './scroll-input.ts';
import { Scrollbar } from './scrollbar.ts';

/** For so long a notice is shown, in milliseconds. */
const NOTICE_MS = 5000;

/** What is different where the lines are of another kind than those of a terminal. */
export interface LogPageOptions {
  /** Makes rows of bytes. Default: as a terminal would show them. */
  rowsOf?: RowsOf;
  /** Keys that do more. Default none. */
  keys?: readonly KeyAction[];
}

/** The page of a text: all its parts, and who tells whom. */
export class LogPage {
  readonly live: LiveLog;
  readonly view: LogView;
  readonly bar: Bar;
  /** What the view is in, with all that is beside it. */
  readonly frame = document.createElement('div');
  readonly #list: RowList;
  readonly #badge: StateBadge;
  readonly #prompt: TokenPrompt;
  readonly #pill: Pill;
  readonly #scrollbar: Scrollbar;
  readonly #wrap: HTMLButtonElement;
  readonly #notice = document.createElement('p');
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor({ path }: PageData, { rowsOf = rowsOfLog, keys: more = [] }: LogPageOptions = {}) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    this.live = new LiveLog(new URL(location.href), {
      grown: () => this.#onGrown(),
      changed: () => this.#onChanged(),
    });
    this.#badge = new StateBadge(name, () => this.live.reconnect());
    this.bar = new Bar(path, this.#badge.element);
    this.#list = new RowList((row, origin) => (origin === 0 ? row.line : undefined));
    this.view = new LogView(this.live.store, this.#list, rowsOf, {
      painted: (extent) => this.#scrollbar.show(extent),
      following: (follows) => this.#pill.leave(follows ? undefined : this.live.linesCome),
      failed: (error) => this.tell(`Bytes could not be read: ${(error as Error).message}`),
    });
    this.view.element.ariaLabel = `Text of ${name}`;
    this.#scrollbar = new Scrollbar((position) => this.#scrollTo(position));
    this.#pill = new Pill(() => this.view.goToEnd());
    this.#prompt = new TokenPrompt(() => this.live.start());
    new ScrollInput(this.view.element, this.view);
    new LogSelection(this.view, (text) => this.tell(text));
    this.#notice.className = 'notice';
    this.#notice.role = 'status';
    this.#notice.hidden = true;
    this.#wrap = barButton('Wrap', 'Let long lines go on below (w)', () => this.#toggleWrap());
    this.#wrap.ariaPressed = 'false';
    const help = new HelpSheet(() => keys);
    const keys = this.#keys(help, more);
    this.bar.add(
      this.#wrap,
      barLink('Raw', 'The bytes as they are', '?raw'),
      this.#downloadLink(name),
      barButton('?', 'Keys (?)', () => help.toggle()),
    );
    this.frame.className = 'view';
    this.frame.append(this.view.element, this.#scrollbar.element, this.#pill.element);
    const main = document.createElement('main');
    main.append(this.#notice, this.#prompt.element, this.frame);
    document.body.append(this.bar.element, main, help.element);
  }

  start(): void {
    this.live.start();
    this.view.element.focus();
  }

  #onGrown(): void {
    this.view.grown();
    // A hidden tab paints nothing, but its title counts on.
    this.#pill.count(this.live.linesCome);
    this.#showFacts();
  }

  #onChanged(): void {
    const { state } = this.live;
    this.#badge.show(state);
    if (state.kind === 'locked') this.#prompt.ask(state.refused);
    else this.#prompt.hide();
    this.frame.hidden = state.kind === 'locked';
    this.#showFacts();
  }

  #showFacts(): void {
    this.bar.showFacts([formatBytes(this.live.store.size)]);
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

  /** Says something for some seconds. */
  tell(text: string): void {
    this.#notice.textContent = text;
    this.#notice.hidden = false;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => {
      this.#notice.hidden = true;
    }, NOTICE_MS);
  }

  #downloadLink(name: string): HTMLAnchorElement {
    const link = barLink('Download', 'The file as it is now', '?raw');
    link.download = name;
    return link;
  }

  #keys(help: HelpSheet, more: readonly KeyAction[]): KeyTable {
    const view = this.view;
    const { rowPx } = this.#list;
    return new KeyTable([
      { keys: ['ArrowDown', 'j'], does: 'a line down', run: () => view.scrollBy(rowPx) },
      { keys: ['ArrowUp', 'k'], does: 'a line up', run: () => view.scrollBy(-rowPx) },
      { keys: ['PageDown', ' '], does: 'a page down', run: () => view.scrollByPages(1) },
      { keys: ['PageUp'], does: 'a page up', run: () => view.scrollByPages(-1) },
      { keys: ['Home'], does: 'the beginning', run: () => view.goTo(0) },
      { keys: ['End', 'G'], does: 'the end, and what comes', run: () => view.goToEnd() },
      { keys: ['w'], does: 'wrap long lines, or do not', run: () => this.#toggleWrap() },
      ...more,
      { keys: ['?'], does: 'this help', run: () => help.toggle() },
    ]);
  }
}
