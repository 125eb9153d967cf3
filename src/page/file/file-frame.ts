import { Bar, barLink } from '../frame/bar.ts';
import { formatBytes, formatCount } from '../frame/format.ts';
import { StateBadge } from '../state/state-badge.ts';
import { wordsOf } from '../state/stream-state.ts';
import { withTabToken } from '../token/token-links.ts';
import { TokenPrompt } from '../token/token-prompt.ts';
import { LiveFile, type LiveFileEvents } from './live-file.ts';

/** For so long a notice is shown, in milliseconds. */
const NOTICE_MS = 5000;

/** What is known is shown once in so many milliseconds at most. */
const FACTS_MS = 200;

/** What the page of any file has: the bar with its state, size and links, the prompt for a token, and notices. */
export class FileFrame {
  readonly live: LiveFile;
  readonly bar: Bar;
  /** What the file is called. */
  readonly name: string;
  readonly #main = document.createElement('main');
  readonly #notice = document.createElement('p');
  readonly #hint = document.createElement('p');
  readonly #badge: StateBadge;
  readonly #prompt: TokenPrompt;
  #lines: string | undefined;
  #factsTimer: ReturnType<typeof setTimeout> | undefined;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param path of the file, decoded
   * @param events are told what the follow of it tells, when the frame says it
   */
  constructor(path: string, events: LiveFileEvents) {
    this.name = path.slice(path.lastIndexOf('/') + 1);
    this.live = new LiveFile(new URL(location.href), {
      grown: () => {
        this.#showFacts();
        events.grown();
      },
      changed: () => {
        this.#onChanged();
        events.changed();
      },
    });
    this.#badge = new StateBadge(this.name, () => this.live.reconnect());
    this.#prompt = new TokenPrompt(() => this.live.start());
    this.bar = new Bar(path, this.#badge.element);
    this.#notice.className = 'notice';
    this.#notice.role = 'status';
    this.#notice.hidden = true;
    this.#hint.className = 'hint over';
    this.#hint.hidden = true;
    this.#main.append(this.#notice, this.#hint, this.#prompt.element);
    document.body.append(this.bar.element, this.#main);
  }

  /** Puts what shows the file into the page. */
  add(...elements: readonly HTMLElement[]): void {
    this.#main.append(...elements);
  }

  /** Adds what every file can be: seen as bytes, and kept. To be called when the bar has what is before them. */
  addLinks(): void {
    const download = barLink('Download', 'The file as it is now', '?raw');
    download.download = this.name;
    download.className = 'wide-only';
    const links = [barLink('Raw', 'The bytes as they are', '?raw'), download];
    for (const link of links) {
      withTabToken(
        link,
        () => this.live.store.size,
        (text) => this.tell(text),
      );
    }
    this.bar.add(...links);
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

  /** Says how many lines it has: exactly, or about so many. */
  showLines(count: number | undefined, isExact: boolean): void {
    if (count === undefined) return;
    this.#lines = `${isExact ? '' : '≈ '}${formatCount(count)} ${count === 1 ? 'line' : 'lines'}`;
    this.#showFacts();
  }

  #onChanged(): void {
    const { state } = this.live;
    this.#badge.show(state);
    if (state.kind === 'locked') this.#prompt.ask(state.refused);
    else this.#prompt.hide();
    // In the place of what is to come.
    this.#hint.hidden = state.kind !== 'missing';
    this.#hint.textContent = wordsOf(state, Date.now()).meaning;
    this.#showFacts();
  }

  /** In a flood nobody reads each of them. */
  #showFacts(): void {
    this.#factsTimer ??= setTimeout(() => {
      this.#factsTimer = undefined;
      this.#paintFacts();
    }, FACTS_MS);
  }

  #paintFacts(): void {
    const { store, activity, state } = this.live;
    if (state.kind === 'missing') {
      this.bar.showFacts([]);
      return;
    }
    const { followers, rate = 0 } = activity;
    this.bar.showFacts([
      formatBytes(store.size),
      this.#lines,
      followers === undefined ? undefined : `${formatCount(followers)} watching`,
      rate === 0 ? undefined : `${formatBytes(Math.round(rate))}/s`,
    ]);
  }
}
