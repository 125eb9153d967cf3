/** Those who hear the page are told of what is new once in so many milliseconds at most. */
const PAUSE_MS = 5000;

/** Says what is new to those who hear the page, and to nobody else. */
export class Voice {
  readonly element = document.createElement('p');
  #text: (() => string) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.element.className = 'only-heard';
    this.element.role = 'status';
  }

  /** Says something as soon as it may; of what waits for that only the last counts. */
  say(text: () => string): void {
    this.#text = text;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.element.textContent = this.#text?.() ?? '';
    }, PAUSE_MS);
  }
}
