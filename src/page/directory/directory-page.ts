import { Bar, barLink } from '../frame/bar.ts';
import { formatBytes, formatCount } from '../frame/format.ts';
import { HelpSheet } from '../keys/help-sheet.ts';
import { KeyTable } from '../keys/key-table.ts';
import { StateBadge } from '../state/state-badge.ts';
import type { StreamState } from '../state/stream-state.ts';
import { TokenPrompt } from '../token/token-prompt.ts';
import { UploadInput } from '../upload/upload-input.ts';
import type { DirectoryEntry } from './directory-entry.ts';
import { DirectoryFollow } from './directory-follow.ts';
import { DirectoryModel } from './directory-model.ts';
import { DirectoryView } from './directory-view.ts';
import { fetchList, ListRefusedError } from './fetch-list.ts';

/** How long after a list could not be read it is tried again, in milliseconds. */
const RETRY_MS = 2000;

/** The page of a directory: its entries, as they are now and as they change. */
export class DirectoryPage {
  readonly #model = new DirectoryModel();
  readonly #view: DirectoryView;
  readonly #bar: Bar;
  readonly #badge: StateBadge;
  readonly #follow: DirectoryFollow;
  readonly #prompt: TokenPrompt;
  readonly #filter = document.createElement('input');
  readonly #hint = document.createElement('p');
  readonly #uploads: UploadInput;
  readonly #isRoot: boolean;
  /** Changes that are not shown yet: they come many at once. */
  readonly #changes = new Map<string, DirectoryEntry | undefined>();
  #frame = 0;
  #reading: AbortController | undefined;
  /** What becomes of the list that is read, or was last. */
  #listed = Promise.resolve(false);
  #hasFailed = false;

  /** @param path decoded, with a slash at its end */
  constructor(path: string) {
    this.#isRoot = path === '/';
    this.#follow = new DirectoryFollow(new URL(location.href), {
      list: () => this.#read(),
      changed: (name, entry) => this.#onChanged(name, entry),
      stateChanged: (state) => this.#onState(state),
    });
    this.#view = new DirectoryView(this.#model, path);
    this.#badge = new StateBadge(path, () => this.#follow.reconnect());
    this.#prompt = new TokenPrompt(() => this.#follow.start());
    this.#bar = new Bar(path, this.#badge.element);
    this.#makeFilter();
    const help = this.#makeKeys();
    const raw = barLink('Raw', 'The listing without this page', '?raw');
    raw.className = 'wide-only';
    this.#bar.add(this.#filter, raw, help.button);
    this.#uploads = new UploadInput(
      new URL('./', location.href),
      this.#bar,
      () => void this.#read(),
      (text) => this.#say(text),
    );
    this.#hint.className = 'hint';
    this.#hint.hidden = true;
    const main = document.createElement('main');
    main.append(this.#prompt.element, this.#hint, this.#view.element);
    document.body.append(this.#bar.element, main, help.element);
  }

  /** Reads the directory, and what changes in it. */
  start(): void {
    this.#follow.start();
  }

  #onState(state: StreamState): void {
    this.#badge.show(state);
    const isLocked = state.kind === 'locked';
    this.#hasFailed = state.kind === 'failed';
    if (isLocked) this.#prompt.ask(state.refused);
    else this.#prompt.hide();
    this.#view.element.hidden = isLocked;
  }

  /**
   * Reads the list: again after what passes, until it is there or refused.
   *
   * @returns whether it is there; if it is read anew meanwhile, whether that one is
   */
  #read(): Promise<boolean> {
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.#listed = this.#readList(reading.signal);
    return this.#listed;
  }

  async #readList(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      // What is told from now on comes after the list, or is in it.
      this.#changes.clear();
      try {
        const { entries, isTruncated, serverMs } = await fetchList(signal);
        this.#reading = undefined;
        this.#view.setClock(serverMs);
        this.#model.replace(entries);
        this.#say(isTruncated ? 'There are more names than are listed.' : '');
        this.#showChanges();
        void this.#uploads.offer();
        return true;
      } catch (error) {
        if (signal.aborted) break;
        this.#say(`It could not be listed: ${(error as Error).message}.`);
        if (error instanceof ListRefusedError) return false;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    return this.#listed;
  }

  /** Also what could not be followed: it may be possible by now. */
  #readAgain(): void {
    if (this.#hasFailed) this.#follow.start();
    else void this.#read();
  }

  #onChanged(name: string, entry: DirectoryEntry | undefined): void {
    this.#changes.set(name, entry);
    if (this.#reading === undefined) this.#schedule();
  }

  /** A tab that is not seen paints nothing: what came meanwhile is shown at once when it is. */
  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#showChanges();
    });
  }

  #showChanges(): void {
    // Else a list that is older than they are would take their place.
    if (this.#reading !== undefined) return;
    const changed = [...this.#changes.values()].filter((entry) => entry !== undefined);
    const gone = [...this.#changes].filter(([, entry]) => entry === undefined).map(([name]) => name);
    this.#changes.clear();
    this.#model.apply(changed, gone);
    this.#show();
  }

  #show(): void {
    const { shown, count } = this.#model;
    const sizes = shown.reduce((sum, { size }) => sum + (size ?? 0), 0);
    const isFiltered = shown.length < count;
    this.#bar.showFacts([
      `${isFiltered ? `${formatCount(shown.length)} of ` : ''}${formatCount(count)} ${count === 1 ? 'entry' : 'entries'}`,
      formatBytes(sizes),
    ]);
    this.#view.refresh();
  }

  #say(text: string): void {
    this.#hint.textContent = text;
    this.#hint.hidden = text === '';
  }

  #makeFilter(): void {
    this.#filter.type = 'search';
    this.#filter.placeholder = 'Filter';
    this.#filter.ariaLabel = 'Filter by name';
    this.#filter.title = 'Names with all of these words  /';
    this.#filter.addEventListener('input', () => {
      this.#model.setFilter(this.#filter.value);
      this.#view.goToTop();
      this.#show();
    });
    this.#filter.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Enter') this.#view.openFirst();
      else if (event.key === 'ArrowDown') {
        this.#view.active.set(0);
      } else return;
      event.preventDefault();
    });
  }

  #makeKeys(): HelpSheet {
    const view = this.#view;
    const keys = new KeyTable([
      ...view.active.actions(),
      { keys: ['Enter'], does: 'open', run: () => view.openActive() },
      { keys: ['Backspace', 'u'], does: 'one directory up', run: () => this.#goUp() },
      { keys: ['/'], does: 'filter by name', run: () => this.#filter.focus() },
      { keys: ['Escape'], does: 'show all names', run: () => this.#clearFilter() },
      { keys: ['n'], does: 'sort by name', run: () => view.sortBy('name') },
      { keys: ['s'], does: 'sort by size', run: () => view.sortBy('size') },
      { keys: ['m'], does: 'sort by time of change', run: () => view.sortBy('modified') },
      { keys: ['r'], does: 'read it again', run: () => this.#readAgain() },
      { keys: ['?'], does: 'this sheet', run: () => help.toggle() },
    ]);
    const help = new HelpSheet(() => keys);
    return help;
  }

  #goUp(): void {
    if (!this.#isRoot) location.assign('../');
  }

  #clearFilter(): void {
    this.#filter.value = '';
    this.#model.setFilter('');
    this.#view.element.focus();
    this.#show();
  }
}
