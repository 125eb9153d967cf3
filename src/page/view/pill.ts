import { formatCount } from '../frame/format.ts';

/** Over the end of the log while that is not in view: how much has come since, and the way there. */
export class Pill {
  readonly element = document.createElement('button');
  #from: number | undefined;

  constructor(goToEnd: () => void) {
    this.element.type = 'button';
    this.element.className = 'pill';
    this.element.hidden = true;
    this.element.addEventListener('click', goToEnd);
  }

  /** The end has left the view, when so many lines had come; undefined: it is in view. */
  leave(lines: number | undefined): void {
    this.#from = lines;
    this.element.hidden = true;
  }

  /** Takes note of how many lines have come by now. */
  count(lines: number): void {
    const fresh = this.#from === undefined ? 0 : lines - this.#from;
    if (fresh === 0) return;
    this.element.textContent = newLinesText(fresh);
    this.element.hidden = false;
  }
}

/** Says how many lines are new. */
export function newLinesText(count: number): string {
  return `${formatCount(count)} new ${count === 1 ? 'line' : 'lines'}`;
}
