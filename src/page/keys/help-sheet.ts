import { barButton } from '../frame/bar.ts';
import type { KeyTable } from './key-table.ts';

/** A sheet over the page that says which keys there are. */
export class HelpSheet {
  readonly element = document.createElement('dialog');
  /** Opens it, for the bar: where that is wide enough for a machine with a keyboard. */
  readonly button = barButton('?', 'Keys (?)', () => this.toggle());
  readonly #table: () => KeyTable;

  /** `table` is asked when the sheet is opened: the keys open it, too. */
  constructor(table: () => KeyTable) {
    this.#table = table;
    this.element.className = 'help';
    this.button.classList.add('wide-only');
    this.element.addEventListener('click', () => this.element.close());
  }

  /** Opens it, or closes it if it is open. */
  toggle(): void {
    if (this.element.open) {
      this.element.close();
      return;
    }
    const heading = document.createElement('h2');
    heading.textContent = 'Keys';
    const list = document.createElement('dl');
    for (const { keys, does } of this.#table().rows()) {
      const term = document.createElement('dt');
      for (const key of keys) {
        const element = document.createElement('kbd');
        element.textContent = key;
        term.append(element, ' ');
      }
      const description = document.createElement('dd');
      description.textContent = does;
      list.append(term, description);
    }
    const close = document.createElement('button');
    close.textContent = 'Close';
    this.element.replaceChildren(heading, list, close);
    this.element.showModal();
  }
}
