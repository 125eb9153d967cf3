import { visible } from '../frame/visible.ts';
import { type StateWords, type StreamState, wordsOf } from './stream-state.ts';

const TICK_MS = 1000;

/** Says, in a dot and a word, what is known of what the page shows. The tab's title and icon say the same. */
export class StateBadge {
  readonly element = document.createElement('div');
  readonly #word = document.createElement('span');
  readonly #now = document.createElement('button');
  readonly #voice = document.createElement('span');
  readonly #icon = document.createElement('link');
  readonly #name: string;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `name` is what the tab is called; `reconnect` is for those who do not want to wait for the next attempt. */
  constructor(name: string, reconnect: () => void) {
    this.#name = visible(name);
    const dot = document.createElement('span');
    dot.className = 'dot';
    // A countdown would be read aloud each second: what is heard is another text.
    this.#word.ariaHidden = 'true';
    this.#voice.className = 'only-heard';
    this.#voice.role = 'status';
    this.#now.type = 'button';
    this.#now.textContent = 'now';
    this.#now.addEventListener('click', reconnect);
    this.element.className = 'state';
    this.element.append(dot, this.#word, this.#now, this.#voice);
    this.#icon.rel = 'icon';
    document.head.append(this.#icon);
    this.show({ kind: 'connecting' });
  }

  show(state: StreamState): void {
    clearTimeout(this.#timer);
    const words = wordsOf(state, Date.now());
    this.#showWords(words);
    const counts = state.kind === 'reconnecting' && state.at !== undefined;
    this.#now.hidden = !counts;
    if (counts) this.#timer = setTimeout(() => this.show(state), TICK_MS);
  }

  #showWords({ tone, word, meaning }: StateWords): void {
    this.element.dataset.tone = tone;
    this.element.title = meaning;
    this.#word.textContent = word;
    const heard = word.replace(/ in \d+ s$/, '');
    if (this.#voice.textContent !== heard) this.#voice.textContent = heard;
    const title = `${SIGNS[tone]} ${this.#name}`;
    if (document.title === title) return;
    document.title = title;
    this.#icon.href = iconOf(tone);
  }
}

/** What stands before the name in the tab. */
const SIGNS: Record<StateWords['tone'], string> = { live: '●', waiting: '◌', done: '✓', bad: '✕', idle: '·' };

/** The shapes are told apart without colours, too; these do on light and dark tabs. */
const SHAPES: Record<StateWords['tone'], string> = {
  live: '<circle cx="8" cy="8" r="6" fill="#1a9e3f"/>',
  waiting: '<circle cx="8" cy="8" r="5" fill="none" stroke="#c68a00" stroke-width="3"/>',
  done: '<path d="M3 8l4 4 6-8" fill="none" stroke="#7d8590" stroke-width="3"/>',
  bad: '<path d="M3 3l10 10M13 3L3 13" stroke="#d1242f" stroke-width="3"/>',
  idle: '<circle cx="8" cy="8" r="3" fill="#7d8590"/>',
};

function iconOf(tone: StateWords['tone']): string {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${SHAPES[tone]}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
