import { keepTabToken } from './tab-token.ts';

/** Asks for a token, in the place of what it is needed for. It is kept for this tab only. */
export class TokenPrompt {
  readonly element = document.createElement('form');
  readonly #input = document.createElement('input');
  readonly #hint = document.createElement('p');

  /** `given` is called when there is a token to try. */
  constructor(given: () => void) {
    const label = document.createElement('label');
    label.textContent = 'Token';

    this.#input.type = 'password';
    this.#input.autocomplete = 'off';
    this.#input.required = true;
    this.#input.spellcheck = false;
    this.#hint.role = 'status';
    const button = document.createElement('button');
    button.textContent = 'Open';
    label.append(this.#input);
    this.element.className = 'token-prompt';
    this.element.hidden = true;
    this.element.append(this.#hint, label, button);
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      keepTabToken(this.#input.value.trim());
      this.hide();
      given();
    });
  }

  /** @param refused whether one was tried that may not */
  ask(refused: boolean): void {
    this.#hint.textContent = refused
      ? 'That token may not read this. Is there another one?'
      : 'This is not for everybody. It is shown to who has a token, which is kept for this tab only.';
    if (!this.element.hidden) return;
    this.#input.value = '';
    this.element.hidden = false;
    this.#input.focus();
  }

  hide(): void {
    this.element.hidden = true;
  }
}
