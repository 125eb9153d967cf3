import type { LineIndex } from '../bytes/line-index.ts';
import { hashOfLines, type LineRange, linesOfHash } from './permalink.ts';

/** The lines that the page's address links: `#L120-L140`. */
export class LinkedLines {
  readonly #index: LineIndex;
  readonly #goTo: (position: number) => void;
  readonly #changed: () => void;
  #range: LineRange | undefined;
  /** Whether the page is still to go there: where the lines are may not be known yet. */
  #isPending = false;
  #isAsking = false;

  /**
   * @param goTo goes to the first of them
   * @param changed called when other lines are linked
   */
  constructor(index: LineIndex, goTo: (position: number) => void, changed: () => void) {
    this.#index = index;
    this.#goTo = goTo;
    this.#changed = changed;
    this.#take();
    addEventListener('hashchange', () => {
      this.#take();
      this.advance();
    });
  }

  /** Counted from 0, both included. */
  get range(): LineRange | undefined {
    return this.#range;
  }

  /** Links a line, or all from those that are linked to that one. The address says so; nothing is scrolled. */
  link(line: number, extends_: boolean): void {
    const [first, last] = (extends_ && this.#range) || [line, line];
    this.#range = [Math.min(first, line), Math.max(last, line)];
    history.replaceState(history.state, '', hashOfLines(this.#range));
    this.#changed();
  }

  /** Links none. */
  clear(): void {
    if (this.#range === undefined) return;
    this.#range = undefined;
    this.#isPending = false;
    history.replaceState(history.state, '', location.pathname + location.search);
    this.#changed();
  }

  /** Goes to them as soon as it is known where they are: to be called when more is known of the file. */
  advance(): void {
    const range = this.#range;
    if (!this.#isPending || this.#isAsking || range === undefined) return;
    this.#isAsking = true;
    void this.#go(range).finally(() => {
      this.#isAsking = false;
    });
  }

  async #go(range: LineRange): Promise<void> {
    try {
      const position = await this.#index.positionOf(range[0]);
      if (position === undefined || !this.#isPending || this.#range !== range) return;
      this.#isPending = false;
      this.#goTo(position);
    } catch {
      // What could not be read is asked for again when more is known.
    }
  }

  #take(): void {
    this.#range = linesOfHash(location.hash);
    this.#isPending = this.#range !== undefined;
    this.#changed();
  }
}
