import { LIST_VIEW, VIEW_QUERY } from '../../wire/page.ts';
import { Bar, barButton, barLink } from '../frame/bar.ts';
import { fetchWithToken } from '../frame/fetch-with-token.ts';
import { formatBytes, formatCount, formatTime } from '../frame/format.ts';
import { HelpSheet } from '../keys/help-sheet.ts';
import { KeyTable } from '../keys/key-table.ts';
import { tabToken } from '../state/tab-token.ts';
import { TokenPrompt } from '../state/token-prompt.ts';
import { UploadInput } from '../upload/upload-input.ts';
import { DirectoryModel } from './directory-model.ts';
import { DirectoryView } from './directory-view.ts';
import { listingOf } from './listing.ts';

const LIST_URL = `?${VIEW_QUERY}=${LIST_VIEW}`;

/** The page of a directory: its entries, as they are now and as they change. */
export class DirectoryPage {
  readonly #model = new DirectoryModel();
  readonly #view: DirectoryView;
  readonly #bar: Bar;
  readonly #asOf = document.createElement('span');
  readonly #prompt = new TokenPrompt(() => this.load());
  readonly #filter = document.createElement('input');
  readonly #hint = document.createElement('p');
  readonly #uploads: UploadInput;

  /** @param path decoded, with a slash at its end */
  constructor(path: string) {
    this.#view = new DirectoryView(this.#model, path);
    this.#asOf.className = 'facts';
    this.#bar = new Bar(path, this.#asOf);
    this.#makeFilter();
    this.#bar.add(
      this.#filter,
      barButton('Reload', 'What is there now (r)', () => this.load()),
      barLink('Raw', 'The listing without this page', '?raw'),
    );
    this.#uploads = new UploadInput(new URL('./', location.href), this.#bar, () => this.load());
    this.#hint.className = 'hint';
    this.#hint.hidden = true;
    const help = this.#makeKeys();
    const main = document.createElement('main');
    main.append(this.#view.element);
    document.body.append(this.#bar.element, this.#prompt.element, this.#hint, main, help.element);
  }

  /** Reads the directory. */
  async load(): Promise<void> {
    const answer = await fetchWithToken(LIST_URL);
    if (answer.status === 401 || answer.status === 403) {
      this.#prompt.ask(tabToken() !== undefined);
      return;
    }
    if (!answer.ok) {
      this.#say(`It cannot be listed: the server answers ${answer.status}.`);
      return;
    }
    const serverMs = Date.parse(answer.headers.get('date') ?? '') || Date.now();
    this.#view.setClock(serverMs);
    this.#asOf.textContent = `as of ${formatTime(serverMs)}`;
    const { entries, isTruncated } = listingOf(await answer.json());
    this.#model.replace(entries);
    this.#say(
      isTruncated ? 'There are more names than are listed.' : entries.length === 0 ? 'Nothing is here.' : '',
    );
    this.#show();
    await this.#uploads.offer();
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
      if (event.key === 'Enter') this.#view.open();
      else if (event.key === 'ArrowDown') {
        this.#view.element.focus();
        this.#view.active.set(0);
      } else return;
      event.preventDefault();
    });
  }

  #makeKeys(): HelpSheet {
    const view = this.#view;
    const keys = new KeyTable([
      ...view.active.actions(),
      { keys: ['Enter'], does: 'open', run: () => view.open() },
      { keys: ['Backspace', 'u'], does: 'one directory up', run: () => location.assign('../') },
      { keys: ['/'], does: 'filter by name', run: () => this.#filter.focus() },
      { keys: ['Escape'], does: 'show all names', run: () => this.#clearFilter() },
      { keys: ['n'], does: 'sort by name', run: () => view.sortBy('name') },
      { keys: ['s'], does: 'sort by size', run: () => view.sortBy('size') },
      { keys: ['m'], does: 'sort by time of change', run: () => view.sortBy('modified') },
      { keys: ['r'], does: 'read it again', run: () => void this.load() },
      { keys: ['?'], does: 'this sheet', run: () => help.toggle() },
    ]);
    const help = new HelpSheet(() => keys);
    return help;
  }

  #clearFilter(): void {
    this.#filter.value = '';
    this.#model.setFilter('');
    this.#view.element.focus();
    this.#show();
  }
}
