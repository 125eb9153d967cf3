import type { SearchMatch } from '../../wire/page-requests.ts';
import { barButton } from '../frame/bar.ts';
import { formatCount } from '../frame/format.ts';
import { VirtualList } from '../list/virtual-list.ts';
import { FileSearch } from './file-search.ts';
import { FilteredLines } from './filtered-lines.ts';
import { MatchHighlight } from './match-highlight.ts';
import type { SearchText } from './search-stream.ts';
import type { SearchedLog } from './searched-log.ts';
import type { Typed } from './typed-ahead.ts';

/** How long after a key what was typed is searched for, in milliseconds. */
const TYPED_MS = 200;

/** Longest text that the server searches for, in characters. */
const MAX_TEXT_LENGTH = 1000;

/** What is searched for, how many matches there are, and the way from one to the next; or only the lines that match. */
export class SearchPanel {
  readonly element = document.createElement('search');
  readonly #log: SearchedLog;
  readonly #highlight: MatchHighlight;
  readonly #text = document.createElement('input');
  readonly #line = document.createElement('input');
  readonly #said = document.createElement('output');
  readonly #case = toggle(
    'Aa',
    'Tell small and capital letters apart; else only if there is a capital one',
    () => this.#begin(),
  );
  readonly #regex = toggle('.*', 'A regular expression', () => this.#begin());
  readonly #filter = toggle('Only lines that match', 'In place of the log', () => this.#begin());
  readonly #lines: VirtualList;
  #search: FileSearch | undefined;
  #current: SearchMatch | undefined;
  /** Whether nobody has gone anywhere since the search began: the first match is shown when it comes. */
  #isFirst = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;
  /** A line to which to go, when it is known where it is. */
  #wantedLine: number | undefined;

  constructor(log: SearchedLog) {
    this.#log = log;
    this.#highlight = new MatchHighlight(log.store, log.list);
    const rows = new FilteredLines(
      () => this.#search?.results,
      log.store,
      () => this.#lines.refresh(),
    );
    this.#lines = new VirtualList(rows);
    this.#lines.element.classList.add('filtered');
    this.#lines.element.role = 'region';
    this.#lines.element.ariaLabel = 'Lines that match';
    this.#lines.element.tabIndex = 0;
    this.#lines.element.hidden = true;
    this.#lines.element.addEventListener('click', (event) => this.#onClick(event));
    this.#build();
    log.element.before(this.element);
    log.element.after(this.#lines.element);
  }

  /** Shows it, and takes what is typed, behind what was typed before. */
  open({ text }: Typed): void {
    this.element.hidden = false;
    take(this.#text, text);
    if (this.#search === undefined || text !== '') this.#begin();
  }

  /** Takes the number of a line, of which some or all may have been typed before, and goes there. */
  askLine({ text, end }: Typed): void {
    this.element.hidden = false;
    take(this.#line, text);
    if (end === 'Enter') this.#leaveLine();
  }

  /** Goes to another match: so many further down, or up if negative; at the end, to the other one. */
  go(by: 1 | -1): void {
    const results = this.#search?.results;
    if (results === undefined || results.count === 0) return;
    const from = this.#current?.at ?? this.#position;
    const index = results.indexFrom(from);
    const isAt = results.at(index)?.at === this.#current?.at;
    const next = by === 1 ? index + Number(isAt) : index - 1;
    this.#show(results.at((next + results.count) % results.count)!);
  }

  /** To be called when rows were painted. */
  painted(): void {
    if (this.#wantedLine !== undefined && this.#log.index.isKnown(this.#wantedLine - 1))
      void this.#goToLine();
    if (!this.element.hidden) this.#highlight.show(this.#search?.results, this.#current);
  }

  /** To be called when bytes have come. */
  grown(): void {
    this.#search?.grown(this.#log.store.size);
  }

  #build(): void {
    this.element.className = 'search';
    this.element.hidden = true;
    for (const input of [this.#text, this.#line]) {
      input.autocomplete = 'off';
      input.spellcheck = false;
    }
    this.#text.type = 'search';
    this.#text.ariaLabel = 'Search in the whole file';
    this.#text.placeholder = 'Search';
    this.#text.maxLength = MAX_TEXT_LENGTH;
    this.#line.inputMode = 'numeric';
    this.#line.ariaLabel = 'Go to line';
    this.#line.placeholder = 'Line';
    this.#line.className = 'line';
    this.#text.addEventListener('input', () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#begin(), TYPED_MS);
    });
    this.#text.addEventListener('keydown', (event) => this.#onKey(event));
    this.#line.addEventListener('keydown', ({ key }) => {
      if (key === 'Enter') this.#leaveLine();
    });
    this.element.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      this.#close();
    });
    this.element.append(
      ...[this.#text, this.#case, this.#regex, this.#said],
      sign('↑', 'The match before', 'N', () => this.go(-1)),
      sign('↓', 'The next match', 'n', () => this.go(1)),
      ...[this.#filter, this.#line],
      sign('×', 'Close the search', 'Esc', () => this.#close()),
    );
  }

  get #position(): number {
    return this.#log.list.rows[0]?.start ?? 0;
  }

  get #isFiltering(): boolean {
    return isOn(this.#filter) && this.#search !== undefined;
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault();
    if (this.#search?.text.text !== this.#text.value) this.#begin();
    else this.go(event.shiftKey ? -1 : 1);
  }

  /** Searches for what is typed. */
  #begin(): void {
    clearTimeout(this.#timer);
    this.#search?.stop();
    this.#search = undefined;
    this.#current = undefined;
    const { value: text } = this.#text;
    if (text !== '') {
      const wanted: SearchText = {
        text,
        mode: isOn(this.#regex) ? 'regex' : 'literal',
        case: isOn(this.#case) ? 'sensitive' : 'smart',
        per: isOn(this.#filter) ? 'line' : 'match',
      };
      this.#isFirst = !isOn(this.#filter);
      this.#search = new FileSearch(this.#log.search, wanted, this.#position, () => this.#schedule());
      this.grown();
    }
    this.#update();
  }

  /** A search may tell much at once. */
  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#update();
    });
  }

  #update(): void {
    const results = this.#search?.results;
    if (this.#isGone(this.#current)) this.#current = undefined;
    if (this.#isFirst && results !== undefined && results.count > 0) {
      this.#show(results.at(results.indexFrom(this.#position)) ?? results.at(results.count - 1)!);
    }
    this.#log.element.hidden = this.#isFiltering;
    const { element, isAtEnd } = this.#lines;
    element.hidden = !this.#isFiltering;
    this.#lines.refresh();
    // What comes is followed.
    if (isAtEnd && results !== undefined) this.#lines.reveal(results.count - 1);
    const said = this.#words();
    if (this.#said.textContent !== said) this.#said.textContent = said;
    this.painted();
  }

  /** Whether a match is none any more: its line was being written. */
  #isGone(match: SearchMatch | undefined): boolean {
    if (match === undefined || this.#search === undefined) return false;
    const { state, results } = this.#search;
    const isThrough = state.kind === 'done' && state.end === 'complete';
    return isThrough && results.at(results.indexFrom(match.at))?.at !== match.at;
  }

  #words(): string {
    if (this.#search === undefined) return '';
    const { state, results } = this.#search;
    if (state.kind === 'invalid' || state.kind === 'failed') return state.detail;
    const { count } = results;
    const index = this.#current === undefined ? undefined : results.indexFrom(this.#current.at) + 1;
    const number = `${index === undefined ? '' : `${formatCount(index)} of `}${formatCount(count)}`;
    if (state.kind === 'searching') return `${number} so far, ${this.#share()} %`;
    if (state.end === 'limit') return `${number} and more`;
    if (state.end === 'deadline') return `${number} in ${this.#share()} %: it took too long`;
    return count === 0 ? 'nothing found' : number;
  }

  /** How much was searched, in percent. */
  #share(): number {
    const [start, end] = this.#search?.results.searched ?? [0, 0];
    return Math.floor((100 * (end - start)) / Math.max(1, this.#log.store.size));
  }

  #show(match: SearchMatch): void {
    this.#isFirst = false;
    this.#current = match;
    if (this.#isFiltering) this.#lines.reveal(this.#search!.results.indexFrom(match.at));
    else this.#log.goTo(match.at);
    this.#schedule();
  }

  /** Leads from a line that matches to where it is in the log. */
  #onClick({ target }: MouseEvent): void {
    const at = (target as Element).closest<HTMLElement>('[data-at]')?.dataset.at;
    const selection = document.getSelection();
    if (at === undefined || selection?.isCollapsed === false) return;
    const { results } = this.#search!;
    const match = results.at(results.indexFrom(Number(at)))!;
    this.#filter.ariaPressed = 'false';
    this.#begin();
    this.#show(match);
  }

  /** The number is typed: keys are the log's again. */
  #leaveLine(): void {
    void this.#goToLine();
    this.#focusLog();
  }

  /** Goes to the line that is typed, or, if nobody knows yet where it is, as soon as that is known. */
  async #goToLine(): Promise<void> {
    const number = Number(this.#line.value.replaceAll(/[\s,._]/g, ''));
    if (!Number.isSafeInteger(number) || number < 1) return;
    this.#wantedLine = undefined;
    try {
      const position = await this.#log.index.positionOf(number - 1);
      if (position !== undefined) this.#log.goTo(position);
      else {
        this.#wantedLine = number;
        this.#log.tell(
          `Lines are being counted: ${formatCount(number)} is shown when it is known where it is.`,
        );
      }
    } catch (error) {
      this.#log.tell(`The line could not be read: ${(error as Error).message}`);
    }
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#search?.stop();
    this.#search = undefined;
    this.#current = undefined;
    this.#wantedLine = undefined;
    this.#filter.ariaPressed = 'false';
    this.#update();
    this.element.hidden = true;
    this.#highlight.show(undefined, undefined);
    this.#focusLog();
  }

  /** Keys are the log's again. */
  #focusLog(): void {
    (this.#log.element.querySelector<HTMLElement>('[tabindex]') ?? this.#log.element).focus();
  }
}

/** Lets a field take what is typed: in place of what is in it, or behind what was typed before. */
function take(field: HTMLInputElement, typed: string): void {
  field.focus();
  if (typed === '') field.select();
  else field.value = typed;
}

/** A button with a sign on it, which is read aloud by its name. */
function sign(text: string, name: string, key: string, onClick: () => void): HTMLButtonElement {
  const button = barButton(text, `${name} (${key})`, onClick);
  button.ariaLabel = name;
  return button;
}

function toggle(text: string, hint: string, changed: () => void): HTMLButtonElement {
  const button = barButton(text, hint, () => {
    button.ariaPressed = String(!isOn(button));
    changed();
  });
  button.ariaPressed = 'false';
  return button;
}

function isOn({ ariaPressed }: HTMLButtonElement): boolean {
  return ariaPressed === 'true';
}
