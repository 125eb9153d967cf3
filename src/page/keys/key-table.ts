/** One thing that a key does. The help sheet is made of these, too. */
export interface KeyAction {
  /** As `KeyboardEvent.key` has them: any of them does it. */
  readonly keys: readonly string[];
  /** What it does, for the help sheet. */
  readonly does: string;
  /** Does it, in place of what the browser would have done. */
  run(): void;
}

/** Names of keys as the help sheet has them. */
const NAMES: Readonly<Record<string, string>> = {
  ' ': 'Space',
  ArrowDown: '↓',
  ArrowLeft: '←',
  ArrowRight: '→',
  ArrowUp: '↑',
  Escape: 'Esc',
  PageDown: 'Page down',
  PageUp: 'Page up',
};

/** What is typed there belongs to it. */
const FIELDS = 'input, textarea, select, [contenteditable]';

/** What these do with Enter and the space bar is theirs. */
const CONTROLS = 'button, a, summary';

/** One table of keys: it answers them, and says which there are. */
export class KeyTable {
  readonly #actions: readonly KeyAction[];

  constructor(actions: readonly KeyAction[]) {
    this.#actions = actions;
    document.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** The table as rows of a help sheet. */
  rows(): { keys: readonly string[]; does: string }[] {
    return this.#actions.map(({ keys, does }) => ({ keys: keys.map((key) => NAMES[key] ?? key), does }));
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    const target = event.target as Element;
    // What is open over the page has its own.
    if (target.closest('dialog')) return;
    if (target.closest(FIELDS) && event.key !== 'Escape') return;
    if (target.closest(CONTROLS) && (event.key === 'Enter' || event.key === ' ')) return;
    const action = this.#actions.find(({ keys }) => keys.includes(event.key));
    if (action === undefined) return;
    event.preventDefault();
    action.run();
  }
}
