/** Takes what is typed until there is a field for it. */
export class TypedAhead {
  #text = '';
  readonly #listening = new AbortController();

  constructor() {
    const { signal } = this.#listening;
    document.addEventListener('keydown', (event) => this.#onKey(event), { capture: true, signal });
  }

  /** Takes no more. @returns what was typed */
  end(): string {
    this.#listening.abort();
    return this.#text;
  }

  #onKey(event: KeyboardEvent): void {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (key === 'Backspace') this.#text = this.#text.slice(0, -1);
    else if (key.length === 1) this.#text += key;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
