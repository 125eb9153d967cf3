import { type Bar, barButton } from '../frame/bar.ts';
import { mayAppend } from './may-append.ts';
import type { TypeLine, TypeLineEvents } from './type-line.ts';

/** A button that lets somebody type lines that are appended: for who may append. */
export class TypeInput {
  readonly #url: URL;
  readonly #events: Omit<TypeLineEvents, 'closed'>;
  readonly #show: () => void;
  #isAsked = false;
  #line: Promise<TypeLine> | undefined;

  constructor(url: URL, bar: Bar, events: Omit<TypeLineEvents, 'closed'>) {
    this.#url = url;
    this.#show = bar.reserve(barButton('Append', 'Type lines that are appended', () => void this.#open()));
    this.#events = events;
  }

  /** Offers it to who may append, once. */
  async offer(): Promise<void> {
    if (this.#isAsked) return;
    this.#isAsked = true;
    // What could not be asked is asked with the next change.
    const may = await mayAppend(this.#url).catch(() => {
      this.#isAsked = false;
      return false;
    });
    if (may) this.#show();
  }

  async #open(): Promise<void> {
    this.#line ??= import('./type-line.ts').then(({ TypeLine }) => {
      const line = new TypeLine(this.#url, {
        ...this.#events,
        closed: () => {
          this.#line = undefined;
        },
      });
      document.body.append(line.element);
      return line;
    });
    try {
      (await this.#line).focus();
    } catch {
      this.#line = undefined;
      this.#events.tell('What appends could not be loaded: the server may be away.');
    }
  }
}
