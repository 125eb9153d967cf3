import type { KeyAction } from '../keys/key-table.ts';
import type { SearchPanel } from './search-panel.ts';
import type { SearchedLog } from './searched-log.ts';
import { type Typed, TypedAhead } from './typed-ahead.ts';

/** The search of a log: its panel is loaded when it is first opened. */
export class LogSearch {
  readonly #log: SearchedLog;
  #loading: Promise<SearchPanel> | undefined;
  #panel: SearchPanel | undefined;

  constructor(log: SearchedLog) {
    this.#log = log;
  }

  /** What keys do with it. */
  keys(): KeyAction[] {
    return [
      { keys: ['/'], does: 'search', run: () => this.open() },
      { keys: ['n'], does: 'the next match', run: () => this.#panel?.go(1) },
      { keys: ['N'], does: 'the match before', run: () => this.#panel?.go(-1) },
      {
        keys: ['g'],
        does: 'go to a line',
        run: () => void this.#open((panel, typed) => panel.askLine(typed)),
      },
    ];
  }

  /** Opens it, as the key does. */
  open(): void {
    void this.#open((panel, typed) => panel.open(typed));
  }

  /** To be called when rows were painted. */
  painted(): void {
    this.#panel?.painted();
  }

  /** To be called when bytes have come. */
  grown(): void {
    this.#panel?.grown();
  }

  /** @param use is told what was typed until there was a panel to take it */
  async #open(use: (panel: SearchPanel, typed: Typed) => void): Promise<void> {
    if (this.#panel !== undefined) {
      use(this.#panel, { text: '', end: undefined });
      return;
    }
    // The first key that opens it has the other ones.
    if (this.#loading !== undefined) return;
    const typed = new TypedAhead();
    this.#loading ??= import('./search-panel.ts').then(({ SearchPanel }) => new SearchPanel(this.#log));
    try {
      this.#panel = await this.#loading;
      const taken = typed.end();
      if (taken.end !== 'Escape') use(this.#panel, taken);
    } catch {
      typed.end();
      this.#loading = undefined;
      this.#log.tell('The search could not be loaded: the server may be away.');
    }
  }
}
