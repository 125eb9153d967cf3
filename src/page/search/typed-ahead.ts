/** What was typed until there was a field for it. */
export interface Typed {
  readonly text: string;
  /** The key that ended it, if one did: nothing is taken behind that. */
  readonly end: 'Enter' | 'Escape' | undefined;
}

/** Takes what is typed until there is a field for it. */
export class TypedAhead {
  #text = '';
  #end: Typed['end'];
  readonly #listening = new AbortController();

  constructor() {
    const { signal } = this.#listening;
    document.addEventListener('keydown', (event) => this.#onKey(event), { capture: true, signal });
  }

  /** Takes no more. @returns what was typed */
  end(): Typed {
    this.#listening.abort();
    return { text: this.#text, end: this.#end };
  }

  #onKey(event: KeyboardEvent): void {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (key === 'Enter' || key === 'Escape') {
      this.#end = key;
      this.#listening.abort();
    } else if (key === 'Backspace') this.#text = this.#text.slice(0, -1);
    else if (key.length === 1) this.#text += key;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
